"""Fluent Bit, Filebeat, Vector and Promtail are not in Debian: what they do with a file they
follow is done here call by call."""

import os

import pytest

from software.followers import ByFingerprint, ByInode, ByPath
from software.numbered import lines
from tools import wait_until

SHIPPERS = {
    "fluent-bit": lambda directory, registry: ByInode(directory / "app.log", registry),
    "filebeat": lambda directory, registry: ByFingerprint(directory, "app.log*", registry),
    "vector": lambda directory, registry: ByFingerprint(directory, "app.log*", registry, 14),
    "promtail": lambda directory, registry: ByPath(directory / "app.log", registry),
}


def append(path, start, end):
    with open(path, "a", encoding="ascii") as file:
        for number in range(start, end):
            print(f"line number {number}", file=file, flush=True)


def wait_shipped(shipper, end, start=0):
    def shipped():
        shipper.poll()
        assert len(shipper.got) <= len(lines(start, end)), "more than there is was read"
        return shipper.got == lines(start, end).encode()

    wait_until(shipped, 60, f"lines {start} to {end} are shipped")


@pytest.mark.parametrize("name", SHIPPERS)
def test_shipper_follows_through_rotations_and_a_restart(here, name):
    registry = {}
    shipper = SHIPPERS[name](here.m2, registry)
    for generation in range(3):
        start = generation * 1000
        for end in (start + 100, start + 1000):  # it looks in between
            append(here.m / "app.log", end - (100 if end == start + 100 else 900), end)
            wait_shipped(shipper, end)
        if generation == 2:
            break
        os.rename(here.m / "app.log", here.m / f"app.log.{2 - generation}")
    shipper.close()
    append(here.m / "app.log", 3000, 3100)
    shipper = SHIPPERS[name](here.m2, registry)
    wait_shipped(shipper, 3100, 3000)
    shipper.close()


def test_vector_reads_what_is_renamed_and_compressed_no_second_time(here):
    registry = {}
    shipper = SHIPPERS["vector"](here.m2, registry)
    append(here.m / "app.log", 0, 500)
    wait_shipped(shipper, 500)
    for name in ("app.log.1", "app.log.2"):
        newest = max(here.m.glob("app.log*"), key=lambda path: path.name)
        os.rename(newest, here.m / name)
        shipper.poll()
    assert shipper.got == lines(0, 500).encode()


@pytest.mark.parametrize("name", SHIPPERS)
def test_shipper_goes_on_after_a_remount(make_cluster, name):
    cluster = make_cluster()
    log, registry = cluster.m / "app.log", {}
    append(log, 0, 500)
    shipper = SHIPPERS[name](cluster.m2, registry)
    wait_shipped(shipper, 500)
    before = os.stat(cluster.m2 / "app.log")
    shipper.close()
    cluster.restart("mount2")
    append(log, 500, 1000)
    assert os.stat(cluster.m2 / "app.log").st_ino == before.st_ino == os.stat(log).st_ino
    shipper = SHIPPERS[name](cluster.m2, registry)
    wait_shipped(shipper, 1000, 500)
    shipper.close()


def test_follower_on_each_mount_while_both_append(here):
    """Every look shows a prefix of what there is, from either side."""
    shippers = [SHIPPERS["fluent-bit"](mount, {}) for mount in (here.m, here.m2)]
    for number in range(100):
        append((here.m, here.m2)[number % 2] / "app.log", number, number + 1)
        for shipper in shippers:
            shipper.poll()
            assert shipper.got == lines(0, number + 1).encode()
    for shipper in shippers:
        shipper.close()
