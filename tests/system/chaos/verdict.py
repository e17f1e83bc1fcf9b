"""What must be true of a cluster afterwards."""

import hashlib
import subprocess

from chaos.damage import chunk_file
from cluster import STAGE
from lines import check
from tools import run

CHUNKSERVER = STAGE / "sbin" / "appendfs-chunkserver"
HEALTHY_SECONDS = 150


class Verdict:
    def __init__(self, cluster, load, injector):
        self.cluster, self.load, self.injector = cluster, load, injector
        self.problems = []
        self.chunks = self.replicas = self.short = self.rotten = 0
        self.bytes = 0
        self._contents = {}

    def reach(self):
        """All problems, in words. Stops the cluster in between."""
        self._attempt(lambda: self.cluster.wait_healthy(HEALTHY_SECONDS))
        plans = {}
        for file in self.load.files:
            self._attempt(lambda file=file: self._read_back(file))
            self._attempt(lambda file=file: plans.update({file: self.cluster.admin_file(f"/{file}")}))
        self._attempt(self._check_readers)
        directories = {
            process["address"]: process
            for process in self.cluster.status()["processes"]
            if process["role"] == "chunkserver"
        }
        self._attempt(self.cluster.stop)
        for file, plan in plans.items():
            if file in self._contents:
                self._attempt(lambda f=file, p=plan: self._compare_replicas(f, p, directories))
        rotten = {one.server for one in self.injector.damage_left()}
        for process in directories.values():
            if process["name"] not in rotten:
                self._attempt(lambda p=process: self._check_offline(p["data_dir"]))
        return self.problems

    @staticmethod
    def _check_offline(data_dir):
        checked = run(CHUNKSERVER, "--check", data_dir, check=False, timeout=300)
        problems = [line for line in checked.stdout.splitlines() if line.startswith("PROBLEM")]
        assert checked.returncode == 0, f"{data_dir}: {checked.stderr} {problems[:5]}"

    def _attempt(self, step):
        try:
            step()
        except (AssertionError, OSError, KeyError, ValueError, subprocess.SubprocessError) as error:
            self.problems.append(str(error) or repr(error))

    def _read_back(self, file):
        """Every acknowledged line once, whole and in order; the same on both mounts."""
        writers = [writer for writer in self.load.writers if writer.file == file]
        acks = {writer.name: writer.acks() for writer in writers}
        data = (self.cluster.m / file).read_bytes()
        self._contents[file] = data
        self.bytes += len(data)
        assert (self.cluster.m2 / file).read_bytes() == data, f"{file}: the two mounts differ"
        said = self.cluster.cli("cat", f"/{file}", text=False).stdout
        assert said == data, f"{file}: appendfs cat differs from the mount"
        try:
            check(
                data,
                {name: one.sequences for name, one in acks.items() if one},
                {name: one.attempted() for name, one in acks.items() if one},
            )
        except AssertionError as error:
            raise AssertionError(f"{file}: {error}") from error

    def _check_readers(self):
        for reader in self.load.readers:
            report, data = reader.report(), self._contents.get(reader.file, b"")
            prefix = data[: report["bytes"]]
            assert len(prefix) == report["bytes"], f"{reader.file} is shorter than a reader saw"
            assert hashlib.sha256(prefix).hexdigest() == report["sha256"], (
                f"{reader.file}: a reader saw other bytes than are there now"
            )

    def _compare_replicas(self, file, plan, directories):
        """The raw chunk files of all servers, byte by byte. Of an unsealed chunk a
        replica may still be short, but two are whole."""
        data = self._contents[file]
        end = 0
        for chunk in plan["chunks"]:
            begin, end = chunk["offset"], chunk["offset"] + chunk["length"]
            what = f"{file} chunk {chunk['handle']}"
            whole = 0
            self.chunks += 1
            for replica in chunk["replicas"]:
                name = directories[replica["address"]]["name"]
                path = chunk_file(directories[replica["address"]]["data_dir"], chunk["handle"])
                raw = path.read_bytes()[: chunk["length"]] if path else b""
                raw = self._without_known_rot(path, raw)
                if chunk["state"] == "sealed":
                    assert replica["length"] == chunk["length"], f"{what} on {name}: {replica}"
                    assert raw == data[begin:end], f"{what}: {path} on {name} is not what was read"
                else:
                    assert data[begin:end].startswith(raw), f"{what}: {path} on {name} differs"
                    self.short += len(raw) < chunk["length"]
                whole += raw == data[begin:end]
                self.replicas += 1
            assert whole >= 2, f"{what}: only {whole} whole replicas"
        assert end == len(data), f"{file}: its chunks have {end} bytes, it has {len(data)}"

    def _without_known_rot(self, path, raw):
        for one in self.injector.damage_left():
            if one.path == path and one.at < len(raw):
                raw = raw[: one.at] + bytes([one.good]) + raw[one.at + 1 :]
                self.rotten += 1
        return raw
