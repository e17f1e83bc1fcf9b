"""write(2) and what else changes, or would change, a file's bytes."""

import ctypes
import errno
import os
import socket

from calls import call, check, fallocate, libc, opened
from tools import fails_with

NEW = os.O_RDWR | os.O_CREAT | os.O_EXCL
APPEND = os.O_RDWR | os.O_CREAT | os.O_APPEND


@call("write, with O_APPEND")
def test_append_ignores_the_position(here):
    (here.m / "f").write_bytes(b"0123456789")
    with opened(here.m / "f", os.O_WRONLY | os.O_APPEND) as fd:
        os.lseek(fd, 3, os.SEEK_SET)
        os.write(fd, b"end")
        os.pwrite(fd, b"!", 0)
    assert (here.m2 / "f").read_bytes() == b"0123456789end!"


@call("write, with O_APPEND")
def test_appends_of_two_mounts_alternate(here):
    with opened(here.m / "f", APPEND) as one, opened(here.m2 / "f", APPEND) as two:
        for i in range(100):
            os.write(one, b"one %03d\n" % i)
            os.fsync(one)
            os.write(two, b"two %03d\n" % i)
            os.fsync(two)
    assert (here.m / "f").read_bytes() == b"".join(
        b"one %03d\ntwo %03d\n" % (i, i) for i in range(100)
    )


@call("write at the end of the file")
def test_write_at_the_end(here):
    with opened(here.m / "f", NEW) as fd:
        os.write(fd, b"0123456789")
        os.pwrite(fd, b"!", 10)
        os.write(fd, b"")
    assert (here.m2 / "f").read_bytes() == b"0123456789!"


@call("write at the end of the file")
def test_write_where_somebody_else_has_appended(here):
    with opened(here.m / "f", NEW) as fd:
        os.write(fd, b"mine")
        os.fsync(fd)
        with open(here.m2 / "f", "ab") as other:
            other.write(b"theirs")
        with fails_with(errno.EPERM):
            os.pwrite(fd, b"mine", 4)
            os.fsync(fd)
    assert (here.m2 / "f").read_bytes() == b"minetheirs"


@call("write before the end")
def test_write_before_the_end(here):
    with opened(here.m / "f", NEW) as fd:
        os.write(fd, b"0123456789")
        for offset in (0, 5, 9):
            with fails_with(errno.EPERM):
                os.pwrite(fd, b"x", offset)
    assert (here.m2 / "f").read_bytes() == b"0123456789"


@call("write past the end")
def test_gap_by_the_creator_is_zeros(here):
    with opened(here.m / "f", NEW) as fd:
        os.write(fd, b"head")
        os.pwrite(fd, b"tail", 1000)
        with fails_with(errno.EFBIG):
            os.pwrite(fd, b"far", 3 << 30)
    assert (here.m2 / "f").read_bytes() == b"head" + bytes(996) + b"tail"


@call("write past the end")
def test_gap_by_somebody_else(here):
    (here.m / "f").touch()
    with opened(here.m / "f", os.O_WRONLY) as fd:
        with fails_with(errno.EPERM):
            os.pwrite(fd, b"x", 10)
    assert (here.m2 / "f").read_bytes() == b""


@call("writev, pwritev")
def test_vectors_are_one_record(here):
    parts = [b"one ", b"two ", b"three\n"]
    with opened(here.m / "f", APPEND) as fd:
        assert os.writev(fd, parts) == 14
        assert os.pwritev(fd, parts, 0) == 14
    assert (here.m2 / "f").read_bytes() == b"one two three\n" * 2


@call("write of more than 1 MiB - 4 KiB")
def test_long_writes_are_whole(here):
    data = os.urandom(5_000_000)
    with opened(here.m / "f", APPEND) as fd:
        assert os.write(fd, data) == len(data)
    assert (here.m2 / "f").read_bytes() == data


@call("truncate, ftruncate")
def test_truncation(file):
    for size in (0, 5, 14, 1 << 40):
        with fails_with(errno.EPERM):
            os.truncate(file, size)
    os.truncate(file, 13)
    with opened(file, os.O_WRONLY | os.O_APPEND) as fd:
        for size in (0, 14):
            with fails_with(errno.EPERM):
                os.ftruncate(fd, size)
        os.ftruncate(fd, 13)


@call("truncate, ftruncate")
def test_truncation_that_grows_by_the_creator(here):
    with opened(here.m / "f", NEW) as fd:
        os.write(fd, b"head")
        os.ftruncate(fd, 100)
        with fails_with(errno.EFBIG):
            os.ftruncate(fd, 3 << 30)
    assert (here.m2 / "f").read_bytes() == b"head" + bytes(96)


