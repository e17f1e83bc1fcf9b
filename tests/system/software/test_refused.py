"""What cannot work on files that only grow: it fails at once, says why, and harms nothing."""

import errno
import mmap
import os
import sqlite3

import pytest

from tools import fails_with, run


def test_logrotate_copytruncate(here, tmp_path):
    log = here.m / "app.log"
    here.m.chmod(0o755)
    log.write_text("keep me\n")
    conf = tmp_path / "logrotate.conf"
    conf.write_text(f"{log} {{\n copytruncate\n rotate 1\n}}\n")
    conf.chmod(0o644)
    said = run("logrotate", "--force", "--state", tmp_path / "state", conf, check=False)
    assert said.returncode != 0
    assert "Operation not permitted" in said.stderr
    assert (here.m2 / "app.log").read_text() == "keep me\n"


def test_writing_through_a_shared_mapping(here):
    (here.m / "app.log").write_bytes(b"x" * 8192)
    fd = os.open(here.m / "new", os.O_RDWR | os.O_CREAT)
    os.write(fd, b"x" * 8192)
    with fails_with(errno.ENODEV):
        mmap.mmap(fd, 8192, mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE)
    os.close(fd)
    assert (here.m2 / "new").read_bytes() == b"x" * 8192


def test_reading_through_a_private_mapping(here):
    (here.m / "app.log").write_bytes(bytes(range(256)) * 64)
    with open(here.m2 / "app.log", "rb") as file:
        with mmap.mmap(file.fileno(), 0, mmap.MAP_PRIVATE, mmap.PROT_READ) as mapped:
            assert mapped[:] == bytes(range(256)) * 64


@pytest.mark.parametrize("journal", ["delete", "wal"])
def test_sqlite(here, journal):
    with pytest.raises(sqlite3.Error):
        with sqlite3.connect(here.m / "data.db", timeout=5) as database:
            database.execute(f"PRAGMA journal_mode={journal}")
            database.execute("CREATE TABLE t (x)")
            for value in range(10):
                database.execute("INSERT INTO t VALUES (?)", (value,))
                database.commit()


def test_opening_with_truncation(here):
    (here.m / "app.log").write_text("keep me\n")
    with fails_with(errno.EPERM):
        os.open(here.m / "app.log", os.O_WRONLY | os.O_TRUNC)
    assert (here.m2 / "app.log").read_text() == "keep me\n"


def test_shred(here):
    (here.m / "app.log").write_text("keep me\n")
    assert run("shred", "-n", "1", here.m / "app.log", check=False).returncode != 0
    assert (here.m2 / "app.log").read_text() == "keep me\n"
