"""Wrong setups: refused soon, with one line that says what and why."""

import os
import shutil
import subprocess
import tempfile
import time

import pytest

from cluster import APPENDFS, STAGE, Cluster, environment, mounts_below
from ports import free_port
from tools import run, wait_until

MASTER = STAGE / "sbin" / "appendfs-master"
CHUNKSERVER = STAGE / "sbin" / "appendfs-chunkserver"
MOUNT = STAGE / "sbin" / "mount.appendfs"


@pytest.fixture(scope="module")
def other_cluster():
    other = Cluster(mounts=0, chunkservers=1)
    yield other
    other.close()


def must_refuse(*command, timeout=40):
    """Runs a program that must end with an error in time; what it said."""
    result = run(*command, check=False, timeout=timeout, env=environment())
    assert result.returncode != 0, f"{command} went well"
    said = (result.stdout + result.stderr).strip()
    assert said, "it failed without a word"
    return said


def test_command_without_master_fails_in_time():
    port = free_port()
    start = time.monotonic()
    result = run(
        APPENDFS, "ls", "/", "--master", f"127.0.0.1:{port}", "--timeout", "3s", check=False,
        env=environment(),
    )
    assert time.monotonic() - start < 10
    assert result.returncode == 5
    assert len(result.stderr.strip().splitlines()) == 1
    assert f"127.0.0.1:{port}" in result.stderr


def test_admin_without_master_names_it():
    result = run(
        APPENDFS, "admin", "status", "--master", "127.0.0.1:1", "--timeout", "3s", check=False,
        env=environment(),
    )
    assert result.returncode == 5
    assert "127.0.0.1:1" in result.stderr


def test_mount_without_master(tmp_path):
    point = tmp_path / "m"
    point.mkdir()
    port = free_port()
    said = must_refuse(MOUNT, f"127.0.0.1:{port}", point)
    assert f"127.0.0.1:{port}" in said
    assert mounts_below(point) == []


def test_mount_on_a_missing_directory(cluster, tmp_path):
    said = must_refuse(MOUNT, cluster.master, tmp_path / "none")
    assert str(tmp_path / "none") in said


def test_chunkserver_directory_of_another_cluster(cluster, other_cluster):
    other_cluster.kill("cs1", "TERM")
    wait_until(lambda: other_cluster.process("cs1")["state"] != "running", 20, "cs1 ends")
    data = other_cluster.process("cs1")["data_dir"]
    said = must_refuse(
        CHUNKSERVER, "--data-dir", data, "--listen", "127.0.0.1:0", "--master", cluster.master
    )
    assert "cluster" in said
    assert len(cluster.json("admin", "servers")) == 3
    other_cluster.restart("cs1")


def test_chunkserver_directory_in_use(cluster):
    data = cluster.process("cs1")["data_dir"]
    said = must_refuse(
        CHUNKSERVER, "--data-dir", data, "--listen", "127.0.0.1:0", "--master", cluster.master
    )
    assert data in said


def test_master_directory_in_use(cluster):
    data = cluster.process("master")["data_dir"]
    must_refuse(MASTER, "--data-dir", data, "--listen", "127.0.0.1:0")


def test_port_in_use(cluster, tmp_path):
    said = must_refuse(MASTER, "--data-dir", tmp_path / "new", "--listen", cluster.master)
    assert cluster.master in said
    said = must_refuse(
        CHUNKSERVER, "--data-dir", tmp_path / "cs", "--listen", cluster.master, "--master",
        cluster.master,
    )
    assert cluster.master in said


def test_data_directory_that_cannot_be_made(tmp_path):
    (tmp_path / "file").write_text("x")
    said = must_refuse(MASTER, "--data-dir", tmp_path / "file/d", "--listen", "127.0.0.1:0")
    assert str(tmp_path / "file") in said


def test_wrong_command_lines():
    for program in (MASTER, CHUNKSERVER, MOUNT, APPENDFS):
        result = run(program, "--no-such-option", check=False, env=environment())
        assert result.returncode != 0
        assert result.stderr.startswith(program.name), result
        assert len(result.stderr.strip().splitlines()) == 1, result
        assert run(program, "--help", env=environment()).stdout
        assert run(program, "--version", env=environment()).stdout


def test_cluster_start_with_a_process_that_fails(make_cluster):
    broken = make_cluster(mounts=0, chunkservers=1)
    broken.stop()
    port = int(broken.master.rsplit(":", 1)[1])
    with subprocess.Popen(
        ["/usr/bin/python3", "-c", "import socket, sys\n"
         f"s = socket.create_server(('127.0.0.1', {port})); print('held', flush=True)\n"
         "sys.stdin.read()"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    ) as holder:
        assert holder.stdout.readline() == "held\n"
        result = run(
            APPENDFS, "cluster", "start", "--dir", broken.dir, check=False, env=environment()
        )
        assert result.returncode != 0
        assert "master" in result.stderr
        assert str(broken.dir / "log/master.log") in result.stderr
        assert all(p["state"] == "stopped" for p in broken.status()["processes"])
        holder.stdin.close()
    broken.start()
    assert all(p["state"] == "running" for p in broken.status()["processes"])


def test_cluster_verbs_on_no_cluster():
    directory = tempfile.mkdtemp(prefix="appendfs-test-")
    for verb in (["status"], ["stop"], ["kill", "cs1"], ["restart", "cs1"]):
        result = run(
            APPENDFS, "cluster", *verb, "--dir", directory, check=False, env=environment()
        )
        assert result.returncode == 3
        assert "no cluster here" in result.stderr
    assert os.listdir(directory) == []
    shutil.rmtree(directory)