@call("fallocate")
def test_fallocate_within_the_file_and_beyond(file):
    with opened(file, os.O_WRONLY | os.O_APPEND) as fd:
        fallocate(fd, 0, 0, 13)
        with fails_with(errno.EPERM):
            fallocate(fd, 0, 0, 14)


@call("fallocate with flags")
def test_fallocate_modes(file):
    keep, punch, collapse, zero, insert, unshare = 0x01, 0x03, 0x08, 0x10, 0x20, 0x40
    with opened(file, os.O_WRONLY | os.O_APPEND) as fd:
        for mode in (keep, collapse, zero, insert, unshare):
            with fails_with(errno.EOPNOTSUPP):
                fallocate(fd, mode, 0, 4)
    with opened(file, os.O_RDWR | os.O_APPEND) as fd:
        with fails_with(errno.EOPNOTSUPP):
            fallocate(fd, punch, 0, 4)


@call("fsync, fdatasync")
def test_sync_makes_it_seen_everywhere(here):
    with opened(here.m / "f", APPEND) as fd:
        for i, sync in enumerate((os.fsync, os.fdatasync) * 10):
            os.write(fd, b"line\n")
            sync(fd)
            assert os.stat(here.m2 / "f").st_size == 5 * (i + 1)
    with opened(here.m, os.O_RDONLY | os.O_DIRECTORY) as fd:
        os.fsync(fd)
    with opened(here.m2 / "f", os.O_RDONLY) as fd:
        os.fsync(fd)


@call("sync_file_range, syncfs, sync")
def test_syncs_of_the_page_cache(here):
    with opened(here.m / "f", APPEND) as fd:
        os.write(fd, b"line\n")
        offset = ctypes.c_long(0)
        check("sync_file_range", libc.sync_file_range(fd, offset, ctypes.c_long(5), 7))
        check("syncfs", libc.syncfs(fd))


@call("copy_file_range")
def test_copy_file_range(here):
    data = os.urandom(300_000)
    (here.m / "from").write_bytes(data)
    with opened(here.m / "from", os.O_RDONLY) as source:
        with opened(here.m / "to", NEW) as target:
            while os.copy_file_range(source, target, 1 << 20):
                pass
        with opened(here.m / "log", APPEND) as target:
            with fails_with(errno.EBADF):
                os.copy_file_range(source, target, 10, offset_src=0)
    assert (here.m2 / "to").read_bytes() == data


@call("sendfile, splice from a file")
def test_bytes_go_into_pipes_and_sockets(here):
    (here.m / "f").write_bytes(b"x" * 50_000)
    here_end, there_end = socket.socketpair()
    reader, writer = os.pipe()
    with opened(here.m2 / "f", os.O_RDONLY) as fd, here_end, there_end:
        assert os.sendfile(here_end.fileno(), fd, 0, 1000) == 1000
        assert there_end.recv(2000) == b"x" * 1000
        assert os.splice(fd, writer, 3000, offset_src=49_000) == 1000
    assert os.read(reader, 5000) == b"x" * 1000
    os.close(reader)
    os.close(writer)


@call("sendfile, splice to a file")
def test_bytes_come_from_pipes_and_files(here, tmp_path):
    (tmp_path / "source").write_bytes(b"y" * 1000)
    reader, writer = os.pipe()
    os.write(writer, b"z" * 1000)
    with open(tmp_path / "source", "rb") as source:
        with opened(here.m / "f", NEW) as fd:
            assert os.sendfile(fd, source.fileno(), 0, 1000) == 1000
            assert os.splice(reader, fd, 1000) == 1000
        assert (here.m2 / "f").read_bytes() == b"y" * 1000 + b"z" * 1000
        os.write(writer, b"z" * 1000)
        with opened(here.m / "f", APPEND) as fd:
            with fails_with(errno.EINVAL):
                os.sendfile(fd, source.fileno(), 0, 10)
            with fails_with(errno.EINVAL):
                os.splice(reader, fd, 10)
    os.close(reader)
    os.close(writer)


@call("write to a file that was renamed or unlinked")
def test_the_open_file_is_meant(here):
    with open(here.m / "log", "ab", buffering=0) as file:
        file.write(b"one\n")
        os.rename(here.m2 / "log", here.m2 / "log.1")
        file.write(b"two\n")
        (here.m / "log").write_bytes(b"new\n")
        file.write(b"three\n")
    assert (here.m2 / "log.1").read_bytes() == b"one\ntwo\nthree\n"
    assert (here.m2 / "log").read_bytes() == b"new\n"
    with opened(here.m / "gone", APPEND) as fd:
        os.write(fd, b"before\n")
        os.unlink(here.m2 / "gone")
        os.write(fd, b"after\n")
        os.fsync(fd)
        assert os.pread(fd, 100, 0) == b"before\nafter\n"
