"""What append-only means: refused at once, with the right errno, file unchanged."""

import ctypes
import errno
import fcntl
import mmap
import os

import pytest

from tools import bash, fails_with, run, unchanged, wait_until

libc = ctypes.CDLL("libc.so.6", use_errno=True)


def fallocate(fd, mode, offset, length):
    if libc.fallocate(fd, mode, ctypes.c_long(offset), ctypes.c_long(length)) != 0:
        raise OSError(ctypes.get_errno(), "fallocate")


@pytest.fixture
def file(here):
    path = here.m / "log"
    path.write_bytes(b"first\nsecond\n")
    with unchanged(path), unchanged(here.m2 / "log"):
        yield path


def test_shell_overwrite(file):
    result = bash(f"echo no > {file}", check=False)
    assert result.returncode != 0
    assert "Operation not permitted" in result.stderr


def test_cp_over_an_existing_file(file, tmp_path):
    (tmp_path / "new").write_text("new")
    result = run("cp", tmp_path / "new", file, check=False)
    assert result.returncode != 0
    assert "Operation not permitted" in result.stderr


def test_truncate_command(file):
    for size in ("0", "5", "100"):
        result = run("truncate", "-s", size, file, check=False)
        assert result.returncode != 0
        assert "Operation not permitted" in result.stderr


def test_truncate_call(file):
    for size in (0, 5, 14, 1 << 40):
        with fails_with(errno.EPERM):
            os.truncate(file, size)


def test_truncate_to_its_own_size_is_fine(file):
    os.truncate(file, 13)


def test_ftruncate(file):
    fd = os.open(file, os.O_WRONLY | os.O_APPEND)
    with fails_with(errno.EPERM):
        os.ftruncate(fd, 0)
    os.close(fd)


def test_dd_without_append(file):
    result = run("dd", "if=/dev/zero", f"of={file}", "bs=1", "count=4", "conv=notrunc", check=False)
    assert result.returncode != 0
    assert "Operation not permitted" in result.stderr


def test_open_for_overwriting(file):
    for flags in (os.O_WRONLY, os.O_RDWR):
        with fails_with(errno.EPERM):
            os.open(file, flags)


def test_open_with_truncation(file):
    for flags in (os.O_WRONLY, os.O_RDWR, os.O_WRONLY | os.O_CREAT, os.O_WRONLY | os.O_APPEND):
        with fails_with(errno.EPERM):
            os.open(file, flags | os.O_TRUNC)


def test_vim_style_write(file):
    # Vim with backupcopy=yes: open the file itself with O_TRUNC.
    result = run(
        "vim.tiny", "-u", "NONE", "-es", "-c", "set backupcopy=yes", "-c", "normal Oadded",
        "-c", "write!", "-c", "quit!", file, check=False,
    )
    assert b"added" not in file.read_bytes(), result


def test_truncation_of_an_empty_file_is_fine(here):
    (here.m / "empty").touch()
    os.close(os.open(here.m / "empty", os.O_WRONLY | os.O_TRUNC))
    (here.m / "empty").write_text("now it has something")
    assert (here.m2 / "empty").read_text() == "now it has something"


def test_pwrite_not_at_the_end(here):
    fd = os.open(here.m / "new", os.O_RDWR | os.O_CREAT | os.O_EXCL)
    os.write(fd, b"0123456789")
    for offset in (0, 5, 9):
        with fails_with(errno.EPERM):
            os.pwrite(fd, b"x", offset)
    os.pwrite(fd, b"!", 10)
    os.close(fd)
    assert (here.m2 / "new").read_bytes() == b"0123456789!"


def test_gap_by_its_creator_is_zeros(here):
    fd = os.open(here.m / "new", os.O_RDWR | os.O_CREAT | os.O_EXCL)
    os.write(fd, b"head")
    os.pwrite(fd, b"tail", 1000)
    os.close(fd)
    assert (here.m2 / "new").read_bytes() == b"head" + bytes(996) + b"tail"


def test_write_with_append_ignores_the_position(file, here):
    copy = here.m / "other"
    copy.write_bytes(b"0123456789")
    fd = os.open(copy, os.O_WRONLY | os.O_APPEND)
    os.lseek(fd, 3, os.SEEK_SET)
    os.write(fd, b"end")
    os.close(fd)
    assert (here.m2 / "other").read_bytes() == b"0123456789end"


def test_growing_fallocate(file):
    fd = os.open(file, os.O_WRONLY | os.O_APPEND)
    with fails_with(errno.EPERM):
        fallocate(fd, 0, 0, 1000)
    os.close(fd)


def test_punching_and_other_fallocate_modes(file):
    fd = os.open(file, os.O_WRONLY | os.O_APPEND)
    for mode in (0x03, 0x08, 0x10):  # punch hole, collapse, zero range
        with fails_with(errno.EOPNOTSUPP):
            fallocate(fd, mode, 0, 4)
    os.close(fd)


