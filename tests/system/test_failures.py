"""Processes die and come back while a writer runs with fsync per line."""

import os
import time

import pytest

from lines import check
from tools import Acks, finish_writer, start_writer, wait_until

MOST_STALL_SECONDS = 3


class Writing:
    """A writer on M with fsync per line, until it is told to stop."""

    def __init__(self, cluster, tmp_path, path="f", name="w"):
        self.cluster, self.path, self.name = cluster, path, name
        self.acks_path, self.stop_path = tmp_path / f"{name}.acks", tmp_path / f"{name}.stop"
        self.process = start_writer(
            cluster.m / path, name, 0, self.acks_path, "--fsync", "--stop", self.stop_path
        )
        self.wait_for_more()

    def acks(self):
        return Acks(self.acks_path) if self.acks_path.exists() else None

    def wait_for_more(self, lines=20, timeout=60):
        acks = self.acks()
        start = len(acks.sequences) if acks else 0
        wait_until(
            lambda: self.acks() and len(self.acks().sequences) >= start + lines, timeout,
            "the writer goes on",
        )

    def finish(self):
        self.stop_path.touch()
        finish_writer(self.process)
        acks = self.acks()
        assert not acks.errors, f"appends failed: {acks.errors[:5]}"
        for mount in self.cluster.mount_points:
            data = (mount / self.path).read_bytes()
            check(data, {self.name: acks.sequences}, {self.name: acks.attempted()})
        return acks

    def tail_chunk(self):
        return self.cluster.admin_file(f"/{self.path}")["chunks"][-1]

    def primary(self):
        def find():
            return next((r for r in self.tail_chunk()["replicas"] if r["primary"]), None)

        return self.cluster.name_of_server(wait_until(find)["address"])

    def replica(self):
        def find():
            replicas = self.tail_chunk()["replicas"]
            if not any(r["primary"] for r in replicas):
                return None
            return next((r for r in replicas if not r["primary"]), None)

        return self.cluster.name_of_server(wait_until(find)["address"])


def lose(cluster, writing, name, signal_name="KILL"):
    """Loses a process for a while; how long appends stalled meanwhile."""
    before = time.monotonic()
    cluster.kill(name, signal_name)
    writing.wait_for_more()
    writing.wait_for_more()
    if signal_name == "STOP":
        cluster.kill(name, "CONT")
    else:
        cluster.restart(name)
    writing.wait_for_more()
    after = time.monotonic()
    cluster.wait_healthy(90)
    return writing.acks().longest_stall(before, after)


@pytest.mark.alone
def test_kill_replica_then_primary_then_master(make_cluster, tmp_path):
    cluster = make_cluster()
    writing = Writing(cluster, tmp_path)
    stalls = {
        "replica": lose(cluster, writing, writing.replica()),
        "primary": lose(cluster, writing, writing.primary()),
    }
    lose(cluster, writing, "master")
    writing.finish()
    assert max(stalls.values()) <= MOST_STALL_SECONDS, stalls


@pytest.mark.alone
def test_kill_each_chunkserver_in_turn(make_cluster, tmp_path):
    cluster = make_cluster()
    writing = Writing(cluster, tmp_path)
    stalls = {name: lose(cluster, writing, name) for name in ("cs1", "cs2", "cs3")}
    writing.finish()
    assert max(stalls.values()) <= MOST_STALL_SECONDS, stalls


@pytest.mark.alone
@pytest.mark.parametrize("role", ["replica", "primary"])
def test_paused_server_does_not_stop_appends(make_cluster, tmp_path, role):
    cluster = make_cluster()
    writing = Writing(cluster, tmp_path)
    stall = lose(cluster, writing, getattr(writing, role)(), "STOP")
    writing.finish()
    assert stall <= MOST_STALL_SECONDS


def test_appends_go_on_without_a_master(make_cluster, tmp_path):
    cluster = make_cluster()
    writing = Writing(cluster, tmp_path)
    cluster.kill("master")
    writing.wait_for_more(100, 10)
    cluster.restart("master")
    writing.wait_for_more()
    writing.finish()


