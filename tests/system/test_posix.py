"""The rest of what programs expect of a file system."""

import ctypes
import errno
import os
import stat
import threading
import time

import pytest

from tools import fails_with

libc = ctypes.CDLL("libc.so.6", use_errno=True)
NOREPLACE, EXCHANGE = 1, 2


def renameat2(source, target, flags):
    at_cwd = -100
    if libc.renameat2(at_cwd, os.fsencode(source), at_cwd, os.fsencode(target), flags) != 0:
        raise OSError(ctypes.get_errno(), "renameat2")


# --- names --------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [b"x" * 255, b"-", b"--help", b" ", b"a\nb", b"\xff\xfe", b"\x01", "grüße".encode(), b"..."],
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


def test_deep_directories(here):
    path = here.m.joinpath(*["deep"] * 60)
    path.mkdir(parents=True)
    (path / "f").write_text("x")
    assert here.m2.joinpath(*["deep"] * 60, "f").read_text() == "x"


def test_many_entries(here):
    names = {f"file-{i:05d}" for i in range(3000)}
    for name in names:
        os.close(os.open(here.m / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL))
    assert set(os.listdir(here.m2)) == names
    for entry in os.scandir(here.m):
        assert entry.is_file()
        os.unlink(entry.path)
    assert os.listdir(here.m2) == []


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


def test_exclusive_create_has_one_winner(here):
    wins = []

    def race(mount):
        try:
            os.close(os.open(mount / "f", os.O_WRONLY | os.O_CREAT | os.O_EXCL))
            wins.append(mount)
        except FileExistsError:
            pass

    threads = [threading.Thread(target=race, args=(m,)) for m in (here.m, here.m2) * 8]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(wins) == 1


def test_new_name_is_seen_on_the_other_mount_at_once(here):
    for i in range(50):
        assert not (here.m2 / f"f{i}").exists()
        (here.m / f"f{i}").touch()
        assert (here.m2 / f"f{i}").exists()


# --- rename ---------------------------------------------------------------------


def test_rename_replaces_a_file(here):
    (here.m / "a").write_text("a")
    (here.m / "b").write_text("b")
    reader = os.open(here.m2 / "b", os.O_RDONLY)
    os.rename(here.m / "a", here.m / "b")
    assert os.listdir(here.m2) == ["b"]
    assert (here.m2 / "b").read_text() == "a"
    assert os.read(reader, 10) == b"b"  # open, so still there
    os.close(reader)


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


def test_rename_between_directories_fixes_link_counts(here):
    (here.m / "a/child").mkdir(parents=True)
    (here.m / "b").mkdir()
    os.rename(here.m / "a/child", here.m / "b/child")
    assert os.stat(here.m2 / "a").st_nlink == 2
    assert os.stat(here.m2 / "b").st_nlink == 3
    assert os.stat(here.m2 / "b/child/..").st_ino == os.stat(here.m2 / "b").st_ino


def test_rename_noreplace_and_exchange(here):
    (here.m / "a").write_text("a")
    (here.m / "b").write_text("b")
    with fails_with(errno.EEXIST):
        renameat2(here.m / "a", here.m / "b", NOREPLACE)
    renameat2(here.m / "a", here.m / "b", EXCHANGE)
    assert (here.m2 / "a").read_text() == "b"
    assert (here.m2 / "b").read_text() == "a"
    renameat2(here.m / "a", here.m / "c", NOREPLACE)
    assert sorted(os.listdir(here.m2)) == ["b", "c"]


def test_rename_onto_a_link_of_the_same_file_does_nothing(here):
    (here.m / "a").write_text("x")
    os.link(here.m / "a", here.m / "b")
    os.rename(here.m / "a", here.m / "b")
    assert sorted(os.listdir(here.m2)) == ["a", "b"]


def test_append_through_a_handle_survives_rename(here):
    with open(here.m / "log", "ab", buffering=0) as file:
        file.write(b"one\n")
        os.rename(here.m2 / "log", here.m2 / "log.1")
        file.write(b"two\n")
        (here.m / "log").write_bytes(b"new\n")
        file.write(b"three\n")
    assert (here.m2 / "log.1").read_bytes() == b"one\ntwo\nthree\n"
    assert (here.m2 / "log").read_bytes() == b"new\n"


# --- links ------------------------------------------------------------------------


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
    long_target = "t/" * 2000
    (here.m / "long").symlink_to(long_target)
    assert os.readlink(here.m2 / "long") == long_target


def test_fifo_and_socket_nodes(here):
    os.mkfifo(here.m / "fifo")
    os.mknod(here.m / "socket", stat.S_IFSOCK | 0o600)
    assert stat.S_ISFIFO(os.stat(here.m2 / "fifo").st_mode)
    assert stat.S_ISSOCK(os.stat(here.m2 / "socket").st_mode)


# --- open but unlinked ---------------------------------------------------------------


def test_open_unlinked_file_lives_on(here):
    fd = os.open(here.m / "f", os.O_RDWR | os.O_CREAT | os.O_APPEND)
    os.write(fd, b"before\n")
    os.unlink(here.m / "f")
    os.write(fd, b"after\n")
    assert os.fstat(fd).st_nlink == 0
    assert os.pread(fd, 100, 0) == b"before\nafter\n"
    os.close(fd)


def test_file_open_here_unlinked_there(here):
    (here.m / "f").write_text("x" * 100_000)
    fd = os.open(here.m, os.O_RDONLY | os.O_DIRECTORY)
    reader = os.open("f", os.O_RDONLY, dir_fd=fd)
    os.unlink(here.m2 / "f")
    assert len(os.pread(reader, 200_000, 0)) == 100_000
    os.close(reader)
    os.close(fd)
    assert os.listdir(here.m) == []


