"""Reading directories: stable, seekable, large."""

import ctypes
import errno
import os
import subprocess
import sys
import threading

import pytest

from calls import call, libc
from tools import DIES_WITH_US, fails_with, run


class Dirent(ctypes.Structure):
    _fields_ = [
        ("d_ino", ctypes.c_uint64), ("d_off", ctypes.c_int64), ("d_reclen", ctypes.c_ushort),
        ("d_type", ctypes.c_ubyte), ("d_name", ctypes.c_char * 256),
    ]


libc.opendir.restype = ctypes.c_void_p
libc.readdir.restype = ctypes.POINTER(Dirent)
libc.telldir.restype = ctypes.c_long
for function in (libc.readdir, libc.telldir, libc.rewinddir, libc.closedir):
    function.argtypes = [ctypes.c_void_p]
libc.seekdir.argtypes = [ctypes.c_void_p, ctypes.c_long]


class Stream:
    """opendir(3) and its kin."""

    def __init__(self, path):
        self._dir = libc.opendir(os.fsencode(path))
        assert self._dir

    def __enter__(self):
        return self

    def __exit__(self, *_):
        libc.closedir(self._dir)

    def next(self):
        entry = libc.readdir(self._dir)
        return entry.contents.d_name if entry else None

    def rest(self):
        names = []
        while (name := self.next()) is not None:
            names.append(name)
        return names

    def tell(self):
        return libc.telldir(self._dir)

    def seek(self, place):
        libc.seekdir(self._dir, place)

    def rewind(self):
        libc.rewinddir(self._dir)


def fill(directory, count, mounts):
    """Makes that many files with names "n-000000" ..., a process per mount."""
    script = (
        "import os, sys\n"
        "os.chdir(sys.argv[1])\n"
        "for i in range(int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])):\n"
        "    os.mknod('n-%06d' % i)\n"
    )
    makers = [
        subprocess.Popen(
            [*DIES_WITH_US, sys.executable, "-c", script, str(mount / directory), str(i), str(count), str(len(mounts))]
        )
        for i, mount in enumerate(mounts)
    ]
    assert [maker.wait() for maker in makers] == [0] * len(makers)


@call("readdir")
def test_entries_have_types_and_inodes(here):
    (here.m / "d").mkdir()
    (here.m / "f").touch()
    (here.m / "l").symlink_to("f")
    os.mkfifo(here.m / "p")
    with os.scandir(here.m2) as entries:
        found = {entry.name: entry for entry in entries}
    assert found["d"].is_dir(follow_symlinks=False)
    assert found["f"].is_file(follow_symlinks=False)
    assert found["l"].is_symlink()
    assert set(found) == {"d", "f", "l", "p"}
    for name, entry in found.items():
        assert entry.inode() == os.lstat(here.m / name).st_ino
    with Stream(here.m2) as stream:
        assert sorted(stream.rest()) == [b".", b"..", b"d", b"f", b"l", b"p"]
    with fails_with(errno.ENOTDIR):
        os.listdir(here.m / "f")


@call("readdir")
def test_readdir_is_stable_under_change(here):
    for i in range(500):
        (here.m / f"stay-{i:04d}").touch()
    done = threading.Event()

    def churn():
        i = 0
        while not done.is_set():
            (here.m / f"come-{i}").touch()
            (here.m / f"come-{i}").unlink()
            i += 1

    thread = threading.Thread(target=churn)
    thread.start()
    try:
        for _ in range(10):
            names = os.listdir(here.m2)
            assert len(names) == len(set(names))
            assert sum(name.startswith("stay-") for name in names) == 500
    finally:
        done.set()
        thread.join()


@call("readdir")
def test_removal_while_reading(here):
    for i in range(1500):  # more than a page
        os.mknod(here.m / f"f-{i}")
    with os.scandir(here.m) as entries:
        for entry in entries:
            os.unlink(entry.path)
    assert os.listdir(here.m2) == []


@call("telldir, seekdir, rewinddir")
def test_places_stay(here):
    for i in range(300):
        os.mknod(here.m / f"f-{i:03d}")
    with Stream(here.m2) as stream:
        places = {}
        place = stream.tell()
        while (name := stream.next()) is not None:
            places[name] = place
            place = stream.tell()
        assert len(places) == 302
        for i in range(0, 100, 2):
            os.unlink(here.m / f"f-{i:03d}")
        for name in (b"f-200", b"f-150", b"f-299", b"f-150", b"f-101"):
            stream.seek(places[name])
            assert stream.next() == name
        assert len(stream.rest()) == 300 - 102
        stream.rewind()
        assert len(stream.rest()) == 252


@call("readdir of a large directory")
@pytest.mark.alone  # takes both cores for half a minute
@pytest.mark.seconds(900)
def test_hundred_thousand_entries(make_cluster):
    # The master's log in memory: making so many names is not what is looked at.
    def in_memory(directory):
        (directory / "master").mkdir()
        run("mount", "-t", "tmpfs", "-o", "size=512m", "tmpfs", directory / "master")

    cluster = make_cluster(prepare=in_memory)
    count = 100_000
    (cluster.m / "d").mkdir()
    fill("d", count, [cluster.m, cluster.m2])
    expected = [b"n-%06d" % i for i in range(count)]
    for mount in (cluster.m, cluster.m2):
        assert sorted(os.listdir(os.fsencode(mount / "d"))) == expected
    with Stream(cluster.m / "d") as stream:
        for _ in range(1000):
            stream.next()
        early, following = stream.tell(), stream.next()
        assert len(stream.rest()) == count - 999
        stream.seek(early)
        assert stream.next() == following
