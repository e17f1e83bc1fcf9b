"""Names: making, moving, linking and removing them."""

import errno
import os
import socket
import stat

import pytest

from calls import (
    RENAME_EXCHANGE, RENAME_NOREPLACE, RENAME_WHITEOUT, call, opened, renameat2,
)
from tools import fails_with


@call("names")
@pytest.mark.parametrize(
    "name",
    [
        b"x" * 255, b"\xf0" * 255, b"-", b"--help", b" ", b"a\nb", b"\xff\xfe", b"\x01", b"...",
        "grüße".encode(), bytes(range(1, 128)).replace(b"/", b""),
        bytes(range(128, 256)),
    ],
)
def test_odd_names(here, name):
    path = os.path.join(os.fsencode(here.m), name)
    with open(path, "wb") as file:
        file.write(b"x")
    assert os.listdir(os.fsencode(here.m2)) == [name]
    with open(os.path.join(os.fsencode(here.m2), name), "rb") as file:
        assert file.read() == b"x"
    os.unlink(path)
    assert os.listdir(os.fsencode(here.m2)) == []


@call("names")
def test_name_too_long(here):
    (here.m / "f").touch()
    long = here.m / ("x" * 256)
    for act in (
        lambda: os.open(long, os.O_WRONLY | os.O_CREAT),
        lambda: os.mkdir(long),
        lambda: os.rename(here.m / "f", long),
        lambda: os.link(here.m / "f", long),
        lambda: os.symlink("f", long),
        lambda: os.stat(long),
    ):
        with fails_with(errno.ENAMETOOLONG):
            act()


@call("names")
def test_deep_directories(here):
    path = here.m.joinpath(*["deep"] * 60)
    path.mkdir(parents=True)
    (path / "f").write_text("x")
    assert here.m2.joinpath(*["deep"] * 60, "f").read_text() == "x"


@call("names")
def test_new_name_is_seen_on_the_other_mount_at_once(here):
    for i in range(50):
        assert not (here.m2 / f"f{i}").exists()
        (here.m / f"f{i}").touch()
        assert (here.m2 / f"f{i}").exists()


@call("rename")
def test_rename_replaces_a_file(here):
    (here.m / "a").write_text("a")
    (here.m / "b").write_text("b")
    with opened(here.m2 / "b", os.O_RDONLY) as reader:
        os.rename(here.m / "a", here.m / "b")
        assert os.listdir(here.m2) == ["b"]
        assert (here.m2 / "b").read_text() == "a"
        assert os.read(reader, 10) == b"b"  # open, so still there
    with fails_with(errno.ENOENT):
        os.rename(here.m / "a", here.m / "b")


@call("rename")
def test_rename_onto_a_link_of_the_same_file_does_nothing(here):
    (here.m / "a").write_text("x")
    os.link(here.m / "a", here.m / "b")
    os.rename(here.m / "a", here.m / "b")
    assert sorted(os.listdir(here.m2)) == ["a", "b"]


@call("rename of a directory")
def test_rename_directories(here):
    (here.m / "d/sub").mkdir(parents=True)
    (here.m / "d/sub/f").write_text("x")
    (here.m / "empty").mkdir()
    os.rename(here.m / "d", here.m / "empty")
    assert (here.m2 / "empty/sub/f").read_text() == "x"
    with fails_with(errno.EINVAL):
        os.rename(here.m / "empty", here.m / "empty/sub/below")
    (here.m / "file").touch()
    with fails_with(errno.ENOTDIR):
        os.rename(here.m / "empty", here.m / "file")
    with fails_with(errno.EISDIR):
        os.rename(here.m / "file", here.m / "empty")
    (here.m / "other").mkdir()
    with fails_with(errno.ENOTEMPTY):
        os.rename(here.m / "other", here.m / "empty")


@call("rename of a directory")
def test_rename_between_directories_fixes_link_counts(here):
    (here.m / "a/child").mkdir(parents=True)
    (here.m / "b").mkdir()
    os.rename(here.m / "a/child", here.m / "b/child")
    assert os.stat(here.m2 / "a").st_nlink == 2
    assert os.stat(here.m2 / "b").st_nlink == 3
    assert os.stat(here.m2 / "b/child/..").st_ino == os.stat(here.m2 / "b").st_ino


@call("renameat2, RENAME_NOREPLACE")
def test_rename_without_replacing(here):
    (here.m / "a").write_text("a")
    (here.m2 / "b").write_text("b")
    with fails_with(errno.EEXIST):
        renameat2(here.m / "a", here.m / "b", RENAME_NOREPLACE)
    renameat2(here.m / "a", here.m / "c", RENAME_NOREPLACE)
    assert sorted(os.listdir(here.m2)) == ["b", "c"]
    assert (here.m2 / "c").read_text() == "a"


@call("renameat2, RENAME_EXCHANGE")
def test_rename_that_exchanges(here):
    (here.m / "file").write_text("a")
    (here.m / "d/e").mkdir(parents=True)
    (here.m / "d/e/inner").write_text("b")
    renameat2(here.m / "file", here.m / "d/e", RENAME_EXCHANGE)
    assert (here.m2 / "d/e").read_text() == "a"
    assert (here.m2 / "file/inner").read_text() == "b"
    assert os.stat(here.m2 / "d").st_nlink == 2
    assert os.stat(here.m2).st_nlink == 4
    with fails_with(errno.ENOENT):
        renameat2(here.m / "file", here.m / "none", RENAME_EXCHANGE)