def test_shared_writable_mapping(file):
    # Opening for writing is what a shared writable mapping needs first.
    with fails_with(errno.EPERM):
        os.open(file, os.O_RDWR)
    fd = os.open(file, os.O_RDWR | os.O_APPEND)
    try:
        with fails_with(errno.ENODEV):
            mmap.mmap(fd, 5, mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE)
    finally:
        os.close(fd)


def test_private_mapping_reads(file):
    with open(file, "rb") as opened:
        with mmap.mmap(opened.fileno(), 0, mmap.MAP_PRIVATE, mmap.PROT_READ) as mapped:
            assert mapped[:] == b"first\nsecond\n"


def test_name_too_long(here):
    with fails_with(errno.ENAMETOOLONG):
        os.open(here.m / ("x" * 256), os.O_WRONLY | os.O_CREAT)
    with fails_with(errno.ENAMETOOLONG):
        os.mkdir(here.m / ("x" * 256))


def test_path_not_found(here):
    with fails_with(errno.ENOENT):
        os.open(here.m / "none", os.O_WRONLY | os.O_APPEND)
    with fails_with(errno.ENOENT):
        os.open(here.m / "none/file", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    with fails_with(errno.ENOENT):
        os.rename(here.m / "none", here.m / "other")


def test_not_a_directory(file):
    with fails_with(errno.ENOTDIR):
        os.open(file / "below", os.O_RDONLY)
    with fails_with(errno.ENOTDIR):
        os.rmdir(file)


def test_directory_not_empty(here):
    (here.m / "d").mkdir()
    (here.m / "d/file").touch()
    with fails_with(errno.ENOTEMPTY):
        os.rmdir(here.m2 / "d")
    (here.m / "e").mkdir()
    with fails_with(errno.ENOTEMPTY):
        os.rename(here.m / "e", here.m / "d")
    assert (here.m / "d/file").exists()


def test_directory_as_file(here):
    (here.m / "d").mkdir()
    with fails_with(errno.EISDIR):
        os.open(here.m / "d", os.O_WRONLY | os.O_APPEND)
    with fails_with(errno.EISDIR):
        os.unlink(here.m / "d")


def test_read_only_mount(here):
    (here.m / "file").write_text("x\n")
    with here.cluster.mounted("ro") as point:
        inside = point / here.name[1:]
        assert (inside / "file").read_text() == "x\n"
        for act in (
            lambda: os.open(inside / "file", os.O_WRONLY | os.O_APPEND),
            lambda: os.open(inside / "new", os.O_WRONLY | os.O_CREAT),
            lambda: os.mkdir(inside / "d"),
            lambda: os.unlink(inside / "file"),
            lambda: os.rename(inside / "file", inside / "other"),
            lambda: os.chmod(inside / "file", 0o600),
        ):
            with fails_with(errno.EROFS):
                act()
    assert os.listdir(here.m) == ["file"]


def test_what_is_allowed_on_a_written_file(file, here):
    other = here.m / "other"
    other.write_text("x\n")
    os.chmod(other, 0o600)
    os.chown(other, 1, 2)
    os.utime(other, (1, 2))
    os.rename(other, here.m / "renamed")
    os.link(here.m / "renamed", here.m / "linked")
    os.unlink(here.m / "renamed")
    fcntl.flock(os.open(here.m / "linked", os.O_RDONLY), fcntl.LOCK_SH)
    assert (here.m2 / "linked").read_text() == "x\n"


def test_no_space(make_cluster):
    # A server keeps 256 MiB free for recovery, and its journal takes up to 128 MiB.
    def small_disks(directory):
        for i in (1, 2, 3):
            point = directory / f"cs{i}"
            point.mkdir()
            run("mount", "-t", "tmpfs", "-o", "size=640m", "tmpfs", point)

    cluster = make_cluster(prepare=small_disks, chunk_bytes=16 << 20)
    fd = os.open(cluster.m / "big", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    block = os.urandom(1 << 20)
    acknowledged = 0
    with pytest.raises(OSError) as full:
        while acknowledged < 512:
            for at in range(0, len(block), 65536):
                os.write(fd, block[at : at + 65536])
            os.fsync(fd)
            acknowledged += 1
    assert full.value.errno == errno.ENOSPC
    try:
        os.close(fd)
    except OSError as error:
        assert error.errno == errno.ENOSPC
    data = (cluster.m2 / "big").read_bytes()
    assert len(data) >= acknowledged << 20
    assert data[: acknowledged << 20] == block * acknowledged

    os.unlink(cluster.m2 / "big")

    def room_again():
        with open(cluster.m / "small", "ab", buffering=0) as small:
            small.write(b"room again\n")
            os.fsync(small.fileno())
        return True

    wait_until(room_again, 90)
    assert b"room again\n" in (cluster.m2 / "small").read_bytes()
