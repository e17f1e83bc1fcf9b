"""What stat(2) and statfs(2) tell, and what may be set."""

import os
import stat
import time

from calls import call, opened
from tools import wait_until


@call("stat, statx")
def test_size_and_blocks(here):
    (here.m / "f").write_bytes(bytes(10_000))
    got = os.stat(here.m2 / "f")
    assert got.st_size == 10_000
    assert got.st_blocks == 20
    assert got.st_blksize >= 4096
    assert stat.S_ISREG(got.st_mode)


@call("stat, statx")
def test_inode_numbers_agree_and_are_stable(here):
    (here.m / "f").touch()
    inode = os.stat(here.m / "f").st_ino
    assert os.stat(here.m2 / "f").st_ino == inode
    os.rename(here.m / "f", here.m / "g")
    assert os.stat(here.m / "g").st_ino == inode
    (here.m / "f").touch()
    assert os.stat(here.m / "f").st_ino != inode


@call("stat, statx")
def test_write_is_seen_on_the_same_mount_at_once(here):
    with opened(here.m / "f", os.O_RDWR | os.O_CREAT | os.O_APPEND) as fd:
        for i in range(200):
            os.write(fd, b"%04d\n" % i)
            assert os.stat(here.m / "f").st_size == 5 * (i + 1)


@call("st_nlink")
def test_link_counts(here):
    (here.m / "d/sub").mkdir(parents=True)
    (here.m / "d/other").mkdir()
    (here.m / "d/f").touch()
    os.link(here.m / "d/f", here.m / "d/g")
    assert os.stat(here.m2).st_nlink == 3
    assert os.stat(here.m2 / "d").st_nlink == 4
    assert os.stat(here.m2 / "d/f").st_nlink == 2
    os.rmdir(here.m / "d/sub")
    os.unlink(here.m / "d/g")
    with opened(here.m / "d/f", os.O_RDONLY) as fd:  # the kernel believes a directory for a second
        assert os.fstat(fd).st_nlink == 1
    wait_until(lambda: os.stat(here.m2 / "d").st_nlink == 3, 30)


@call("chmod")
def test_modes(here):
    (here.m / "f").touch()
    for mode in (0o4751, 0o2755, 0o000, 0o644):
        os.chmod(here.m / "f", mode)
        assert os.stat(here.m2 / "f").st_mode & 0o7777 == mode


@call("chown")
def test_owners(here):
    (here.m / "f").touch()
    (here.m / "l").symlink_to("f")
    os.chmod(here.m / "f", 0o6755)
    os.chown(here.m / "f", 12, 34)
    got = os.stat(here.m2 / "f")
    assert (got.st_uid, got.st_gid) == (12, 34)
    assert got.st_mode & 0o7777 == 0o755  # a new owner does not inherit privileges
    os.chown(here.m / "f", -1, 35)
    os.lchown(here.m / "l", 1, 2)
    assert (os.stat(here.m2 / "f").st_uid, os.stat(here.m2 / "f").st_gid) == (12, 35)
    assert (os.lstat(here.m2 / "l").st_uid, os.lstat(here.m2 / "l").st_gid) == (1, 2)


@call("utimensat")
def test_times_that_are_set_stay(here):
    (here.m / "f").write_text("x")
    os.utime(here.m / "f", ns=(1_111_111_111_111_111_111, 1_222_222_222_222_222_222))
    for mount in (here.m, here.m2):
        got = os.stat(mount / "f")
        assert got.st_mtime_ns == 1_222_222_222_222_222_222
        assert got.st_atime_ns == 1_111_111_111_111_111_111


@call("utimensat")
def test_times_that_are_set_while_a_write_is_queued(here):
    with opened(here.m / "f", os.O_WRONLY | os.O_CREAT | os.O_APPEND) as fd:
        for i in range(20):
            os.write(fd, b"x")
            os.utime(fd, ns=(10**18, 10**18 + i))
            assert os.fstat(fd).st_mtime_ns == 10**18 + i
    assert os.stat(here.m2 / "f").st_mtime_ns == 10**18 + 19


@call("st_mtime, st_ctime, st_atime")
def test_append_moves_mtime_and_never_back(here):
    path = here.m / "f"
    path.write_text("x")
    os.utime(path, (1, 1))
    start = time.time_ns()
    with open(path, "ab", buffering=0) as file:
        last = 0
        for _ in range(20):
            file.write(b"y")
            os.fsync(file.fileno())
            now = os.stat(here.m2 / "f").st_mtime_ns
            assert now >= last
            last = now
    assert last - start > -60e9
    assert os.stat(path).st_atime == 1  # reading and appending leave it
    changed = os.stat(path).st_ctime_ns
    os.chmod(path, 0o600)
    assert os.stat(path).st_ctime_ns >= changed


@call("st_mtime, st_ctime, st_atime")
def test_directories_have_the_time_of_their_last_change(here):
    for act in (
        lambda: (here.m / "d").mkdir(),
        lambda: (here.m / "f").touch(),
        lambda: os.rename(here.m / "f", here.m / "g"),
        lambda: os.unlink(here.m / "g"),
        lambda: os.rmdir(here.m / "d"),
    ):
        os.utime(here.m, (1, 1))
        act()
        assert os.stat(here.m).st_mtime > 1


@call("statfs, statvfs")
def test_numbers_of_the_cluster(here):
    servers = here.cluster.json("admin", "servers")
    got = os.statvfs(here.m)
    total = sum(server["capacity_bytes"] for server in servers)
    # In thirds, for everything is there three times.
    assert abs(got.f_blocks * got.f_frsize - total / 3) < 1 << 20
    assert 0 < got.f_bavail <= got.f_bfree <= got.f_blocks
    assert got.f_namemax == 255
    (here.m / "f").touch()
    files = os.statvfs(here.m)
    assert files.f_files - files.f_ffree > 0
    (here.m / "g").touch()
    later = os.statvfs(here.m2)
    assert later.f_files - later.f_ffree == files.f_files - files.f_ffree + 1
