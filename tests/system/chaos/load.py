"""Writers and readers on the mounts, and what they have put down."""

import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from tools import DIES_WITH_US, Acks, start_writer, wait_until

HERE = Path(__file__).resolve().parent
SIZES = (200, 90, 2000, 700, 4000, 1300)  # bytes per line, by writer
PACE, BATCH_PACE = "0.005", "0.05"  # seconds between a writer's lines, or batches of lines
FINISH_SECONDS = 120  # a mount gives up after 30; an append and a close may come one after the other
SOON_SECONDS = 10


@dataclass
class Writer:
    name: str
    file: str
    acks_path: Path
    process: subprocess.Popen
    report_path: Path = None  # of a rotator

    def acks(self):
        """None until the first line."""
        return Acks(self.acks_path) if self.acks_path.exists() else None

    def size(self):
        """Of what it has put down."""
        try:
            return os.stat(self.acks_path).st_size
        except FileNotFoundError:
            return 0

    def acknowledged(self):
        acks = self.acks()
        return len(acks.sequences) if acks else 0

    def rotation(self):
        return json.loads(self.report_path.read_text(encoding="ascii"))


@dataclass
class Reading:
    file: str
    report_path: Path
    process: subprocess.Popen

    def report(self):
        return json.loads(self.report_path.read_text(encoding="ascii"))


class Load:
    """On each mount: an fsync per line to a file that the other mount appends to as well,
    an fsync per 20 lines to another one, O_DSYNC to a file of its own, a log that is rotated;
    and readers of what the other mount writes. In the directory `scratch`."""

    def __init__(self, cluster, scratch):
        self.cluster, self.scratch = cluster, scratch
        self.stop_path = scratch / "stop"
        self.writers, self.rotators, self.readers = [], [], []
        for i, mount in enumerate(cluster.mount_points):
            self._write(mount, "shared", "--fsync", "--pace", PACE)
            self._write(mount, f"own{i}", "--dsync", "--pace", PACE)
            self._write(mount, "shared2", "--batch", "20", "--pace", BATCH_PACE)
            self._rotate(mount, f"rotated{i}")
        for i, mount in enumerate(cluster.mount_points):
            self._read(mount, "shared", "--follow")
            self._read(mount, f"own{1 - i}")
        self.files = sorted({writer.file for writer in self.writers})

    @property
    def everybody(self):
        return self.writers + self.rotators

    def _write(self, mount, file, *how):
        number = len(self.writers)
        name = f"w{number}"
        acks = self.scratch / f"{name}.acks"
        process = start_writer(
            mount / file, name, 0, acks, "--size", str(SIZES[number % len(SIZES)]),
            "--stop", self.stop_path, *how,
        )
        self.writers.append(Writer(name, file, acks, process))

    def _rotate(self, mount, file):
        name = f"l{len(self.rotators)}"
        acks, report = self.scratch / f"{name}.acks", self.scratch / f"{name}.json"
        process = subprocess.Popen(
            [
                *DIES_WITH_US, sys.executable, str(HERE / "rotator.py"), str(mount / file), name, str(acks),
                str(report), "--stop", str(self.stop_path),
            ],
            stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        )
        self.rotators.append(Writer(name, file, acks, process, report))

    def _read(self, mount, file, *how):
        report = self.scratch / f"r{len(self.readers)}.json"
        process = subprocess.Popen(
            [
                *DIES_WITH_US, sys.executable, str(HERE / "reader.py"), str(mount / file), str(report),
                "--stop", str(self.stop_path), *how,
            ],
            stdin=subprocess.DEVNULL,
        )
        self.readers.append(Reading(file, report, process))

    def wait_for_progress(self, seconds, lines=2):
        """Until every writer has had so many more acknowledgements."""
        before = {writer.name: writer.acknowledged() for writer in self.everybody}

        def all_have():
            for writer in self.everybody:
                assert writer.process.poll() is None, f"{writer.name} has ended"
                assert writer.acknowledged() >= before[writer.name] + lines, f"{writer.name} waits"
            return True

        wait_until(all_have, seconds, "every writer goes on")

    def wait_for_acknowledgement(self):
        """Returns as soon as anybody has had one, or after some time without."""
        before = [writer.size() for writer in self.writers]
        end = time.monotonic() + SOON_SECONDS
        while [writer.size() for writer in self.writers] == before and time.monotonic() < end:
            time.sleep(0.0002)

    def finish(self):
        """Stops all; what went wrong with them, in words."""
        self.stop_path.touch()
        problems = []
        for writer in self.everybody:
            try:
                _, errors = writer.process.communicate(timeout=FINISH_SECONDS)
            except subprocess.TimeoutExpired:
                problems.append(f"{writer.name} hangs")
                continue
            # A writer's last words may be an error of close, which tells nothing new.
            if writer.process.returncode != 0 and (writer.report_path or "OSError" not in errors):
                problems.append(f"{writer.name}: {errors}")
        for reader in self.readers:
            try:
                reader.process.wait(FINISH_SECONDS)
                problems += filter(None, [reader.report()["wrong"]])
            except (subprocess.TimeoutExpired, OSError) as error:
                problems.append(f"reader of {reader.file}: {error}")
        return problems

    def kill(self):
        for one in self.everybody + self.readers:
            if one.process.poll() is None:
                one.process.kill()

    def ack_times(self):
        """{writer: when it was acknowledged}, rising."""
        return {writer.name: writer.acks().times for writer in self.everybody if writer.acks()}
