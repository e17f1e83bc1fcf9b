"""Locks: flock(2) and fcntl(2)."""

import errno
import fcntl
import os

from calls import call, opened
from tools import fails_with


@call("flock")
def test_flock_among_processes_of_one_mount(file):
    with opened(file, os.O_RDONLY) as one, opened(file, os.O_RDONLY) as two:
        fcntl.flock(one, fcntl.LOCK_EX)
        with fails_with(errno.EAGAIN):
            fcntl.flock(two, fcntl.LOCK_SH | fcntl.LOCK_NB)
        fcntl.flock(one, fcntl.LOCK_SH)
        fcntl.flock(two, fcntl.LOCK_SH | fcntl.LOCK_NB)
        fcntl.flock(one, fcntl.LOCK_UN)
        fcntl.flock(two, fcntl.LOCK_EX | fcntl.LOCK_NB)


@call("flock")
def test_flock_reaches_another_mount(file, here):
    with opened(file, os.O_RDONLY) as one, opened(here.m2 / "log", os.O_RDONLY) as two:
        fcntl.flock(one, fcntl.LOCK_EX)
        with fails_with(errno.EAGAIN):
            fcntl.flock(two, fcntl.LOCK_EX | fcntl.LOCK_NB)
        fcntl.flock(one, fcntl.LOCK_UN)
        fcntl.flock(two, fcntl.LOCK_EX | fcntl.LOCK_NB)


def lock_elsewhere(path, start):
    """fcntl(F_SETLK) of one byte by another process: 0 or its errno."""
    child = os.fork()
    if child == 0:
        code = 255
        try:
            fd = os.open(path, os.O_RDWR | os.O_APPEND)
            fcntl.lockf(fd, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, start)
            code = 0
        except OSError as error:
            code = error.errno
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


@call("fcntl, F_SETLK, F_OFD_SETLK")
def test_record_locks_among_processes_of_all_mounts(file, here):
    with opened(file, os.O_RDWR | os.O_APPEND) as fd:
        fcntl.lockf(fd, fcntl.LOCK_EX, 5, 0)
        assert lock_elsewhere(file, 3) == errno.EAGAIN
        assert lock_elsewhere(file, 5) == 0
        assert lock_elsewhere(here.m2 / "log", 3) == errno.EAGAIN
        assert lock_elsewhere(here.m2 / "log", 5) == 0
        fcntl.lockf(fd, fcntl.LOCK_UN)
        assert lock_elsewhere(file, 3) == 0
