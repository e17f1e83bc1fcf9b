"""The master's log in space made ahead: a kill loses nothing, damage is refused."""

import shutil
from pathlib import Path

import pytest

from cluster import STAGE, environment
from tools import run, wait_until

MASTER = STAGE / "sbin" / "appendfs-master"
NAMES = [f"name-{i:03}" for i in range(60)]


@pytest.fixture
def killed(make_cluster):
    """A cluster whose master was killed in the midst of its log, and that log."""
    cluster = make_cluster(chunkservers=1, mounts=1)
    for name in NAMES:
        (cluster.m / name).mkdir()
    cluster.kill("master")
    (log,) = Path(cluster.process("master")["data_dir"]).glob("*.log")
    return cluster, log


def test_killed_master_has_what_it_answered(killed):
    cluster, log = killed
    assert log.stat().st_size > len(log.read_bytes().rstrip(b"\0")) + 4096, "no space ahead"
    cluster.restart("master")
    wait_until(lambda: sorted(p.name for p in cluster.m.iterdir()) == NAMES, timeout=60)


@pytest.mark.parametrize("damage", ["flipped bit", "wiped sector"])
def test_damage_in_the_log_is_refused(killed, tmp_path, damage):
    cluster, log = killed
    copy = tmp_path / "master"
    shutil.copytree(log.parent, copy)
    content = bytearray(log.read_bytes())
    middle = len(content.rstrip(b"\0")) // 2 // 512 * 512
    if damage == "flipped bit":
        content[middle] ^= 1
    else:
        content[middle : middle + 512] = bytes(512)
    (copy / log.name).write_bytes(content)
    result = run(
        MASTER, "--data-dir", copy, "--listen", "127.0.0.1:0", check=False, timeout=60,
        env=environment(),
    )
    assert result.returncode == 1, result.stderr
    assert f"{copy / log.name} is damaged at byte " in result.stderr.splitlines()[-1]
    cluster.restart("master")
