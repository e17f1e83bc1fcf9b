"""What must be true of a cluster afterwards."""

import collections
import hashlib
import os
import subprocess

from chaos.damage import chunk_file
from cluster import STAGE
from lines import ends, examine
from tools import run

CHUNKSERVER = STAGE / "sbin" / "appendfs-chunkserver"
HEALTHY_SECONDS = 150


def stale_looks(looks, acks):
    """[(when it began, bytes seen, bytes acknowledged before), ...]. `looks`: (when it began,
    bytes seen), rising; `acks`: (when, where the acknowledged line ends)."""
    stale, waiting, due = [], collections.deque(sorted(acks)), 0
    for begin, seen in looks:
        while waiting and waiting[0][0] < begin:
            due = max(due, waiting.popleft()[1])
        if seen < due:
            stale.append((begin, seen, due))
    return stale


class Verdict:
    def __init__(self, cluster, load, injector):
        self.cluster, self.load, self.injector = cluster, load, injector
        self.problems = []
        self.chunks = self.replicas = self.short = self.rotten = 0
        self.lost = self.torn = self.doubled = self.swapped = self.stale = 0
        self._contents = {}  # file → its bytes
        self._servers = {
            self.cluster.hosts[name].address: self.cluster.hosts[name] for name in cluster.servers
        }

    @property
    def files(self):
        return len(self._contents)

    @property
    def bytes(self):
        return sum(len(data) for data in self._contents.values())

    def reach(self):
        """All problems, in words. Stops the cluster in between."""
        self._attempt(lambda: self.cluster.wait_healthy(HEALTHY_SECONDS))
        for file in self.load.files:
            self._attempt(lambda file=file: self._check_file(file))
        for rotator in self.load.rotators:
            self._attempt(lambda rotator=rotator: self._check_rotated(rotator))
        for reader in self.load.readers:
            self._attempt(lambda reader=reader: self._check_reader(reader))
        plans = {}
        for file in self._contents:
            self._attempt(lambda file=file: plans.update({file: self.cluster.admin_file(f"/{file}")}))
        self._attempt(self.cluster.stop)
        for file, plan in plans.items():
            self._attempt(lambda file=file, plan=plan: self._compare_replicas(file, plan))
        rotten = {one.server for one in self.injector.damage_left()}
        for name in self.cluster.servers:
            if name not in rotten:
                self._attempt(lambda name=name: self._check_offline(self.cluster.hosts[name].place))
        return self.problems

    def save(self, directory):
        """The files as they were read."""
        directory.mkdir()
        for file, data in self._contents.items():
            (directory / file).write_bytes(data)

    def _attempt(self, step):
        try:
            step()
        except (AssertionError, OSError, KeyError, ValueError, subprocess.SubprocessError) as error:
            self.problems.append(str(error) or repr(error))

    # --- files -------------------------------------------------------------------------

    def _check_file(self, file):
        data = self._read(file)
        self._examine(file, data, self._acks(file))

    def _check_rotated(self, rotator):
        """What is left of it is one log; what was removed stays away."""
        rotation = rotator.rotation()
        names = [name for name, _ in rotation["kept"]]
        for point in self.cluster.mount_points:
            there = [name for name in os.listdir(point) if name.startswith(rotator.file)]
            assert sorted(there) == sorted(names), f"{point}: {sorted(there)}, not {sorted(names)}"
        data = b"".join(self._read(name) for name in names)
        self._examine(rotator.file, data, {rotator.name: rotator.acks()}, rotation["kept"][0][1])

    def _read(self, file):
        """The same on both mounts and past them."""
        one, other = self.cluster.mount_points
        data = self._contents[file] = (one / file).read_bytes()
        assert (other / file).read_bytes() == data, f"{file}: the two mounts differ"
        said = self.cluster.cli("cat", f"/{file}", text=False).stdout
        assert said == data, f"{file}: appendfs cat differs from the mount"
        return data

    def _acks(self, file):
        writers = [writer for writer in self.load.writers if writer.file == file]
        return {writer.name: acks for writer in writers if (acks := writer.acks())}

    def _examine(self, what, data, acks, first=0):
        """Every acknowledged line from `first` on once, whole and in order."""
        findings = examine(
            data,
            {name: [n for n in one.sequences if n >= first] for name, one in acks.items()},
            {name: one.attempted() for name, one in acks.items()},
        )
        self.lost += len(findings.lost)
        self.torn += len(findings.torn)
        self.doubled += len(findings.doubled)
        self.swapped += len(findings.swapped)
        assert not str(findings), f"{what}: {findings}"

    def _check_reader(self, reader):
        """What it saw is there, and at every look it saw all that had been acknowledged."""
        file, report, data = reader.file, reader.report(), self._contents.get(reader.file, b"")
        prefix = data[: report["bytes"]]
        assert len(prefix) == report["bytes"], f"{file} is shorter than a reader saw"
        assert hashlib.sha256(prefix).hexdigest() == report["sha256"], (
            f"{file}: a reader saw other bytes than are there now"
        )
        where = ends(data)
        acks = [
            (time, where.get((name, sequence), 0))
            for name, own in self._acks(file).items()
            for sequence, time in zip(own.sequences, own.times)
        ]
        stale = stale_looks(report["looks"], acks)
        self.stale += len(stale)
        assert not stale, f"{file}: a reader did not see what was acknowledged before: {stale[:5]}"

    # --- replicas ----------------------------------------------------------------------

    @staticmethod
    def _check_offline(data_dir):
        checked = run(CHUNKSERVER, "--check", data_dir, check=False, timeout=300)
        problems = [line for line in checked.stdout.splitlines() if line.startswith("PROBLEM")]
        assert checked.returncode == 0, f"{data_dir}: {checked.stderr} {problems[:5]}"

    def _compare_replicas(self, file, plan):
        """The raw chunk files of all servers, byte by byte. Of an unsealed chunk a
        replica may still be short, but two are whole."""
        data, end = self._contents[file], 0
        for chunk in plan["chunks"]:
            begin, end = chunk["offset"], chunk["offset"] + chunk["length"]
            want, whole = data[begin:end], 0
            what = f"{file} chunk {chunk['handle']}"
            self.chunks += 1
            for replica in chunk["replicas"]:
                server = self._servers[replica["address"]]
                path = chunk_file(server.place, chunk["handle"])
                raw = path.read_bytes()[: chunk["length"]] if path else b""
                raw = self._without_known_rot(path, raw)
                if chunk["state"] == "sealed":
                    assert replica["length"] == chunk["length"], f"{what} on {server.name}: {replica}"
                    assert raw == want, f"{what} on {server.name}: {path} is not what was read"
                else:
                    assert want.startswith(raw), f"{what} on {server.name}: {path} differs"
                    self.short += len(raw) < chunk["length"]
                whole += raw == want
                self.replicas += 1
            assert whole >= 2, f"{what}: only {whole} whole replicas"
        assert end == len(data), f"{file}: its chunks have {end} bytes, it has {len(data)}"

    def _without_known_rot(self, path, raw):
        for one in self.injector.damage_left():
            if one.path == path and one.at < len(raw):
                raw = raw[: one.at] + bytes([one.good]) + raw[one.at + 1 :]
                self.rotten += 1
        return raw
