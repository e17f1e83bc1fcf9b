"""Extended attributes: those of users, and what AppendFS tells of a file."""

import errno
import os
import struct

from calls import as_user, call, enterable, opened
from tools import fails_with, run, wait_until


@call("setxattr, getxattr, listxattr, removexattr of user.*")
def test_attributes_are_kept_for_every_mount(here):
    (here.m / "f").write_text("x")
    (here.m / "d").mkdir()
    for name in ("f", "d"):
        os.setxattr(here.m / name, "user.binary", bytes(range(256)))
        os.setxattr(here.m2 / name, "user.empty", b"")
        assert sorted(os.listxattr(here.m / name)) == ["user.binary", "user.empty"]
        assert os.getxattr(here.m2 / name, "user.binary") == bytes(range(256))
        assert os.getxattr(here.m / name, "user.empty") == b""
        os.removexattr(here.m2 / name, "user.binary")
        assert os.listxattr(here.m / name) == ["user.empty"]
        for act in (os.getxattr, os.removexattr):
            with fails_with(errno.ENODATA):
                act(here.m / name, "user.binary")


@call("setxattr, getxattr, listxattr, removexattr of user.*")
def test_flags_and_bounds(here):
    path = here.m / "f"
    path.touch()
    with fails_with(errno.ENODATA):
        os.setxattr(path, "user.a", b"1", os.XATTR_REPLACE)
    os.setxattr(path, "user.a", b"1", os.XATTR_CREATE)
    with fails_with(errno.EEXIST):
        os.setxattr(here.m2 / "f", "user.a", b"2", os.XATTR_CREATE)
    os.setxattr(path, "user.a", b"3", os.XATTR_REPLACE)
    os.setxattr(path, "user." + "n" * 250, b"x" * 1000)
    assert os.getxattr(here.m2 / "f", "user." + "n" * 250) == b"x" * 1000
    os.setxattr(path, "user.big", b"x" * 60_000)
    with fails_with(errno.ENOSPC):
        os.setxattr(path, "user.more", b"x" * 6000)
    assert os.getxattr(here.m2 / "f", "user.a") == b"3"
    assert os.getxattr(here.m2 / "f", "user.big") == b"x" * 60_000


@call("setxattr, getxattr, listxattr, removexattr of user.*")
def test_attributes_follow_the_file(here):
    path = here.m / "f"
    path.write_text("x")
    os.setxattr(path, "user.a", b"1")
    os.link(path, here.m / "link")
    os.rename(path, here.m / "g")
    assert os.getxattr(here.m2 / "g", "user.a") == b"1"
    with opened(here.m / "g", os.O_WRONLY | os.O_APPEND) as fd:
        os.write(fd, b"more")
        os.setxattr(fd, "user.a", b"2")
        os.unlink(here.m / "g")
        assert os.getxattr(fd, "user.a") == b"2"
    assert os.getxattr(here.m2 / "link", "user.a") == b"2"
    os.unlink(here.m / "link")
    (here.m / "g").touch()
    assert os.listxattr(here.m2 / "g") == []


@call("setxattr, getxattr, listxattr, removexattr of user.*")
def test_permissions_bind_them(here):
    enterable(here)
    path = here.m / "f"
    path.write_text("x")
    os.setxattr(path, "user.a", b"1")
    os.chmod(path, 0o644)
    assert as_user(1234, 1234, lambda: os.getxattr(path, "user.a")) == 0
    assert as_user(1234, 1234, lambda: os.setxattr(path, "user.a", b"2")) == errno.EACCES
    os.mkfifo(here.m / "fifo")
    with fails_with(errno.EPERM):
        os.setxattr(here.m / "fifo", "user.a", b"1")


@call("setxattr, getxattr, listxattr, removexattr of user.*")
def test_cp_copies_them(here):
    (here.m / "f").write_text("x")
    os.setxattr(here.m / "f", "user.a", b"1")
    run("cp", "-a", here.m / "f", here.m / "copy")
    assert os.listxattr(here.m2 / "copy") == ["user.a"]
    assert os.getxattr(here.m2 / "copy", "user.a") == b"1"


@call("getxattr of appendfs.*")
def test_what_is_told_of_a_file(here):
    path = here.m / "f"
    (here.m / "d").mkdir()
    with opened(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND) as fd:
        assert os.getxattr(path, "appendfs.chunks") == b""
        os.write(fd, b"x" * 1000)
        assert os.getxattr(path, "appendfs.length") == b"1000"
    wait_until(lambda: os.getxattr(path, "appendfs.health") == b"ok", 60)
    chunks = os.getxattr(here.m2 / "f", "appendfs.chunks").decode().splitlines()
    assert len(chunks) == 1
    assert chunks[0].endswith("offset=0 bytes=1000")
    servers = {p["address"] for p in here.cluster.status()["processes"] if p["name"].startswith("cs")}
    (replicas,) = os.getxattr(here.m2 / "f", "appendfs.replicas").decode().splitlines()
    assert set(replicas.split()[1:]) == servers
    cluster, inode = os.getxattr(path, "appendfs.id").decode().split(":")
    assert len(cluster) == 36
    assert int(inode) == os.stat(path).st_ino
    os.rename(path, here.m / "g")
    assert os.getxattr(here.m2 / "g", "appendfs.id").decode() == f"{cluster}:{inode}"
    assert os.listxattr(here.m / "g") == []  # not shown, so that nothing tries to copy them
    assert os.getxattr(here.m / "d", "appendfs.id").decode().startswith(cluster)
    for name in ("appendfs.length", "appendfs.none"):
        with fails_with(errno.ENODATA):
            os.getxattr(here.m / "d", name)
    for act in (
        lambda: os.setxattr(here.m / "g", "appendfs.health", b"fine"),
        lambda: os.removexattr(here.m / "g", "appendfs.health"),
    ):
        with fails_with(errno.EPERM):
            act()


@call("other extended attributes, ACLs")
def test_other_classes(file):
    for name in ("security.capability", "trusted.a"):
        with fails_with(errno.ENODATA):
            os.getxattr(file, name)
    # user::rw-,user:1234:r--,group::r--,mask::r--,other::r--
    entries = ((0x01, 6, 0xFFFFFFFF), (0x02, 4, 1234), (0x04, 4, 0xFFFFFFFF), (0x10, 4, 0xFFFFFFFF),
               (0x20, 4, 0xFFFFFFFF))
    acl = struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *entry) for entry in entries)
    for name, value in (
        ("security.x", b"1"), ("trusted.a", b"1"), ("other.a", b"1"), ("system.posix_acl_access", acl),
    ):
        with fails_with(errno.EOPNOTSUPP):
            os.setxattr(file, name, value)
    with fails_with(errno.EOPNOTSUPP):
        os.getxattr(file, "system.posix_acl_access")
