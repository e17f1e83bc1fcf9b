"""Servers with several disks: one that fails takes only its own chunks with it."""

import fcntl
import os
import shutil
import struct
import time

import pytest

from cluster import STAGE, environment
from test_failures import MOST_STALL_SECONDS, Writing
from tools import run, wait_until

EXT4_IOC_SHUTDOWN = 0x8004587D  # from then on the file system answers EIO


def disks_of(cluster, name):
    """The server's data directories, as the master knows them."""
    address = cluster.process(name)["address"]
    servers = cluster.json("admin", "servers")
    return next(server for server in servers if server["address"] == address)["disks"]


def wait_for_failure(cluster, name, directory):
    def failed():
        disks = {disk["directory"]: disk for disk in disks_of(cluster, name)}
        return str(directory) in disks and disks[str(directory)]["failure"]

    return wait_until(failed, what=f"{directory} is retired")


def place_of(cluster, name, handle):
    """The directory of this server that the chunk lies in, once it has a file there."""
    file = f"chunks/{handle % 256:02x}/{handle:016x}.data"
    places = [cluster.dir / name, cluster.dir / f"{name}.disk2"]
    return wait_until(
        lambda: next((place for place in places if (place / file).exists()), None), 30,
        f"a file of chunk {handle} at {name}",
    )


def is_running(cluster, name):
    return cluster.process(name)["state"] == "running"


@pytest.mark.alone
@pytest.mark.parametrize("role", ["primary", "replica"])
def test_directory_deleted_below_the_server(make_cluster, tmp_path, role):
    cluster = make_cluster(disks=2, chunk_bytes="1M")
    for i in range(6):  # so that sealed chunks lie on every disk
        (cluster.m / f"sealed{i}").write_bytes(bytes([i]) * 2_000_000)
    writing = Writing(cluster, tmp_path)
    name = getattr(writing, role)()
    lost = place_of(cluster, name, writing.tail_chunk()["handle"])
    before = time.monotonic()
    shutil.rmtree(lost)
    failure = wait_for_failure(cluster, name, lost)
    assert "vanished" in failure or "removed" in failure
    writing.wait_for_more()
    assert writing.acks().longest_stall(before, time.monotonic()) < MOST_STALL_SECONDS
    assert is_running(cluster, name)
    assert [disk["failure"] for disk in disks_of(cluster, name) if disk["directory"] != str(lost)] == [""]
    cluster.wait_healthy(90)  # what it held is copied elsewhere
    status = cluster.admin_status()
    assert status["health"] == "degraded"
    assert [reason for reason in status["reasons"] if str(lost) in reason], status

    cluster.restart(name)  # with one directory missing
    wait_for_failure(cluster, name, lost)
    assert not lost.exists()
    cluster.wait_healthy(90)
    lost.mkdir()  # a new disk
    cluster.restart(name)
    wait_until(lambda: all(disk["failure"] == "" for disk in disks_of(cluster, name)))
    cluster.wait_healthy(90)
    writing.wait_for_more()
    writing.finish()
    for i in range(6):
        assert (cluster.m2 / f"sealed{i}").read_bytes() == bytes([i]) * 2_000_000


def make_loop_disk(directory, image):
    with open(image, "wb") as file:
        file.truncate(1 << 30)
    run("mkfs.ext4", "-q", image)
    directory.mkdir()
    run("mount", "-o", "loop", image, directory)


def break_disk(directory):
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        fcntl.ioctl(descriptor, EXT4_IOC_SHUTDOWN, struct.pack("I", 2))  # nothing is flushed
    finally:
        os.close(descriptor)


@pytest.mark.alone
def test_disk_answers_with_errors(make_cluster, tmp_path):
    def prepare(directory):
        for name in ("cs1", "cs1.disk2"):
            make_loop_disk(directory / name, tmp_path / name)

    cluster = make_cluster(disks=2, chunk_bytes="1M", prepare=prepare)
    for i in range(6):
        (cluster.m / f"sealed{i}").write_bytes(bytes([i]) * 2_000_000)
    writing = Writing(cluster, tmp_path)
    handle = writing.tail_chunk()["handle"]
    lost = place_of(cluster, "cs1", handle)
    before = time.monotonic()
    break_disk(lost)
    wait_for_failure(cluster, "cs1", lost)
    writing.wait_for_more()
    assert writing.acks().longest_stall(before, time.monotonic()) < MOST_STALL_SECONDS
    assert is_running(cluster, "cs1")
    cluster.wait_healthy(90)
    writing.finish()
    for i in range(6):
        assert (cluster.m2 / f"sealed{i}").read_bytes() == bytes([i]) * 2_000_000


@pytest.mark.alone
def test_last_disk_fails(make_cluster, tmp_path):
    cluster = make_cluster(disks=2)
    writing = Writing(cluster, tmp_path)
    before = time.monotonic()
    for place in (cluster.dir / "cs1", cluster.dir / "cs1.disk2"):
        shutil.rmtree(place)
    for place in (cluster.dir / "cs1", cluster.dir / "cs1.disk2"):
        wait_for_failure(cluster, "cs1", place)
    writing.wait_for_more()
    assert writing.acks().longest_stall(before, time.monotonic()) < MOST_STALL_SECONDS
    (cluster.m / "new").write_bytes(b"on the two that are left\n")
    assert is_running(cluster, "cs1")
    log = (cluster.dir / "log" / "cs1.log").read_text(encoding="utf-8")
    assert "no data directory is left" in log
    writing.finish()


def test_check_of_several_directories(make_cluster):
    cluster = make_cluster(disks=2, mounts=1)
    (cluster.m / "f").write_bytes(b"x" * 100_000)
    places = [cluster.dir / "cs1", cluster.dir / "cs1.disk2"]
    chunkserver = STAGE / "sbin" / "appendfs-chunkserver"

    def check(*directories):
        return run(chunkserver, "--check", *directories, check=False, env=environment())

    assert check(*places).returncode == 3  # in use
    cluster.stop()
    together = check(*places)
    assert together.returncode == 0, together.stdout + together.stderr
    assert [line for line in together.stdout.splitlines() if line.endswith(": ok")]
    mixed = check(places[0], cluster.dir / "cs2")
    assert mixed.returncode == 1
    assert "another server" in mixed.stdout
    listen = ["--listen", "127.0.0.1:0", "--master", cluster.master]
    started = run(
        chunkserver, "--data-dir", places[0], "--data-dir", cluster.dir / "cs2", *listen,
        check=False, env=environment(),
    )
    assert started.returncode == 1
    assert "start each server on its own" in started.stderr
