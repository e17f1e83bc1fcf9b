"""Small helpers of the system tests. Nothing here sleeps for a fixed time."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent


def wait_until(condition, timeout=20, what=None):
    """Asks until `condition()` is true and returns its value. A failed assertion
    or OSError counts as not yet."""
    end = time.monotonic() + timeout
    last = None
    while True:
        try:
            value = condition()
            if value:
                return value
            last = value
        except (AssertionError, OSError) as error:
            last = error
        if time.monotonic() >= end:
            raise AssertionError(f"not within {timeout} s: {what or condition}; last: {last!r}")
        time.sleep(0.02)


def run(*command, check=True, timeout=60, **options):
    """A program to its end, output captured as text. Fails the test with its output
    unless it succeeds."""
    options.setdefault("text", True)
    result = subprocess.run(
        [str(part) for part in command], capture_output=True, timeout=timeout, **options
    )
    if check and result.returncode != 0:
        raise AssertionError(
            f"{command} ended with {result.returncode}\n{result.stdout}\n{result.stderr}"
        )
    return result


def bash(script, cwd=None, check=True, timeout=60):
    return run("bash", "-c", "set -o pipefail; " + script, cwd=cwd, check=check, timeout=timeout)


@contextlib.contextmanager
def daemon(*command, stop_signal=signal.SIGTERM, **options):
    """A program that runs while the block does."""
    options.setdefault("stdin", subprocess.DEVNULL)
    process = subprocess.Popen([str(part) for part in command], **options)
    try:
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(stop_signal)
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(10)


@contextlib.contextmanager
def fails_with(error_number):
    """The block must fail with exactly this errno, and at once."""
    start = time.monotonic()
    try:
        yield
    except OSError as error:
        assert error.errno == error_number, (
            f"{os.strerror(error.errno)}, not {os.strerror(error_number)}"
        )
    else:
        raise AssertionError(f"succeeded; {os.strerror(error_number)} was due")
    assert time.monotonic() - start < 5, "the right errno, but late"


@contextlib.contextmanager
def unchanged(path):
    """The file has the same bytes and inode after the block."""
    before, inode = Path(path).read_bytes(), os.stat(path).st_ino
    yield
    assert os.stat(path).st_ino == inode
    assert Path(path).read_bytes() == before


# Before the command of what must not outlive the tests, however they end.
DIES_WITH_US = ("setpriv", "--pdeathsig", "KILL")


def start_writer(path, writer, count, acks, *options):
    return subprocess.Popen(
        [*DIES_WITH_US, sys.executable, str(HERE / "writer.py"), str(path), writer, str(count), str(acks), *options],
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish_writer(process, timeout=120):
    _, errors = process.communicate(timeout=timeout)
    assert process.returncode == 0, errors


class Acks:
    """What a writer.py process has put down."""

    def __init__(self, path):
        self.sequences, self.times, self.errors = [], [], []
        for line in Path(path).read_text(encoding="ascii").splitlines():
            fields = line.split()
            if len(fields) > 2:
                self.errors.append((int(fields[0]), float(fields[1]), int(fields[3])))
            else:
                self.sequences.append(int(fields[0]))
                self.times.append(float(fields[1]))

    def attempted(self):
        return sorted(self.sequences + [error[0] for error in self.errors])

    def longest_stall(self, after, before):
        """The longest time without an acknowledgement that touches [after, before]."""
        times = [after] + [t for t in self.times if after < t < before] + [before]
        return max(later - earlier for earlier, later in zip(times, times[1:]))