# --- attributes ------------------------------------------------------------------------


def test_chmod_and_chown(here):
    (here.m / "f").touch()
    os.chmod(here.m / "f", 0o4751)
    assert os.stat(here.m2 / "f").st_mode & 0o7777 == 0o4751
    os.chown(here.m / "f", 12, 34)
    got = os.stat(here.m2 / "f")
    assert (got.st_uid, got.st_gid) == (12, 34)


def test_umask_and_modes_of_new_names(here):
    old = os.umask(0o027)
    try:
        os.close(os.open(here.m / "f", os.O_WRONLY | os.O_CREAT, 0o666))
        os.mkdir(here.m / "d", 0o777)
    finally:
        os.umask(old)
    assert os.stat(here.m2 / "f").st_mode & 0o7777 == 0o640
    assert os.stat(here.m2 / "d").st_mode & 0o7777 == 0o750


def test_setgid_directory_hands_its_group_on(here):
    (here.m / "d").mkdir()
    os.chown(here.m / "d", 0, 77)
    os.chmod(here.m / "d", 0o2775)
    (here.m / "d/f").touch()
    (here.m / "d/sub").mkdir()
    assert os.stat(here.m2 / "d/f").st_gid == 77
    assert os.stat(here.m2 / "d/sub").st_gid == 77
    assert os.stat(here.m2 / "d/sub").st_mode & stat.S_ISGID


def test_times_that_are_set_stay(here):
    (here.m / "f").write_text("x")
    os.utime(here.m / "f", ns=(1_111_111_111_111_111_111, 1_222_222_222_222_222_222))
    for mount in (here.m, here.m2):
        got = os.stat(mount / "f")
        assert got.st_mtime_ns == 1_222_222_222_222_222_222
        assert got.st_atime_ns == 1_111_111_111_111_111_111


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
    assert abs(last - start) < 60e9


def test_directory_times_and_link_counts(here):
    os.utime(here.m, (1, 1))
    (here.m / "d").mkdir()
    got = os.stat(here.m2)
    assert got.st_mtime > 1
    assert got.st_nlink == 3
    os.rmdir(here.m / "d")
    assert os.stat(here.m).st_nlink == 2


def test_size_and_blocks(here):
    (here.m / "f").write_bytes(bytes(10_000))
    got = os.stat(here.m2 / "f")
    assert got.st_size == 10_000
    assert got.st_blocks * 512 >= 10_000


def test_statvfs(here):
    got = os.statvfs(here.m)
    assert got.f_blocks > 0
    assert 0 < got.f_bavail <= got.f_blocks
    assert got.f_namemax == 255


def test_inode_numbers_agree_and_are_stable(here):
    (here.m / "f").touch()
    inode = os.stat(here.m / "f").st_ino
    assert os.stat(here.m2 / "f").st_ino == inode
    os.rename(here.m / "f", here.m / "g")
    assert os.stat(here.m / "g").st_ino == inode
    (here.m / "f").touch()
    assert os.stat(here.m / "f").st_ino != inode


# --- reading ---------------------------------------------------------------------------


def test_seek_and_pread(here):
    data = os.urandom(1 << 20)
    (here.m / "f").write_bytes(data)
    fd = os.open(here.m2 / "f", os.O_RDONLY)
    for offset, length in ((0, 10), (4095, 2), (65535, 65538), (1 << 19, 1 << 20), (1 << 20, 10)):
        assert os.pread(fd, length, offset) == data[offset : offset + length]
    assert os.lseek(fd, 0, os.SEEK_END) == len(data)
    os.close(fd)


def test_random_reads_of_a_large_file(here):
    import random

    rng = random.Random(1)
    data = rng.randbytes(8 << 20)
    (here.m / "f").write_bytes(data)
    with open(here.m2 / "f", "rb", buffering=0) as file:
        for _ in range(200):
            offset, length = rng.randrange(len(data)), rng.randrange(1, 200_000)
            assert os.pread(file.fileno(), length, offset) == data[offset : offset + length]


def test_empty_file(here):
    (here.m / "f").touch()
    assert (here.m2 / "f").read_bytes() == b""
    assert os.stat(here.m2 / "f").st_size == 0


def test_write_is_read_back_on_the_same_mount_at_once(here):
    fd = os.open(here.m / "f", os.O_RDWR | os.O_CREAT | os.O_APPEND)
    for i in range(200):
        os.write(fd, f"{i:04d}\n".encode())
        assert os.fstat(fd).st_size == 5 * (i + 1)
        assert os.pread(fd, 5, 5 * i) == f"{i:04d}\n".encode()
    os.close(fd)


def test_other_users_are_checked_by_the_kernel(here):
    """default_permissions: modes bind everybody but root (needs allow_other)."""
    with here.cluster.mounted("allow_other") as point:
        inside = point / here.name[1:]
        (here.m / "secret").write_text("x")
        os.chmod(here.m / "secret", 0o600)
        os.chmod(here.m, 0o755)
        for directory in (here.cluster.dir, here.cluster.dir / "mnt"):
            os.chmod(directory, 0o755)
        child = os.fork()
        if child == 0:
            code = 1
            try:
                os.setgid(65534)
                os.setuid(65534)
                os.listdir(inside)
                os.open(inside / "secret", os.O_RDONLY)
            except PermissionError:
                code = 0
            finally:
                os._exit(code)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
