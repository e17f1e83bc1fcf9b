"""Appends self-describing lines to a file, as its own process.

    writer.py FILE WRITER COUNT ACKS [--fsync] [--size N] [--stop FILE]

For each acknowledged line ACKS gets "SEQUENCE SECONDS" (monotonic time), for a
failed one "SEQUENCE SECONDS error ERRNO". COUNT 0 goes on until the stop file
exists.
"""

import argparse
import os
import time

from lines import make_line


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("file")
    parser.add_argument("writer")
    parser.add_argument("count", type=int)
    parser.add_argument("acks")
    parser.add_argument("--fsync", action="store_true")
    parser.add_argument("--size", type=int, default=200)
    parser.add_argument("--stop")
    arguments = parser.parse_args()

    fd = os.open(arguments.file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    sequence = 0
    with open(arguments.acks, "a", buffering=1, encoding="ascii") as acks:
        while arguments.count == 0 or sequence < arguments.count:
            if arguments.stop and os.path.exists(arguments.stop):
                break
            line = make_line(arguments.writer, sequence, arguments.size)
            try:
                written = os.write(fd, line)
                assert written == len(line), "a short write"
                if arguments.fsync:
                    os.fsync(fd)
                acks.write(f"{sequence} {time.monotonic()}\n")
            except OSError as error:
                acks.write(f"{sequence} {time.monotonic()} error {error.errno}\n")
            sequence += 1
        if not arguments.fsync:
            os.fsync(fd)
    os.close(fd)


if __name__ == "__main__":
    main()
