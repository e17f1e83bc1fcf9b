"""What the cases of this directory share: their rows, users, and calls that Python lacks."""

import contextlib
import ctypes
import os
import traceback

import pytest

libc = ctypes.CDLL("libc.so.6", use_errno=True)
call = pytest.mark.call

RENAME_NOREPLACE, RENAME_EXCHANGE, RENAME_WHITEOUT = 1, 2, 4


def check(name, result):
    """The result of a call of libc, or the error it left in errno."""
    if result == -1:
        raise OSError(ctypes.get_errno(), name)
    return result


def renameat2(source, target, flags):
    at_cwd = -100
    check("renameat2", libc.renameat2(at_cwd, os.fsencode(source), at_cwd, os.fsencode(target), flags))


def fallocate(fd, mode, offset, length):
    check("fallocate", libc.fallocate(fd, mode, ctypes.c_long(offset), ctypes.c_long(length)))


@contextlib.contextmanager
def opened(path, flags, mode=0o644):
    fd = os.open(path, flags, mode)
    try:
        yield fd
    finally:
        os.close(fd)


def enterable(here):
    """Lets other users come as far as the test's own directory, and no further."""
    for directory in (here.cluster.dir, here.cluster.dir / "mnt", here.m):
        os.chmod(directory, 0o755)


def as_user(uid, gid, act, groups=()):
    """Runs act() in a process of that user. Returns 0, or the errno it ended with."""
    child = os.fork()
    if child == 0:
        code = 255
        try:
            os.setgroups(list(groups))
            os.setgid(gid)
            os.setuid(uid)
            act()
            code = 0
        except OSError as error:
            code = error.errno
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
