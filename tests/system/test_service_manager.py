"""What systemd is told by the programs, and what it thinks of the units."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
from pathlib import Path

import pytest

from cluster import STAGE, environment, mounts_below
from ports import free_port
from tools import DIES_WITH_US, run

PATIENCE = 60
UNITS = sorted((STAGE / "lib" / "systemd" / "system").glob("*.service"))


@contextlib.contextmanager
def notified(tmp_path, *command):
    """A program that believes that systemd has started it, and what it tells."""
    path = str(tmp_path / f"notify-{Path(command[0]).name}")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(path)
        listening.settimeout(PATIENCE)
        with open(tmp_path / "log", "ab") as log:
            process = subprocess.Popen(
                [*DIES_WITH_US, *(str(part) for part in command)], stdin=subprocess.DEVNULL,
                stdout=log, stderr=log, env=environment(NOTIFY_SOCKET=path),
            )
        try:
            yield process, listening
        finally:
            if process.poll() is None:
                process.kill()
            process.wait(PATIENCE)


def stopped(process, listening):
    process.send_signal(signal.SIGTERM)
    assert b"STOPPING=1" in listening.recv(1000)
    assert process.wait(PATIENCE) == 0


def test_every_daemon_says_when_it_is_ready_and_when_it_stops(tmp_path):
    master = f"127.0.0.1:{free_port()}"
    server = f"127.0.0.1:{free_port()}"
    sbin = STAGE / "sbin"
    mountpoint = tmp_path / "mnt"
    mountpoint.mkdir()
    with notified(
        tmp_path, sbin / "appendfs-master", "--data-dir", tmp_path / "master", "--listen", master
    ) as (master_process, from_master):
        assert b"READY=1" in from_master.recv(1000)
        with notified(
            tmp_path, sbin / "appendfs-chunkserver", "--data-dir", tmp_path / "cs", "--listen",
            server, "--master", master,
        ) as (server_process, from_server):
            assert b"READY=1" in from_server.recv(1000)
            with notified(tmp_path, sbin / "mount.appendfs", "-F", master, mountpoint) as (
                mount_process, from_mount
            ):
                try:
                    assert b"READY=1" in from_mount.recv(1000)
                    assert os.path.ismount(mountpoint)
                    stopped(mount_process, from_mount)
                    assert not mounts_below(tmp_path)
                finally:
                    for left in mounts_below(tmp_path):
                        run("umount", "-l", left)
            stopped(server_process, from_server)
        stopped(master_process, from_master)


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="no systemd-analyze here")
@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_units_are_what_systemd_takes(unit):
    named = str(unit).replace("@.service", "@mnt-logs.service")
    said = run("systemd-analyze", "verify", "--man=no", named, check=False)
    about_ours = [line for line in said.stderr.splitlines() if "appendfs" in line]
    assert not about_ours, said.stderr


def test_units_and_their_directories_are_installed():
    assert {unit.name for unit in UNITS} == {
        "appendfs-master.service", "appendfs-chunkserver.service", "appendfs-mount@.service"
    }
    for unit in UNITS:
        text = unit.read_text(encoding="utf-8")
        assert "Type=notify" in text
        program = next(line for line in text.splitlines() if line.startswith("ExecStart="))
        assert os.access(program.removeprefix("ExecStart=").split()[0], os.X_OK)
    assert "/run/appendfs" in (STAGE / "lib" / "tmpfiles.d" / "appendfs.conf").read_text()
    assert "appendfs" in (STAGE / "lib" / "sysusers.d" / "appendfs.conf").read_text()
