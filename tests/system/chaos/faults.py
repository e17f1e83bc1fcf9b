"""Does to a cluster what the plan says, and heals it again."""

import collections
import errno
import os
import random
import signal
import time
from dataclasses import dataclass

from chaos import damage
from tools import wait_until

HEAL_SECONDS = 90
BALLAST = "lost+found/ballast"  # below the data directory, which is a disk of its own
START_AGAIN_MOST = 5  # times within one round
TICK_SECONDS = 0.01  # how exactly the plan's times are kept; connections are reset as often


@dataclass(frozen=True)
class Span:
    """When a fault was there; seconds of the monotonic clock."""

    kind: str
    begin: float
    end: float


class Injector:
    def __init__(self, cluster, load, say, power_loss=False):
        self.cluster, self.load, self.say = cluster, load, say
        self._names = {"kill": "power loss"} if power_loss else {}
        self.counts = collections.Counter()
        self.spans = []
        self.flips = []
        self.started_again = 0
        self._undo = {}  # fault → (due, begin, action)
        self._resetting = set()  # hosts whose connections break

    # --- a round ------------------------------------------------------------------

    def damage_left(self):
        """Flipped bytes of chunk files that nobody has found and repaired yet."""
        self.flips = [one for one in self.flips if one.still_there()]
        return self.flips

    def run(self, planned):
        waiting = collections.deque(planned.faults)
        if planned.after_acknowledgement:
            self.load.wait_for_acknowledgement()
        start = time.monotonic()
        while waiting or self._undo:
            while waiting and start + waiting[0].at <= time.monotonic():
                self._inject(waiting.popleft())
            for host in self._resetting:
                self.counts["connections reset"] += self.cluster.network.reset_connections(host)
            for fault, (due, _, _) in sorted(self._undo.items(), key=lambda item: item[1][0]):
                if due <= time.monotonic():
                    self._end(fault)
            time.sleep(TICK_SECONDS)

    def _inject(self, fault):
        begin = time.monotonic()
        undo = {
            "kill": self._kill,
            "pause": self._pause,
            "restart": self._restart,
            "reset connections": self._reset_connections,
            "unplug": self._unplug,
            "partition": self._partition,
            "one-way partition": self._one_way_partition,
            "full disk": self._fill,
            "flip in chunk": self._flip_in_chunk,
            "flip in journal": self._flip_in_journal,
        }[fault.kind](fault)
        self.say(f"{fault}, {fault.lasts} s")
        self.counts[self._kind(fault)] += 1
        self._undo[fault] = (begin + fault.lasts, begin, undo)

    def _end(self, fault):
        _, begin, undo = self._undo.pop(fault)
        undo()
        self.spans.append(Span(self._kind(fault), begin, time.monotonic()))

    def _kind(self, fault):
        """For people, with whom it hits."""
        roles = [self.cluster.hosts[name].role for name in (fault.name, fault.other) if name]
        one_way = fault.kind.startswith("one-way")
        whom = " > ".join(roles) if one_way else " | ".join(sorted(roles))
        return f"{self._names.get(fault.kind, fault.kind)}, {whom}"

    # --- faults: each returns what ends it -------------------------------------------

    def _kill(self, fault):
        self.cluster.signal(fault.name, signal.SIGKILL)
        return lambda: self._start(fault.name)

    def _pause(self, fault):
        self.cluster.signal(fault.name, signal.SIGSTOP)
        return lambda: self.cluster.signal(fault.name, signal.SIGCONT)

    def _restart(self, fault):
        self.cluster.signal(fault.name, signal.SIGTERM)
        return lambda: self._start(fault.name)

    def _reset_connections(self, fault):
        """Again and again: what is made anew does not live long either."""
        self._resetting.add(fault.name)
        return lambda: self._resetting.discard(fault.name)

    def _unplug(self, fault):
        self.cluster.network.unplug(fault.name)
        return lambda: self.cluster.network.plug(fault.name)

    def _one_way_partition(self, fault):
        self.cluster.network.block(fault.name, fault.other)
        return lambda: self.cluster.network.unblock(fault.name, fault.other)

    def _partition(self, fault):
        self.cluster.network.block(fault.name, fault.other)
        self.cluster.network.block(fault.other, fault.name)

        def undo():
            self.cluster.network.unblock(fault.name, fault.other)
            self.cluster.network.unblock(fault.other, fault.name)

        return undo

    def _fill(self, fault):
        ballast = self._place(fault) / BALLAST
        with open(ballast, "wb") as file:
            end, step = 0, 1 << 30
            while step >= 4096:
                try:
                    os.posix_fallocate(file.fileno(), end, step)
                    end += step
                except OSError as error:
                    if error.errno != errno.ENOSPC:
                        raise
                    step //= 2
        return ballast.unlink

    def _flip_in_chunk(self, fault):
        spared = {one.handle for one in self.damage_left() if one.server != fault.name}
        chunks = [chunk for chunk in self._chunks(fault.name) if chunk[0] not in spared]
        flips = damage.flip_in_chunks(
            fault.name, self._place(fault), chunks, random.Random(fault.salt)
        )
        self.flips += flips
        self._note(flips)
        return lambda: None

    def _flip_in_journal(self, fault):
        self.cluster.signal(fault.name, signal.SIGKILL)
        self.cluster.wait_ended(fault.name, 10)
        place = self._place(fault)
        # What rots elsewhere and was not found must not be all there is: it never happened.
        for one in self.damage_left():
            if one.server != fault.name and damage.chunk_file(place, one.handle):
                one.take_back()
                self.counts["bytes set right again, unread"] += 1
        # Not kept: its start reads all of the journal that counts.
        self._note(damage.flip_in_journal(fault.name, place, random.Random(fault.salt)))
        return lambda: self._start(fault.name)

    def _note(self, flips):
        self.counts["bytes flipped"] += len(flips)
        for one in flips:
            self.say(f"  {one.path} byte {one.at}: {one.good:02x} is {one.bad:02x}")

    def _place(self, fault):
        return self.cluster.hosts[fault.name].place

    def _chunks(self, name):
        """(handle, length) of those it has whole."""
        address = self.cluster.hosts[name].address
        return [
            (chunk["handle"], chunk["length"])
            for file in self.load.files
            for chunk in self.cluster.admin_file(f"/{file}")["chunks"]
            if any(
                replica["address"] == address
                and not replica["damaged"]
                and replica["length"] == chunk["length"]
                for replica in chunk["replicas"]
            )
        ]

    # --- healing ---------------------------------------------------------------------

    def heal(self):
        """Until every process runs."""
        again = collections.Counter()

        def all_run():
            for host in self.cluster.hosts.values():
                if host.role == "mount":
                    assert host.alive(), f"{host.name} has died"
                elif not host.alive():
                    again[host.name] += 1
                    assert again[host.name] <= START_AGAIN_MOST, f"{host.name} dies"
                    self.say(f"{host.name} had ended; starting it again")
                    self.started_again += 1
                    self.cluster.start(host.name)
            return True

        wait_until(all_run, HEAL_SECONDS, "every process runs")

    def _start(self, name):
        self.cluster.wait_ended(name)
        self.cluster.start(name)

    def end_all(self):
        """Whatever was interrupted: nothing stays paused, cut off or full."""
        for fault in list(self._undo):
            self._end(fault)
