"""open(2) with all its flags, and close(2)."""

import errno
import fcntl
import os
import threading

from calls import call, opened
from tools import fails_with


@call("open to read, or with O_APPEND")
def test_open_to_read_or_append(file, here):
    copy = here.m / "copy"
    copy.write_bytes(b"x")
    for flags in (os.O_RDONLY, os.O_WRONLY | os.O_APPEND, os.O_RDWR | os.O_APPEND):
        with opened(copy, flags) as fd:
            assert os.fstat(fd).st_size == 1
    with opened(copy, os.O_RDWR | os.O_APPEND) as fd:
        os.write(fd, b"y")
        assert os.pread(fd, 10, 0) == b"xy"


@call("open to write, without O_APPEND")
def test_open_to_write_a_file_with_content(file):
    for flags in (os.O_WRONLY, os.O_RDWR, os.O_WRONLY | os.O_CREAT):
        with fails_with(errno.EPERM):
            os.open(file, flags)


@call("open to write, without O_APPEND")
def test_open_to_write_an_empty_or_a_new_file(here):
    (here.m / "empty").touch()
    for name in ("empty", "new"):
        with opened(here.m / name, os.O_WRONLY | os.O_CREAT) as fd:
            os.write(fd, b"content")
        assert (here.m2 / name).read_bytes() == b"content"


@call("open, O_TRUNC")
def test_open_with_truncation(file):
    for flags in (os.O_RDONLY, os.O_WRONLY, os.O_RDWR, os.O_WRONLY | os.O_CREAT, os.O_WRONLY | os.O_APPEND):
        with fails_with(errno.EPERM):
            os.open(file, flags | os.O_TRUNC)


@call("open, O_TRUNC")
def test_open_with_truncation_of_an_empty_file(here):
    (here.m / "empty").touch()
    os.close(os.open(here.m / "empty", os.O_WRONLY | os.O_TRUNC))
    (here.m / "empty").write_text("now it has something")
    assert (here.m2 / "empty").read_text() == "now it has something"


@call("open, O_CREAT, O_EXCL")
def test_exclusive_create_has_one_winner(here):
    wins, losses = [], []

    def race(mount):
        try:
            os.close(os.open(mount / "f", os.O_WRONLY | os.O_CREAT | os.O_EXCL))
            wins.append(mount)
        except OSError as error:
            losses.append(error.errno)

    threads = [threading.Thread(target=race, args=(m,)) for m in (here.m, here.m2) * 8]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(wins) == 1
    assert losses == [errno.EEXIST] * 15


@call("open, O_CREAT, O_EXCL")
def test_exclusive_create_of_a_dangling_symlink(here):
    (here.m / "link").symlink_to("none")
    with fails_with(errno.EEXIST):
        os.open(here.m / "link", os.O_WRONLY | os.O_CREAT | os.O_EXCL)


@call("open, O_TMPFILE")
def test_file_without_a_name(here):
    with fails_with(errno.EOPNOTSUPP):
        os.open(here.m, os.O_RDWR | os.O_TMPFILE)
    assert os.listdir(here.m) == []


@call("open, O_DIRECTORY, O_NOFOLLOW, O_PATH")
def test_open_of_only_what_is_meant(here):
    (here.m / "f").write_text("x")
    (here.m / "link").symlink_to("f")
    with fails_with(errno.ENOTDIR):
        os.open(here.m / "f", os.O_RDONLY | os.O_DIRECTORY)
    with fails_with(errno.ELOOP):
        os.open(here.m / "link", os.O_RDONLY | os.O_NOFOLLOW)
    with opened(here.m2 / "f", os.O_RDONLY | os.O_NOFOLLOW) as fd:
        assert os.read(fd, 10) == b"x"
    with opened(here.m, os.O_RDONLY | os.O_DIRECTORY) as directory:
        inner = os.open("f", os.O_RDONLY, dir_fd=directory)
        assert os.read(inner, 10) == b"x"
        os.close(inner)
    with opened(here.m / "link", os.O_PATH | os.O_NOFOLLOW) as fd:
        assert os.readlink("", dir_fd=fd) == "f"
        with fails_with(errno.EBADF):
            os.read(fd, 1)


@call("open, O_DIRECT")
def test_direct_io_needs_no_alignment(here):
    with opened(here.m / "f", os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_DIRECT) as fd:
        for size in (1, 511, 4096, 100_001):
            assert os.write(fd, b"d" * size) == size
        assert os.pread(fd, 10, 3) == b"d" * 10
    assert (here.m2 / "f").read_bytes() == b"d" * (1 + 511 + 4096 + 100_001)


@call("open, O_SYNC, O_DSYNC")
def test_synchronous_writes(here):
    for name, flag in (("s", os.O_SYNC), ("d", os.O_DSYNC)):
        with opened(here.m / name, os.O_WRONLY | os.O_CREAT | os.O_APPEND | flag) as fd:
            for i in range(20):
                os.write(fd, b"%04d\n" % i)
                # Another mount sees it as soon as write(2) has returned.
                assert os.stat(here.m2 / name).st_size == 5 * (i + 1)


@call("open of what is not there, or not a file")
def test_errors_of_paths(here):
    (here.m / "f").write_text("x")
    (here.m / "d").mkdir()
    with fails_with(errno.ENOENT):
        os.open(here.m / "none", os.O_WRONLY | os.O_APPEND)
    with fails_with(errno.ENOENT):
        os.open(here.m / "none/file", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    with fails_with(errno.ENOTDIR):
        os.open(here.m / "f/below", os.O_RDONLY)
    with fails_with(errno.EISDIR):
        os.open(here.m / "d", os.O_WRONLY | os.O_APPEND)


@call("fcntl, F_SETFL")
def test_append_can_be_taken_away_and_given_back(here):
    with opened(here.m / "f", os.O_RDWR | os.O_CREAT | os.O_APPEND) as fd:
        os.write(fd, b"one")
        flags = fcntl.fcntl(fd, fcntl.F_GETFL)
        fcntl.fcntl(fd, fcntl.F_SETFL, flags & ~os.O_APPEND)
        with fails_with(errno.EPERM):
            os.pwrite(fd, b"over", 0)
        fcntl.fcntl(fd, fcntl.F_SETFL, flags)
        os.pwrite(fd, b"two", 0)  # O_APPEND: the offset does not count
    assert (here.m2 / "f").read_bytes() == b"onetwo"


@call("close")
def test_close_waits_for_what_was_written(here):
    for i in range(20):
        with open(here.m / f"f{i}", "wb", buffering=0) as file:
            file.write(b"x" * 10_000)
        assert os.stat(here.m2 / f"f{i}").st_size == 10_000


@call("fork, dup, and passing descriptors")
def test_descriptors_are_shared(here):
    with opened(here.m / "f", os.O_WRONLY | os.O_CREAT | os.O_APPEND) as fd:
        other = os.dup(fd)
        child = os.fork()
        if child == 0:
            os.write(fd, b"child\n")
            os._exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        os.write(other, b"parent\n")
        os.close(other)
    assert (here.m2 / "f").read_bytes() == b"child\nparent\n"
