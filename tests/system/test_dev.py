"""`appendfs cluster`: start, status, kill, restart, stop."""

import json
import os
from pathlib import Path

from cluster import APPENDFS, environment, mounts_below
from tools import run, wait_until


def runs(pid):
    """Is there such a process, and not only its zombie?"""
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    except FileNotFoundError:
        return False


def states(cluster):
    return {p["name"]: p["state"] for p in cluster.status()["processes"]}


def test_start_runs_everything(cluster):
    status = cluster.status()
    assert status["running"] is True
    assert status["master"] == cluster.master
    names = [p["name"] for p in status["processes"]]
    assert names == ["master", "cs1", "cs2", "cs3", "mount1", "mount2"]
    for process in status["processes"]:
        assert process["state"] == "running"
        assert Path(f"/proc/{process['pid']}").exists()
        assert Path(process["data_dir"]).is_dir()
        assert Path(process["log"]).exists()
        assert os.getsid(process["pid"]) == process["pid"], "not detached"
    assert len({p["address"] for p in status["processes"] if p["address"]}) == 4


def test_status_for_people(cluster):
    text = run(APPENDFS, "cluster", "status", "--dir", cluster.dir, env=environment()).stdout
    assert text.splitlines()[0].split() == ["NAME", "PID", "ADDRESS", "STATE", "DIRECTORY"]
    assert text.count("running") == 6


def test_start_again_changes_nothing(cluster):
    before = cluster.status()
    cluster.start()
    assert cluster.status() == before


def test_kill_and_restart_by_name(cluster):
    for name in ("cs2", "mount2", "master"):
        before = cluster.process(name)
        cluster.kill(name)
        assert states(cluster)[name] == "dead"
        result = run(
            APPENDFS, "cluster", "status", "--dir", cluster.dir, check=False, env=environment()
        )
        assert result.returncode == 7
        cluster.restart(name)
        after = cluster.process(name)
        assert after["state"] == "running"
        assert after["pid"] != before["pid"]
        assert after["address"] == before["address"]
    assert os.listdir(cluster.m2) == os.listdir(cluster.m)


def test_pause_and_resume(cluster):
    cluster.kill("cs3", "STOP")
    wait_until(lambda: states(cluster)["cs3"] == "paused")
    cluster.kill("cs3", "CONT")
    wait_until(lambda: states(cluster)["cs3"] == "running")


def test_unknown_name(cluster):
    result = run(
        APPENDFS, "cluster", "kill", "cs9", "--dir", cluster.dir, check=False, env=environment()
    )
    assert result.returncode == 3
    assert "master, cs1, cs2, cs3, mount1, mount2" in result.stderr


def test_restart_of_a_running_mount_keeps_the_data(cluster):
    (cluster.m / "keep").write_text("x\n")
    cluster.restart("mount1")
    assert (cluster.m / "keep").read_text() == "x\n"


def test_stop_and_start_keeps_ports_and_data(make_cluster):
    cluster = make_cluster()
    (cluster.m / "f").write_text("x\n")
    addresses = [p["address"] for p in cluster.status()["processes"]]
    pids = [p["pid"] for p in cluster.status()["processes"]]
    cluster.stop()
    assert set(states(cluster).values()) == {"stopped"}
    assert mounts_below(cluster.dir) == []
    assert not any(runs(pid) for pid in pids)
    cluster.start()
    assert [p["address"] for p in cluster.status()["processes"]] == addresses
    assert (cluster.m2 / "f").read_text() == "x\n"


def test_stop_with_an_open_file_and_a_dead_daemon(make_cluster):
    cluster = make_cluster()
    file = open(cluster.m / "f", "ab", buffering=0)
    file.write(b"x\n")
    cluster.kill("mount2")
    cluster.kill("cs1", "STOP")
    cluster.stop()
    assert mounts_below(cluster.dir) == []
    assert set(states(cluster).values()) == {"stopped"}
    try:
        file.close()
    except OSError:
        pass  # its mount is gone


def test_a_recycled_pid_is_not_killed(make_cluster):
    cluster = make_cluster(mounts=0, chunkservers=1)
    cluster.stop()
    layout = json.loads((cluster.dir / "cluster.json").read_text())
    for process in layout["processes"]:
        process["pid"], process["start_time"] = os.getpid(), 1
    (cluster.dir / "cluster.json").write_text(json.dumps(layout))
    assert set(states(cluster).values()) == {"dead"}
    cluster.stop()  # this test would end here otherwise


def test_more_chunkservers_and_mounts_later(make_cluster):
    cluster = make_cluster(mounts=0, chunkservers=2)
    point = cluster.dir / "mnt/later"
    run(
        APPENDFS, "cluster", "start", "--dir", cluster.dir, "--chunkservers", "3", "--mount", point,
        timeout=120, env=environment(),
    )
    (point / "f").write_text("x\n")
    assert states(cluster) == {
        name: "running" for name in ("master", "cs1", "cs2", "cs3", "mount1")
    }
    assert len(cluster.json("admin", "servers")) == 3
