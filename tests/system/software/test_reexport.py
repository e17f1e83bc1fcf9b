"""A mount given on by an NFS server that runs as a program."""

import contextlib
import os
import shutil
import subprocess

import pytest

from ports import free_port
from software.numbered import complete, lines
from software.recipes import write_recipe
from tools import daemon, run, wait_until


@contextlib.contextmanager
def ganesha(directory, tmp_path):
    """The address of an NFS server of that directory, while the block runs."""
    port, log = free_port(), tmp_path / "ganesha.log"
    conf = write_recipe(tmp_path, "ganesha.conf", {"/mnt/logs": directory, "2049": port})
    with daemon(
        "ganesha.nfsd", "-F", "-f", conf, "-L", log, "-p", tmp_path / "ganesha.pid",
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    ):
        wait_until(lambda: "NFS SERVER INITIALIZED" in log.read_text(), 60, "the NFS server is up")
        yield lambda name: f"nfs://127.0.0.1/logs/{name}?version=4&nfsport={port}"


@pytest.mark.skipif(not shutil.which("ganesha.nfsd"), reason="NFS-Ganesha is missing: run ./dev setup")
def test_nfs_reads_what_is_appended_and_renamed(here, tmp_path):
    log = here.m / "app.log"
    log.write_text(lines(0, 5000))
    with ganesha(here.m2, tmp_path) as at:
        assert complete(run("nfs-cat", at("app.log")).stdout, 5000)
        with open(log, "a", encoding="ascii") as file:
            file.write(lines(5000, 6000))
        wait_until(lambda: complete(run("nfs-cat", at("app.log")).stdout, 6000), 60)
        os.rename(log, here.m / "app.log.1")
        wait_until(lambda: "app.log.1" in run("nfs-ls", at("")).stdout, 60)
        assert complete(run("nfs-cat", at("app.log.1")).stdout, 6000)