def test_namespace_survives_the_master(make_cluster):
    cluster = make_cluster()
    for i in range(50):
        (cluster.m / f"d{i % 5}").mkdir(exist_ok=True)
        (cluster.m / f"d{i % 5}/f{i}").write_text(f"{i}\n")
    cluster.kill("master")
    cluster.restart("master")
    for i in range(50):
        assert (cluster.m2 / f"d{i % 5}/f{i}").read_text() == f"{i}\n"
    (cluster.m / "d0/after").write_text("new\n")
    assert (cluster.m2 / "d0/after").read_text() == "new\n"


def test_two_servers_lost_appends_wait_and_then_go_on(make_cluster, tmp_path):
    cluster = make_cluster()
    writing = Writing(cluster, tmp_path)
    primary, replica = writing.primary(), writing.replica()
    cluster.kill(primary)
    cluster.kill(replica)
    cluster.restart(replica)
    writing.wait_for_more(timeout=30)
    cluster.restart(primary)
    writing.wait_for_more()
    cluster.wait_healthy(90)
    writing.finish()


def test_names_work_while_a_file_has_no_quorum(make_cluster):
    cluster = make_cluster()
    log, rotated, spare = (cluster.m / name for name in ("a.log", "a.log.1", "b.log"))
    for path in (log, spare):
        with open(path, "ab", buffering=0) as file:
            file.write(b"line\n")
            os.fsync(file.fileno())
    for name in ("cs1", "cs2"):
        cluster.kill(name)
    began = time.monotonic()
    os.rename(log, rotated)
    os.unlink(spare)
    assert "a.log.1" in os.listdir(cluster.m2)
    assert time.monotonic() - began < 10
    for name in ("cs1", "cs2"):
        cluster.restart(name)
    wait_until(lambda: (cluster.m2 / "a.log.1").read_bytes() == b"line\n", 60)


def test_everything_killed_at_once(make_cluster, tmp_path):
    cluster = make_cluster()
    writing = Writing(cluster, tmp_path)
    for name in ("cs1", "cs2", "cs3", "master"):
        cluster.kill(name)
    for name in ("master", "cs1", "cs2", "cs3"):
        cluster.restart(name)
    writing.wait_for_more(timeout=60)
    cluster.wait_healthy(90)
    writing.finish()


def test_whole_cluster_stopped_and_started(make_cluster):
    cluster = make_cluster()
    (cluster.m / "f").write_text("before\n")
    cluster.stop()
    assert not (cluster.m / "f").exists()
    cluster.start()
    assert (cluster.m / "f").read_text() == "before\n"
    with open(cluster.m2 / "f", "a", encoding="ascii") as file:
        file.write("after\n")
    assert (cluster.m / "f").read_text() == "before\nafter\n"


def test_killed_mount_loses_nothing_acknowledged(make_cluster, tmp_path):
    cluster = make_cluster()
    acks_path = tmp_path / "acks"
    process = start_writer(cluster.m / "f", "w", 0, acks_path, "--fsync", "--stop", tmp_path / "stop")
    wait_until(lambda: acks_path.exists() and len(Acks(acks_path).sequences) > 50)
    cluster.kill("mount1")
    (tmp_path / "stop").touch()
    process.communicate(timeout=30)
    acks = Acks(acks_path)
    data = (cluster.m2 / "f").read_bytes()
    check(data, {"w": acks.sequences}, {"w": acks.attempted() + [len(acks.attempted())]})
    cluster.restart("mount1")
    with open(cluster.m / "f", "ab", buffering=0) as file:
        file.write(b"x" * 10 + b"\n")
    assert (cluster.m2 / "f").read_bytes() == data + b"x" * 10 + b"\n"


def test_stop_flushes_what_was_written(make_cluster):
    cluster = make_cluster()
    with open(cluster.m / "f", "ab", buffering=0) as file:
        for i in range(1000):
            file.write(f"line {i}\n".encode())
    cluster.stop()
    cluster.start()
    assert (cluster.m / "f").read_text() == "".join(f"line {i}\n" for i in range(1000))


def test_reader_survives_the_loss_of_a_server(make_cluster):
    cluster = make_cluster(chunk_bytes=1 << 20)
    content = os.urandom(6 << 20)
    (cluster.m / "f").write_bytes(content)
    for name in ("cs1", "cs2", "cs3"):
        cluster.kill(name)
        start = time.monotonic()
        assert (cluster.m2 / "f").read_bytes() == content
        assert time.monotonic() - start < 15
        cluster.restart(name)
        cluster.wait_healthy(90)
