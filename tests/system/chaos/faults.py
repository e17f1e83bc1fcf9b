"""Does to a cluster what the plan says, and heals it again."""

import collections
import errno
import json
import os
import random
import signal
import time
from pathlib import Path

from chaos import connections, damage
from cluster import APPENDFS, environment
from tools import run, wait_until

HEAL_SECONDS = 90
BALLAST = "lost+found/ballast"  # below the data directory, which is a disk of its own
START_AGAIN_MOST = 5  # times within one round


class Injector:
    def __init__(self, cluster, files, say):
        self.cluster, self.files, self.say = cluster, files, say
        self.counts = collections.Counter()
        self.flips = []
        self.started_again = 0
        self._undo = {}  # process → (due, action)
        self._cut_off = set()  # processes whose connections break

    # --- a round ------------------------------------------------------------------

    def damage_left(self):
        """Flipped bytes of chunk files that nobody has found and repaired yet."""
        self.flips = [one for one in self.flips if one.still_there()]
        return self.flips

    def run(self, faults):
        start = time.monotonic()
        waiting = collections.deque(faults)
        while waiting or self._undo:
            now = time.monotonic() - start
            while waiting and waiting[0].at <= now:
                self._inject(waiting.popleft(), start)
            self._cut_connections()
            for name, (due, action) in sorted(self._undo.items(), key=lambda item: item[1][0]):
                if due <= now:
                    del self._undo[name]
                    action()
            time.sleep(0.02)

    def _inject(self, fault, start):
        self.say(f"{fault.kind} {fault.name}, {fault.lasts} s")
        draw = random.Random(fault.salt)
        undo = {
            "kill": self._kill,
            "pause": self._pause,
            "cut connections": self._cut,
            "restart": self._restart,
            "full disk": self._fill,
            "flip in chunk": self._flip_in_chunk,
            "flip in journal": self._flip_in_journal,
        }[fault.kind](fault.name, draw)
        self.counts[fault.kind] += 1
        if undo:
            self._undo[fault.name] = (time.monotonic() - start + fault.lasts, undo)

    # --- faults: each returns what ends it -------------------------------------------

    def _kill(self, name, _):
        self._signal(name, signal.SIGKILL)
        return lambda: self.start(name)

    def _pause(self, name, _):
        self._signal(name, signal.SIGSTOP)
        return lambda: self._signal(name, signal.SIGCONT)

    def _restart(self, name, _):
        self._signal(name, signal.SIGTERM)
        return lambda: self.start(name)

    def _cut(self, name, _):
        self._cut_off.add(name)
        return lambda: self._cut_off.discard(name)

    def _cut_connections(self):
        """Again and again: what was made anew does not live long either."""
        for name in sorted(self._cut_off):
            self.counts["connections broken"] += connections.cut(self._process(name)["pid"])

    def _fill(self, name, _):
        ballast = Path(self._process(name)["data_dir"]) / BALLAST
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

    def _flip_in_chunk(self, name, draw):
        sealed = self._sealed_chunks(name)
        flips = []
        if sealed:
            flips = damage.flip_in_chunks(name, self._process(name)["data_dir"], sealed, draw)
        self.flips += flips
        self._note(flips)

    def _flip_in_journal(self, name, draw):
        self._signal(name, signal.SIGKILL)
        wait_until(lambda: not self._alive(self._process(name)), 10, f"{name} is gone")
        # Not kept: its start reads all of the journal that counts.
        self._note(damage.flip_in_journal(name, self._process(name)["data_dir"], draw))
        return lambda: self.start(name)

    def _note(self, flips):
        self.counts["bytes flipped"] += len(flips)
        for one in flips:
            self.say(f"  {one.path} byte {one.at}: {one.good:02x} is {one.bad:02x}")

    def _sealed_chunks(self, name):
        address = self._process(name)["address"]
        chunks = []
        for file in self.files:
            shown = self.cluster.cli("admin", "file", f"/{file}", "--json", check=False)
            for chunk in json.loads(shown.stdout)["chunks"] if shown.returncode == 0 else []:
                if chunk["state"] == "sealed" and any(
                    replica["address"] == address and not replica["damaged"]
                    for replica in chunk["replicas"]
                ):
                    chunks.append((chunk["handle"], chunk["length"]))
        return chunks

    # --- healing ---------------------------------------------------------------------

    def heal(self):
        """Until every process runs."""
        again = collections.Counter()

        def all_run():
            for process in self._processes():
                if process["role"] == "mount":
                    assert self._alive(process), f"{process['name']} has died"
                elif not self._alive(process):
                    again[process["name"]] += 1
                    assert again[process["name"]] <= START_AGAIN_MOST, f"{process['name']} dies"
                    self.say(f"{process['name']} had ended; starting it again")
                    self.started_again += 1
                    self.start(process["name"])
            return True

        wait_until(all_run, HEAL_SECONDS, "every process runs")

    def start(self, name):
        """Launches it; whether it is well shows later."""
        run(
            APPENDFS, "cluster", "restart", name, "--dir", self.cluster.dir, "--wait", "200ms",
            check=False, env=environment(),
        )

    def end_all(self):
        """Whatever was interrupted: nothing stays paused or full."""
        for _, action in self._undo.values():
            action()
        self._undo = {}

    # --- processes ----------------------------------------------------------------------

    def _processes(self):
        # The file, not the command: that one would wait for a start under way.
        return json.loads((self.cluster.dir / "cluster.json").read_text(encoding="utf-8"))["processes"]

    def _process(self, name):
        return next(process for process in self._processes() if process["name"] == name)

    @staticmethod
    def _alive(process):
        try:
            stat = Path(f"/proc/{process['pid']}/stat").read_text(encoding="utf-8")
        except (FileNotFoundError, ProcessLookupError):
            return False
        fields = stat.rsplit(")", 1)[1].split()
        return int(fields[19]) == process["start_time"] and fields[0] != "Z"

    def _signal(self, name, number):
        process = self._process(name)
        if self._alive(process):
            os.kill(process["pid"], number)