@call("renameat2, RENAME_WHITEOUT")
def test_whiteouts(here):
    (here.m / "a").touch()
    with fails_with(errno.EINVAL):
        renameat2(here.m / "a", here.m / "b", RENAME_WHITEOUT)
    assert os.listdir(here.m2) == ["a"]


@call("link")
def test_hard_links(here):
    (here.m / "a").write_text("x\n")
    os.link(here.m / "a", here.m / "b")
    assert os.stat(here.m2 / "a").st_nlink == 2
    assert os.stat(here.m2 / "a").st_ino == os.stat(here.m2 / "b").st_ino
    with open(here.m / "b", "a", encoding="ascii") as file:
        file.write("y\n")
    assert (here.m2 / "a").read_text() == "x\ny\n"
    os.unlink(here.m / "a")
    assert os.stat(here.m2 / "b").st_nlink == 1
    with fails_with(errno.EEXIST):
        os.link(here.m / "b", here.m / "b")
    (here.m / "d").mkdir()
    with fails_with(errno.EPERM):
        os.link(here.m / "d", here.m / "e")
    with fails_with(errno.EXDEV):
        os.link(here.m / "b", here.m2 / "c")


@call("symlink, readlink")
def test_symlinks(here):
    (here.m / "file").write_text("x\n")
    (here.m / "link").symlink_to("file")
    (here.m / "dangling").symlink_to("none")
    (here.m / "loop").symlink_to("loop")
    assert os.readlink(here.m2 / "link") == "file"
    assert (here.m2 / "link").read_text() == "x\n"
    assert os.lstat(here.m2 / "link").st_size == 4
    with fails_with(errno.ENOENT):
        os.open(here.m2 / "dangling", os.O_RDONLY)
    with fails_with(errno.ELOOP):
        os.open(here.m2 / "loop", os.O_RDONLY)
    with fails_with(errno.EINVAL):
        os.readlink(here.m2 / "file")
    long_target = "t/" * 2000
    (here.m / "long").symlink_to(long_target)
    assert os.readlink(here.m2 / "long") == long_target


@call("mkdir, rmdir")
def test_directories_are_made_and_removed(here):
    (here.m / "d").mkdir()
    with fails_with(errno.EEXIST):
        os.mkdir(here.m2 / "d")
    (here.m / "d/file").touch()
    with fails_with(errno.ENOTEMPTY):
        os.rmdir(here.m2 / "d")
    os.unlink(here.m2 / "d/file")
    os.rmdir(here.m2 / "d")
    assert os.listdir(here.m) == []
    (here.m / "f").touch()
    with fails_with(errno.ENOTDIR):
        os.rmdir(here.m / "f")


@call("mknod of a FIFO or socket")
def test_fifos_and_sockets(here):
    os.mkfifo(here.m / "fifo", 0o640)
    os.mknod(here.m / "socket", stat.S_IFSOCK | 0o600)
    assert stat.S_ISFIFO(os.stat(here.m2 / "fifo").st_mode)
    assert stat.S_ISSOCK(os.stat(here.m2 / "socket").st_mode)
    reader = os.open(here.m / "fifo", os.O_RDONLY | os.O_NONBLOCK)
    with opened(here.m / "fifo", os.O_WRONLY) as writer:
        os.write(writer, b"through")
        assert os.read(reader, 10) == b"through"
    os.close(reader)
    with socket.socket(socket.AF_UNIX) as server, socket.socket(socket.AF_UNIX) as client:
        here_fd = os.open(here.m, os.O_RDONLY | os.O_DIRECTORY)
        path = f"/proc/self/fd/{here_fd}/server"  # a socket's address is at most 107 bytes long
        server.bind(path)
        server.listen()
        client.connect(path)
        os.close(here_fd)
    # Names of this kind reach the processes of one mount only.
    with fails_with(errno.ENXIO):
        os.open(here.m2 / "fifo", os.O_WRONLY | os.O_NONBLOCK)


@call("mknod of a device")
def test_devices(here):
    for kind in (stat.S_IFCHR, stat.S_IFBLK):
        with fails_with(errno.EPERM):
            os.mknod(here.m / "device", kind | 0o600, os.makedev(1, 3))
    assert os.listdir(here.m2) == []


@call("unlink")
def test_open_unlinked_file_lives_on(here):
    with opened(here.m / "f", os.O_RDWR | os.O_CREAT | os.O_APPEND) as fd:
        os.write(fd, b"before\n")
        os.unlink(here.m / "f")
        os.write(fd, b"after\n")
        assert os.fstat(fd).st_nlink == 0
        assert os.pread(fd, 100, 0) == b"before\nafter\n"
        os.fchmod(fd, 0o600)
        assert os.fstat(fd).st_mode & 0o777 == 0o600
    (here.m / "d").mkdir()
    with fails_with(errno.EISDIR):
        os.unlink(here.m / "d")
    with fails_with(errno.ENOENT):
        os.unlink(here.m / "none")


@call("unlink")
def test_file_open_here_unlinked_there(here):
    (here.m / "f").write_text("x" * 100_000)
    with opened(here.m / "f", os.O_RDONLY) as reader:
        os.unlink(here.m2 / "f")
        assert len(os.pread(reader, 200_000, 0)) == 100_000
    assert os.listdir(here.m) == []
