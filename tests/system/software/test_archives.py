"""Compressing, copying and archiving a directory of logs."""

import errno
import filecmp
import os
import subprocess

import pytest

from software.numbered import complete, lines
from software.recipes import recipe
from tools import bash, daemon, fails_with, run


def test_archive_recipes(here, tmp_path):
    for name in ("app.log", *(f"app.log.{i}" for i in range(1, 5))):
        (here.m / name).write_text(lines(0, 5000))
    backup = tmp_path / "backup"
    bash("set -e; " + recipe("archive.sh", {"/mnt/logs": here.m2, "/var/backups/logs": backup}))
    assert sorted(os.listdir(here.m)) == [
        "app.log", "app.log.1.gz", "app.log.2.xz", "app.log.3.zst", "app.log.4", "archive.tar.gz", "kept.log",
    ]
    for unpack in ("zcat app.log.1.gz", "xzcat app.log.2.xz", "zstdcat app.log.3.zst", "tar -xzOf archive.tar.gz",
                   "cat kept.log"):
        assert complete(bash(unpack, cwd=here.m).stdout, 5000), unpack
    (here.m / "kept.log").unlink()  # made after the backup
    assert run("diff", "-r", here.m2, backup).stdout == ""


@pytest.mark.parametrize("tool,expand,suffix", [("xz", "xz -d", "xz"), ("zstd --rm -q", "zstd -d -q --rm", "zst")])
def test_expanding_seeks_over_zeros(here, tmp_path, tool, expand, suffix):
    source = tmp_path / "file"
    with open(source, "wb") as file:
        file.write(b"begin" + bytes(4 << 20) + b"middle" + bytes(4 << 20))  # and zeros at the end
    run("cp", "--sparse=never", source, here.m / "file")
    bash(f"{tool} file", cwd=here.m)
    bash(f"{expand} file.{suffix}", cwd=here.m2)
    assert filecmp.cmp(source, here.m / "file", shallow=False)


def test_tar_and_rsync_of_a_log_that_grows(here, tmp_path):
    log, stop = here.m / "app.log", tmp_path / "stop"
    log.write_text(lines(0, 1000))
    writer = 'i=1000; while :; do echo "line number $i" >> %s; i=$((i+1)); done' % log
    with daemon("bash", "-c", writer):
        # tar says 1 if the file changed while it read.
        tar = run("tar", "-cf", tmp_path / "t.tar", "-C", here.m2, "app.log", check=False)
        assert tar.returncode in (0, 1), tar.stderr
        run("rsync", "-a", f"{here.m2}/", tmp_path / "copy")
        run("cp", "-a", here.m2 / "app.log", tmp_path / "cp")
    for text in (run("tar", "-xOf", tmp_path / "t.tar").stdout, (tmp_path / "copy/app.log").read_text(),
                 (tmp_path / "cp").read_text()):
        count = len(text.splitlines())
        assert count >= 1000 and complete(text, count)
    # To the mount again, twice: the second time the file has grown.
    run("rsync", "-a", f"{tmp_path}/copy/", here.m / "back")
    with open(tmp_path / "copy/app.log", "a", encoding="ascii") as file:
        file.write("more\n")
    run("rsync", "-a", f"{tmp_path}/copy/", here.m / "back")
    assert (here.m2 / "back/app.log").read_text() == (tmp_path / "copy/app.log").read_text()


def test_writing_into_an_existing_copy_is_refused(here, tmp_path):
    (tmp_path / "app.log").write_text(lines(0, 10))
    run("rsync", "-a", tmp_path / "app.log", here.m)
    run("tar", "-cf", here.m / "t.tar", "-C", tmp_path, "app.log")
    tar_before = (here.m2 / "t.tar").read_bytes()
    with open(tmp_path / "app.log", "a", encoding="ascii") as file:
        file.write(lines(10, 20))
    for option in ("--append", "--inplace"):
        assert run("rsync", "-a", option, tmp_path / "app.log", here.m, check=False).returncode != 0
        assert complete((here.m2 / "app.log").read_text(), 10)
    assert run("tar", "-rf", here.m / "t.tar", "-C", tmp_path, "app.log", check=False).returncode != 0
    assert (here.m2 / "t.tar").read_bytes() == tar_before
    with fails_with(errno.EPERM):
        os.close(os.open(here.m / "app.log", os.O_WRONLY))
    assert run("sort", "-r", "-o", here.m / "app.log", here.m / "app.log", check=False).returncode != 0
    assert complete((here.m2 / "app.log").read_text(), 10)


def git(*arguments, cwd):
    who = ["-c", "user.name=A Tester", "-c", "user.email=tester@example.com", "-c", "safe.directory=*"]
    return run("git", *who, *arguments, cwd=cwd, env={**os.environ, "GIT_CONFIG_NOSYSTEM": "1"})


def test_git_clone_from_and_to_the_mount(here, tmp_path):
    made = tmp_path / "made"
    made.mkdir()
    git("init", "-q", "-b", "main", cwd=made)
    for i in range(20):
        (made / f"file{i}").write_text(lines(0, 100 * i))
        git("add", ".", cwd=made)
        git("commit", "-q", "-m", f"Add file {i}", cwd=made)
    git("clone", "-q", "--bare", "--no-local", made, here.m / "bare.git", cwd=tmp_path)
    git("clone", "-q", "--no-local", here.m2 / "bare.git", tmp_path / "out", cwd=tmp_path)
    git("clone", "-q", "--no-local", here.m2 / "bare.git", here.m / "checkout", cwd=tmp_path)
    head = git("rev-parse", "HEAD", cwd=made).stdout
    for clone in (tmp_path / "out", here.m2 / "checkout"):
        assert git("rev-parse", "HEAD", cwd=clone).stdout == head
        assert run("diff", "-r", "-x", ".git", made, clone).stdout == ""
        git("fsck", "--strict", cwd=clone)
