"""Writers and readers on the mounts, and what they have put down."""

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from tools import Acks, start_writer, wait_until

READER = Path(__file__).resolve().parent / "reader.py"
SIZES = (200, 90, 2000, 700, 4000, 1300)  # bytes per line, by writer
FINISH_SECONDS = 120  # a mount gives up after 30; an append and a close may come one after the other


@dataclass
class Writer:
    name: str
    file: str
    acks_path: Path
    process: subprocess.Popen

    def acks(self):
        """None until the first line."""
        return Acks(self.acks_path) if self.acks_path.exists() else None

    def acknowledged(self):
        acks = self.acks()
        return len(acks.sequences) if acks else 0


@dataclass
class Reading:
    file: str
    report_path: Path
    process: subprocess.Popen

    def report(self):
        return json.loads(self.report_path.read_text(encoding="ascii"))


class Load:
    """On each mount a writer of a file of its own and two of shared files, fsync per
    line; and readers of what the other mount writes. In the directory `scratch`."""

    def __init__(self, cluster, scratch):
        self.cluster, self.scratch = cluster, scratch
        self.stop_path = scratch / "stop"
        self.writers, self.readers = [], []
        for i, mount in enumerate(cluster.mount_points):
            for file in ("shared", f"own{i}", "shared2"):
                self._write(mount, file)
        for i, mount in enumerate(cluster.mount_points):
            for file in ("shared", f"own{1 - i}"):
                self._read(mount, file)
        self.files = sorted({writer.file for writer in self.writers})

    def _write(self, mount, file):
        number = len(self.writers)
        name = f"w{number}"
        acks = self.scratch / f"{name}.acks"
        process = start_writer(
            mount / file, name, 0, acks, "--fsync", "--size", str(SIZES[number % len(SIZES)]),
            "--stop", self.stop_path,
        )
        self.writers.append(Writer(name, file, acks, process))

    def _read(self, mount, file):
        report = self.scratch / f"r{len(self.readers)}.json"
        process = subprocess.Popen(
            [sys.executable, str(READER), str(mount / file), str(report), "--stop", str(self.stop_path)],
            stdin=subprocess.DEVNULL,
        )
        self.readers.append(Reading(file, report, process))

    def wait_for_progress(self, seconds, lines=2):
        """Until every writer has had so many more acknowledgements."""
        before = {writer.name: writer.acknowledged() for writer in self.writers}

        def all_have():
            for writer in self.writers:
                assert writer.process.poll() is None, f"{writer.name} has ended"
                assert writer.acknowledged() >= before[writer.name] + lines, f"{writer.name} waits"
            return True

        wait_until(all_have, seconds, "every writer goes on")

    def finish(self):
        """Stops all; what went wrong with them, in words."""
        self.stop_path.touch()
        problems = []
        for writer in self.writers:
            try:
                _, errors = writer.process.communicate(timeout=FINISH_SECONDS)
            except subprocess.TimeoutExpired:
                problems.append(f"{writer.name} hangs")
                continue
            # Its last words may be an error of close, which tells nothing new.
            if writer.process.returncode != 0 and "OSError" not in errors:
                problems.append(f"{writer.name}: {errors}")
        for reader in self.readers:
            try:
                reader.process.wait(FINISH_SECONDS)
                problems += filter(None, [reader.report()["wrong"]])
            except (subprocess.TimeoutExpired, OSError) as error:
                problems.append(f"reader of {reader.file}: {error}")
        return problems

    def kill(self):
        for one in self.writers + self.readers:
            if one.process.poll() is None:
                one.process.kill()

    def ack_times(self):
        """(of anybody, {writer: of this one}), rising."""
        times = {writer.name: writer.acks().times for writer in self.writers if writer.acks()}
        return sorted(time for own in times.values() for time in own), times
