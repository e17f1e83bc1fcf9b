"""Reads a growing file again and again, as its own process.

    reader.py FILE REPORT --stop STOP [--follow]

It opens the file every time, or keeps it open as `tail -f` does. What it saw must stay: the
size never shrinks, every end seen is the end of a line, every line is whole. REPORT gets one JSON
object at the end: {"bytes", "sha256", "looks", "errors", "wrong"}; a look is [seconds of the monotonic
clock when it began, bytes seen by its end], an error [when the look began, seconds it took, what].
"""

import argparse
import errno
import hashlib
import json
import os
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from lines import parse_line  # noqa: E402

PAUSE_SECONDS = 0.1
PART = 1 << 20


class Reader:
    def __init__(self, path, follow):
        self.path, self.seen, self.digest = path, 0, hashlib.sha256()
        self.looks, self.errors = [], []
        self._follow, self._file = follow, None

    def look(self):
        begin = time.monotonic()
        if self._file is None:
            self._file = open(self.path, "rb", buffering=0)
        try:
            size, part = self._rest(self._file)
        finally:
            if not self._follow:
                self._file.close()
                self._file = None
        assert self.seen + len(part) >= size, f"only {self.seen + len(part)} bytes, stat said {size}"
        assert part == b"" or part.endswith(b"\n"), f"the end seen at {self.seen + len(part)} is torn"
        for line in part.splitlines(keepends=True):
            parse_line(line)
        self.digest.update(part)
        self.seen += len(part)
        self.looks.append((begin, self.seen))

    def _rest(self, file):
        named = os.stat(self.path).st_size
        size = os.fstat(file.fileno()).st_size
        assert size >= named >= self.seen, f"stat says {named}, {size} after {self.seen} were read"
        file.seek(self.seen)
        part = b""
        while more := file.read(PART):
            part += more
        return size, part


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("file")
    parser.add_argument("report")
    parser.add_argument("--stop", required=True)
    parser.add_argument("--follow", action="store_true")
    arguments = parser.parse_args()
    reader, wrong = Reader(arguments.file, arguments.follow), None
    while not wrong and not os.path.exists(arguments.stop):
        begin = time.monotonic()
        try:
            reader.look()
        except OSError as error:
            # Nobody may have written it yet.
            if error.errno != errno.ENOENT or reader.seen > 0:
                reader.errors.append((begin, time.monotonic() - begin, str(error)))
        except (AssertionError, ValueError) as error:
            wrong = f"{arguments.file}: {error}"
        time.sleep(PAUSE_SECONDS)
    Path(arguments.report).write_text(
        json.dumps(
            {
                "bytes": reader.seen,
                "sha256": reader.digest.hexdigest(),
                "looks": reader.looks,
                "errors": reader.errors,
                "wrong": wrong,
            }
        ),
        encoding="ascii",
    )


if __name__ == "__main__":
    main()
