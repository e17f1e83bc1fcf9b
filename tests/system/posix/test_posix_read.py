"""Reading, mapping, seeking, and being told of changes."""

import ctypes
import errno
import fcntl
import mmap
import os
import random
import select
import struct
import termios

from calls import call, check, libc, opened
from tools import fails_with, wait_until


@call("read, pread, readv")
def test_reads_at_any_place(here):
    rng = random.Random(1)
    data = rng.randbytes(8 << 20)
    (here.m / "f").write_bytes(data)
    with opened(here.m2 / "f", os.O_RDONLY) as fd:
        for offset, length in ((0, 10), (4095, 2), (65535, 65538), (1 << 19, 1 << 20), (len(data), 10)):
            assert os.pread(fd, length, offset) == data[offset : offset + length]
        for _ in range(200):
            offset, length = rng.randrange(len(data)), rng.randrange(1, 200_000)
            assert os.pread(fd, length, offset) == data[offset : offset + length]
        parts = [bytearray(10), bytearray(1000), bytearray(5)]
        assert os.readv(fd, parts) == 1015
        assert b"".join(parts) == data[:1015]


@call("read, pread, readv")
def test_empty_file(here):
    (here.m / "f").touch()
    assert (here.m2 / "f").read_bytes() == b""
    assert os.stat(here.m2 / "f").st_size == 0


@call("read of a file that grows")
def test_reader_at_the_end_sees_what_comes(here):
    with opened(here.m / "f", os.O_RDWR | os.O_CREAT | os.O_APPEND) as writer:
        with opened(here.m / "f", os.O_RDONLY) as own, opened(here.m2 / "f", os.O_RDONLY) as other:
            for i in range(100):
                line = b"%04d\n" % i
                os.write(writer, line)
                # The same mount: at once; another: when it is durable.
                assert os.fstat(own).st_size == 5 * (i + 1)
                assert os.read(own, 100) == line
                os.fsync(writer)
                assert os.read(other, 100) == line
            assert os.read(other, 100) == b""


@call("lseek")
def test_seek_to_the_end_is_fresh(here):
    (here.m / "f").write_bytes(b"12345")
    with opened(here.m2 / "f", os.O_RDONLY) as fd:
        assert os.lseek(fd, 0, os.SEEK_END) == 5
        with open(here.m / "f", "ab") as writer:
            writer.write(b"678")
        assert os.lseek(fd, -1, os.SEEK_END) == 7
        assert os.read(fd, 10) == b"8"
        assert os.lseek(fd, -3, os.SEEK_CUR) == 5
        assert os.lseek(fd, 100, os.SEEK_SET) == 100
        assert os.read(fd, 10) == b""
        with fails_with(errno.EINVAL):
            os.lseek(fd, -1, os.SEEK_SET)


@call("lseek, SEEK_DATA, SEEK_HOLE")
def test_a_file_is_data_to_its_end(here):
    with opened(here.m / "f", os.O_RDWR | os.O_CREAT) as writer:
        os.write(writer, b"12345")
        os.pwrite(writer, b"end", 100_000)  # the gap is zeros, not a hole
        assert os.lseek(writer, 0, os.SEEK_HOLE) == 100_003
        os.fsync(writer)
        with opened(here.m2 / "f", os.O_RDONLY) as fd:
            assert os.lseek(fd, 7, os.SEEK_DATA) == 7
            assert os.lseek(fd, 7, os.SEEK_HOLE) == 100_003
            for whence in (os.SEEK_DATA, os.SEEK_HOLE):
                with fails_with(errno.ENXIO):
                    os.lseek(fd, 100_003, whence)
            os.write(writer, b"!")
            os.fsync(writer)
            assert os.lseek(fd, 100_003, os.SEEK_DATA) == 100_003


@call("mmap, MAP_PRIVATE")
def test_private_mapping(file):
    with open(file, "rb") as opened_file:
        with mmap.mmap(opened_file.fileno(), 0, mmap.MAP_PRIVATE, mmap.PROT_READ) as mapped:
            assert mapped[:] == b"first\nsecond\n"
        protection = mmap.PROT_READ | mmap.PROT_WRITE
        with mmap.mmap(opened_file.fileno(), 0, mmap.MAP_PRIVATE, protection) as mapped:
            mapped[0:5] = b"FIRST"
            assert mapped[:] == b"FIRST\nsecond\n"


@call("mmap, MAP_SHARED")
def test_shared_mapping(file):
    with opened(file, os.O_RDWR | os.O_APPEND) as fd:
        for protection in (mmap.PROT_READ, mmap.PROT_READ | mmap.PROT_WRITE):
            with fails_with(errno.ENODEV):
                mmap.mmap(fd, 5, mmap.MAP_SHARED, protection)


@call("posix_fadvise, readahead")
def test_advice_is_taken_and_changes_nothing(file):
    with opened(file, os.O_RDONLY) as fd:
        for advice in (os.POSIX_FADV_SEQUENTIAL, os.POSIX_FADV_WILLNEED, os.POSIX_FADV_DONTNEED):
            os.posix_fadvise(fd, 0, 0, advice)
        check("readahead", libc.readahead(fd, ctypes.c_long(0), ctypes.c_size_t(10)))
        assert os.read(fd, 100) == b"first\nsecond\n"


@call("poll, select, epoll")
def test_files_are_always_ready(file):
    with opened(file, os.O_RDWR | os.O_APPEND) as fd:
        assert select.select([fd], [fd], [], 30)[:2] == ([fd], [fd])
        poll = select.poll()
        poll.register(fd, select.POLLIN | select.POLLOUT)
        assert poll.poll(30_000) == [(fd, select.POLLIN | select.POLLOUT)]
        with select.epoll() as epoll:
            epoll.register(fd, select.EPOLLIN)
            assert epoll.poll(30) == [(fd, select.EPOLLIN)]


@call("inotify")
def test_only_what_is_done_on_this_mount_is_told(here):
    in_modify, in_create = 0x2, 0x100
    watch = check("inotify_init1", libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC))
    try:
        check("inotify_add_watch", libc.inotify_add_watch(
            watch, os.fsencode(here.m), in_modify | in_create))
        (here.m2 / "theirs").write_text("x")  # not told
        (here.m / "mine").write_text("x")
        told = b""

        def both_told():
            nonlocal told
            if select.select([watch], [], [], 0)[0]:
                told += os.read(watch, 4096)
            return told.count(b"mine") == 2

        wait_until(both_told, 30)
        masks, at = [], 0
        while at < len(told):
            _, mask, _, length = struct.unpack_from("iIII", told, at)
            masks.append((mask, told[at + 16 : at + 16 + length].rstrip(b"\0")))
            at += 16 + length
        assert masks == [(in_create, b"mine"), (in_modify, b"mine")]
    finally:
        os.close(watch)


@call("ioctl")
def test_ioctl(file):
    get_flags = 0x80086601  # FS_IOC_GETFLAGS
    with opened(file, os.O_RDONLY) as fd:
        assert struct.unpack("i", fcntl.ioctl(fd, termios.FIONREAD, bytes(4)))[0] == 13
        with fails_with(errno.ENOTTY):
            fcntl.ioctl(fd, get_flags, bytes(8))
        with fails_with(errno.ENOTTY):
            fcntl.ioctl(fd, termios.TCGETS, bytes(64))
