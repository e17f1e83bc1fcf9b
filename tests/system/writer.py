"""Appends self-describing lines to a file, as its own process.

    writer.py FILE WRITER COUNT ACKS [--fsync | --dsync | --batch N] [--size N] [--pace S] [--stop FILE]

For each acknowledged line ACKS gets "SEQUENCE SECONDS" (monotonic time), for a
failed one "SEQUENCE SECONDS error ERRNO". What acknowledges it is write(2), an
fsync after each line, O_DSYNC, or an fsync after each N lines. COUNT 0 goes on
until the stop file exists.
"""

import argparse
import os
import time

from lines import make_line


def append(fd, writer, sequences, size, sync):
    """The errno, or None: all these lines are acknowledged."""
    try:
        for sequence in sequences:
            line = make_line(writer, sequence, size)
            assert os.write(fd, line) == len(line), "a short write"
        if sync:
            os.fsync(fd)
    except OSError as error:
        return error.errno
    return None


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("file")
    parser.add_argument("writer")
    parser.add_argument("count", type=int)
    parser.add_argument("acks")
    parser.add_argument("--fsync", action="store_true")
    parser.add_argument("--dsync", action="store_true")
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--size", type=int, default=200)
    parser.add_argument("--pace", type=float, default=0, help="seconds between, as a log has it")
    parser.add_argument("--stop")
    arguments = parser.parse_args()

    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | (os.O_DSYNC if arguments.dsync else 0)
    fd = os.open(arguments.file, flags, 0o644)
    sync = arguments.fsync or arguments.batch > 1
    done = 0
    with open(arguments.acks, "a", buffering=1, encoding="ascii") as acks:
        while arguments.count == 0 or done < arguments.count:
            if arguments.stop and os.path.exists(arguments.stop):
                break
            sequences = range(done, done + arguments.batch)
            done += arguments.batch
            error = append(fd, arguments.writer, sequences, arguments.size, sync)
            outcome = f" error {error}" if error else ""
            now = time.monotonic()
            acks.write("".join(f"{sequence} {now}{outcome}\n" for sequence in sequences))
            if arguments.pace:
                time.sleep(arguments.pace)
        if not sync and not arguments.dsync:
            os.fsync(fd)
    os.close(fd)


if __name__ == "__main__":
    main()
