"""mount.appendfs as mount(8), fstab(5) and systemd call it."""

import errno

import pytest

from cluster import STAGE, environment, mounts_below
from ports import free_port
from tools import fails_with, run

MOUNT = STAGE / "sbin" / "mount.appendfs"


def call(*arguments, check=True):
    return run(MOUNT, *arguments, check=check, timeout=60, env=environment())


@pytest.fixture
def point(tmp_path):
    directory = tmp_path / "mnt"
    directory.mkdir()
    yield directory
    for left in mounts_below(tmp_path):
        run("umount", "-l", left)


def test_fake_checks_and_mounts_nothing(cluster, point):
    said = call(cluster.master, point, "-fv")
    assert str(point) in said.stdout and cluster.master in said.stdout
    assert not mounts_below(point)
    # It does not even ask the master.
    call(f"127.0.0.1:{free_port()}", point, "-f")
    refused = call(cluster.master, point, "-f", "-o", "frobnicate", check=False)
    assert refused.returncode == 1 and "frobnicate" in refused.stderr
    refused = call(cluster.master, point / "missing", "-f", check=False)
    assert refused.returncode == 1 and "missing" in refused.stderr


# Into a file, as mounted() does: the daemon keeps what it inherits.
def mount(log, *arguments):
    command = " ".join(f"'{argument}'" for argument in (MOUNT, *arguments))
    done = run("bash", "-c", f"{command} >'{log}' 2>&1", check=False, timeout=60, env=environment())
    assert done.returncode == 0, log.read_text(encoding="utf-8")
    return log.read_text(encoding="utf-8")


def test_what_fstab_carries_for_others_is_accepted(cluster, point, tmp_path):
    said = mount(
        tmp_path / "log", cluster.master, point, "-n", "-v", "-s", "-o",
        "ro,_netdev,nofail,x-systemd.automount,x-systemd.idle-timeout=60,defaults,noauto,user",
    )
    assert f"mounted {cluster.master} on {point}" in said
    assert mounts_below(point)
    with fails_with(errno.EROFS):
        (point / "new").touch()
    run("umount", point)


def test_several_masters_and_a_directory(cluster, point, tmp_path):
    (cluster.m / "sub" / "dir").mkdir(parents=True)
    (cluster.m / "sub" / "dir" / "file").write_bytes(b"x")
    nobody = f"127.0.0.1:{free_port()}"
    mount(tmp_path / "log", f"{nobody},{cluster.master}/sub/dir/", point)
    assert (point / "file").read_bytes() == b"x"
    assert [entry.name for entry in point.iterdir()] == ["file"]
    run("umount", point)
