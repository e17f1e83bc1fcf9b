"""Writes a log and rotates it, as its own process.

    rotator.py FILE WRITER ACKS REPORT --stop STOP

Lines and acknowledgements are those of writer.py, with an fsync after each. After LINES of them FILE
becomes FILE.N, FILE.N-KEPT is removed, and a new FILE begun. REPORT gets one JSON
object at the end: {"kept": [[name, first sequence], ...] oldest first, "removed": [name, ...]}.
"""

import argparse
import errno
import json
import os
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from writer import append  # noqa: E402

LINES, KEPT, SIZE = 400, 4, 500
PACE_SECONDS = 0.005
STUBBORN_SECONDS = 100  # a mount gives up after 30


def persist(change, done_already):
    """Again while it is in doubt. An attempt that was said to have failed may have
    been done: then the next fails with `done_already`."""
    end, doubt = time.monotonic() + STUBBORN_SECONDS, False
    while True:
        try:
            return change()
        except OSError as error:
            if doubt and error.errno == done_already:
                return None
            if error.errno not in (errno.EIO, errno.ETIMEDOUT) or time.monotonic() > end:
                raise
            doubt = True


class Rotator:
    def __init__(self, path):
        self.path = path
        self.kept, self.removed = [], []
        self.fd, self.first = self._begin(), 0

    def _begin(self):
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND
        fd = persist(lambda: os.open(self.path, flags, 0o644), errno.EEXIST)
        return persist(lambda: os.open(self.path, flags & ~os.O_EXCL), None) if fd is None else fd

    def rotate(self, sequence):
        try:
            os.close(self.fd)
        except OSError:
            pass  # every line has had its own answer
        number = len(self.kept) + len(self.removed)
        name = f"{self.path}.{number}"
        persist(lambda: os.rename(self.path, name), errno.ENOENT)
        self.kept.append((name, self.first))
        if len(self.kept) > KEPT:
            oldest, _ = self.kept.pop(0)
            persist(lambda: os.unlink(oldest), errno.ENOENT)
            self.removed.append(oldest)
        self.fd, self.first = self._begin(), sequence

    def report(self):
        kept = self.kept + [(self.path, self.first)]
        return {
            "kept": [[os.path.basename(name), first] for name, first in kept],
            "removed": [os.path.basename(name) for name in self.removed],
        }


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("file")
    parser.add_argument("writer")
    parser.add_argument("acks")
    parser.add_argument("report")
    parser.add_argument("--stop", required=True)
    arguments = parser.parse_args()
    rotator, sequence = Rotator(arguments.file), 0
    with open(arguments.acks, "a", buffering=1, encoding="ascii") as acks:
        while not os.path.exists(arguments.stop):
            if sequence and sequence % LINES == 0:
                rotator.rotate(sequence)
            error = append(rotator.fd, arguments.writer, [sequence], SIZE, sync=True)
            acks.write(f"{sequence} {time.monotonic()}{f' error {error}' if error else ''}\n")
            sequence += 1
            time.sleep(PACE_SECONDS)
    Path(arguments.report).write_text(json.dumps(rotator.report()), encoding="ascii")


if __name__ == "__main__":
    main()
