"""The servers' HTTP port: metrics that follow what happens, healthz and readyz."""

import os

from operations.scrape import get, metrics
from tools import wait_until


def test_metrics_follow_appends_and_a_lost_server(make_cluster):
    cluster = make_cluster(mounts=1)
    cluster.wait_healthy()
    servers = {name: cluster.process(name)["address"] for name in ("cs1", "cs2", "cs3")}
    before = {name: metrics(address) for name, address in servers.items()}
    with open(cluster.m / "log", "ab", buffering=0) as log:
        for _ in range(10):
            log.write(b"x" * 1000)
            os.fsync(log.fileno())

    durable, commits = ("appendfs_store_append_bytes_total", ()), ("appendfs_store_commit_seconds_count", ())

    def all_have_it():
        for name, address in servers.items():
            now = metrics(address)
            assert now[durable] - before[name].get(durable, 0) == 10_000
            assert now[commits] > before[name].get(commits, 0)
        return True

    wait_until(all_have_it, 30, "10,000 bytes on three servers")
    master = cluster.master
    said = metrics(master)
    assert said["appendfs_cluster_health", (("health", "ok"),)] == 1
    assert said["appendfs_cluster_chunks", (("state", "open"),)] == 1
    up = {labels: value for (name, labels), value in said.items() if name == "appendfs_server_up"}
    assert list(up.values()) == [1, 1, 1]

    cluster.kill("cs3")

    def it_is_down():
        now = metrics(master)
        down = [dict(labels)["address"] for (name, labels), value in now.items()
                if name == "appendfs_server_up" and value == 0]
        return down == [servers["cs3"]] and now["appendfs_cluster_health", (("health", "degraded"),)] == 1

    wait_until(it_is_down, 30, "the lost server in the metrics")


def test_readiness_follows_the_cluster(make_cluster):
    cluster = make_cluster(mounts=0)
    cluster.wait_healthy()
    master, server = cluster.master, cluster.process("cs1")["address"]
    for address in (master, server):
        assert get(address, "/healthz") == (200, "ok\n")
        wait_until(lambda address=address: get(address, "/readyz") == (200, "ok\n"), 30, "ready")
    for name in ("cs2", "cs3"):
        cluster.kill(name)
    wait_until(lambda: get(master, "/readyz")[0] == 503, 30, "one server is too few")
    assert "chunkservers are alive" in get(master, "/readyz")[1]
    assert get(master, "/healthz") == (200, "ok\n")
    for name in ("cs2", "cs3"):
        cluster.restart(name)
    wait_until(lambda: get(master, "/readyz")[0] == 200, 60, "ready again")
