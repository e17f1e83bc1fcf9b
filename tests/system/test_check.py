"""appendfs-chunkserver --check: a data directory verified and explained, offline."""

from pathlib import Path

from cluster import STAGE, environment
from tools import run, wait_until

CHUNKSERVER = STAGE / "sbin" / "appendfs-chunkserver"


def check(data_dir):
    return run(CHUNKSERVER, "--check", data_dir, check=False, env=environment())


def test_check(make_cluster):
    cluster = make_cluster()
    (cluster.m / "f").write_bytes(b"some bytes\n" * 1000)
    data_dir = Path(cluster.process("cs1")["data_dir"])
    in_use = check(data_dir)
    assert in_use.returncode == 3
    assert str(data_dir) in in_use.stderr

    cluster.kill("cs1")
    killed = check(data_dir)
    assert killed.returncode == 0, killed.stdout
    assert "11000 bytes verified" in killed.stdout

    cluster.restart("cs1")
    wait_until(lambda: cluster.admin_status()["health"] == "ok", 60)
    cluster.stop()
    stopped = check(data_dir)
    assert stopped.returncode == 0, stopped.stdout
    for path in data_dir.rglob("*"):
        if path.is_file() and path.name != "lock":
            assert f"{path}: " in stopped.stdout, "a file is not explained"

    raw = next(path for path in data_dir.rglob("*.data") if path.stat().st_size)
    with open(raw, "r+b") as file:
        file.seek(500)
        file.write(b"\xff")
    damaged = check(data_dir)
    assert damaged.returncode == 1
    problem = next(line for line in damaged.stdout.splitlines() if line.startswith("PROBLEM"))
    assert problem.count("chunk=") == 1
    assert "block at 0" in damaged.stdout


def test_check_of_what_is_no_data_directory(tmp_path):
    result = check(tmp_path)
    assert result.returncode == 3
    assert str(tmp_path) in result.stderr
    assert list(tmp_path.iterdir()) == []
