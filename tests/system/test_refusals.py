"""What programs say when append-only refuses them, the file unchanged; the calls are in posix/."""

import errno
import fcntl
import os

import pytest

from tools import bash, run, wait_until


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


def test_dd_without_append(file):
    result = run("dd", "if=/dev/zero", f"of={file}", "bs=1", "count=4", "conv=notrunc", check=False)
    assert result.returncode != 0
    assert "Operation not permitted" in result.stderr


def test_vim_style_write(file):
    # Vim with backupcopy=yes: open the file itself with O_TRUNC.
    result = run(
        "vim.tiny", "-u", "NONE", "-es", "-c", "set backupcopy=yes", "-c", "normal Oadded",
        "-c", "write!", "-c", "quit!", file, check=False,
    )
    assert b"added" not in file.read_bytes(), result


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
