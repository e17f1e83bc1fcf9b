"""Mounts as their owners control them: numbers, letting go of what waits, leaving."""

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from cluster import APPENDFS, environment, mounts_below
from tools import DIES_WITH_US, run, wait_until

PATIENCE = 90  # seconds until a test gives up; what is asserted is what happens

# Nothing in these tests ends by itself: the mounts wait for ten minutes.
STUBBORN = "timeout=10m"


def appendfs(*arguments, check=True):
    return run(APPENDFS, *arguments, check=check, timeout=PATIENCE * 2, env=environment())


def stats(mount):
    return json.loads(appendfs("mount-stats", mount, "--json").stdout)


def listed(mount):
    """What `appendfs mounts` says of one mount; None if it is not there."""
    said = appendfs("mounts", "--json", check=False)
    assert said.returncode in (0, 7), said.stderr
    return next((m for m in json.loads(said.stdout) if m["mountpoint"] == str(mount)), None)


def waiting(mount, call):
    return [w for w in stats(mount)["waiting"] if w["call"] == call]


def start(script, *arguments, stdin=subprocess.DEVNULL):
    """A Python program of its own that says how it fared: nothing, or an errno's name."""
    body = "import errno, os, sys\ntry:\n" + "".join(f"    {line}\n" for line in script.splitlines())
    body += "except OSError as error:\n    print(errno.errorcode[error.errno])\n"
    return subprocess.Popen(
        [*DIES_WITH_US, sys.executable, "-c", body, *(str(a) for a in arguments)],
        stdin=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )


def outcome(process):
    said, _ = process.communicate(timeout=PATIENCE)
    return said.strip()


# Not with O_APPEND: before such a write the kernel asks for the size, and waits there.
WRITE_TWICE = """
file = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_DSYNC)
os.write(file, b"before\\n")
print("ready", flush=True)
sys.stdin.readline()
os.write(file, b"blocked\\n")
"""


def writer(path, before=""):
    """A program that has written a line, and writes another one when told to."""
    process = start(before + WRITE_TWICE, path, stdin=subprocess.PIPE)
    assert process.stdout.readline() == "ready\n"
    return process


def write_on(process, mount):
    """Tells it to; what the mount says of the write that waits."""
    process.stdin.write("\n")
    process.stdin.flush()
    return wait_until(lambda: waiting(mount, "write"), PATIENCE)[0]


@contextlib.contextmanager
def no_quorum(cluster):
    """Two of three chunkservers do not answer while the block runs."""
    cluster.kill("cs1", "STOP")
    cluster.kill("cs2", "STOP")
    try:
        yield
    finally:
        cluster.kill("cs1", "CONT")
        cluster.kill("cs2", "CONT")


@contextlib.contextmanager
def no_master(cluster):
    cluster.kill("master", "STOP")
    try:
        yield
    finally:
        cluster.kill("master", "CONT")


@pytest.fixture(scope="module")
def stubborn():
    from cluster import Cluster

    shared = Cluster(mount_options=STUBBORN)
    yield shared
    shared.close()


def gone(pid):
    """Ended, whether or not its parent has asked how."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return True


# --- numbers ------------------------------------------------------------------


def test_stats_of_a_healthy_mount(stubborn):
    path = stubborn.m / "numbers"
    with open(path, "ab", buffering=0) as file:
        for _ in range(10):
            file.write(b"line\n")
            os.fsync(file.fileno())
        said = stats(stubborn.m)
    assert said["mountpoint"] == str(stubborn.m)
    assert said["source"] == stubborn.master
    assert said["calls"]["fsync"]["count"] >= 10
    assert said["calls"]["write"]["count"] >= 10
    fsync = said["calls"]["fsync"]
    assert 0 < fsync["p50_us"] <= fsync["p99_us"] <= fsync["max_us"]
    assert said["file_handles"] >= 1
    assert said["queued_bytes"] == 0
    assert said["resident_bytes"] > 1 << 20
    assert "timeout=10m" in said["options"]
    # What was closed is let go.
    wait_until(lambda: stats(stubborn.m)["file_handles"] == 0, PATIENCE)
    text = appendfs("mount-stats", stubborn.m).stdout
    assert "fsync" in text and str(stubborn.m) in text


def test_stats_watched_end_when_nobody_reads(stubborn):
    watching = subprocess.Popen(
        [*DIES_WITH_US, APPENDFS, "mount-stats", "--watch", "--interval", "10ms", "--json", stubborn.m],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment(),
    )
    for _ in range(3):
        assert json.loads(watching.stdout.readline())["mountpoint"] == str(stubborn.m)
    watching.stdout.close()
    watching.wait(PATIENCE)


def test_mounts_are_listed_and_others_are_named_as_unknown(stubborn):
    for point in stubborn.mount_points:
        one = listed(point)
        assert one["state"] == "serving"
        assert one["source"] == stubborn.master
        assert one["pid"] > 0
    for verb in ("mount-stats", "abort", "umount"):
        refused = appendfs(verb, stubborn.dir, check=False)
        assert refused.returncode == 3
        assert str(stubborn.dir) in refused.stderr and "appendfs mounts" in refused.stderr


# --- letting go -----------------------------------------------------------------


def test_stats_answer_while_the_mount_is_stuck(stubborn):
    path = stubborn.m / "stuck"
    blocked = writer(path)
    with no_quorum(stubborn):
        write = write_on(blocked, stubborn.m)
        assert write["pid"] == blocked.pid
        said = wait_until(
            lambda: (s := stats(stubborn.m)) and s["queues"] and s["queues"][0]["reason"] and s, PATIENCE
        )
        assert said["queued_records"] == 1
        assert said["queues"][0]["inode"] == write["inode"]
        assert listed(stubborn.m)["waiting"] >= 1
    assert outcome(blocked) == ""
    assert path.read_bytes() == b"before\nblocked\n"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL, signal.SIGTERM])
def test_signal_releases_a_blocked_writer(stubborn, number):
    path = stubborn.m / f"signal-{number.name}"
    blocked = writer(path, "import signal\nsignal.signal(signal.SIGINT, signal.SIG_DFL)\n")
    with no_quorum(stubborn):
        write_on(blocked, stubborn.m)
        blocked.send_signal(number)
        assert blocked.wait(PATIENCE) == -number
        blocked.communicate()
    appendfs("abort", stubborn.m)  # the record may still be under way
    assert path.read_bytes() in (b"before\n", b"before\nblocked\n")


def test_signal_that_is_caught_ends_the_write_with_an_error(stubborn):
    catching = """
import signal
def catch(*_):
    os.write(1, b"caught\\n")
    os._exit(17)
signal.signal(signal.SIGINT, catch)
"""
    blocked = writer(stubborn.m / "caught", catching)
    with no_quorum(stubborn):
        write_on(blocked, stubborn.m)
        blocked.send_signal(signal.SIGINT)
        # Python runs its handler when the call has returned.
        wait_until(lambda: select.select([blocked.stdout], [], [], 0)[0], PATIENCE)
        # It exits, which closes the file; that waits, as always, for what was sent.
        appendfs("abort", stubborn.m)
        assert outcome(blocked) == "caught"
        assert blocked.returncode == 17


def test_signal_releases_who_waits_for_the_master(stubborn):
    (stubborn.m / "there").write_bytes(b"x")
    with no_master(stubborn):
        looking = start('os.stat(sys.argv[1] + "/there")', stubborn.m)
        opening = start('os.open(sys.argv[1] + "/new", os.O_CREAT | os.O_WRONLY)', stubborn.m)
        wait_until(lambda: len(stats(stubborn.m)["waiting"]) >= 2, PATIENCE)
        for process in (looking, opening):
            process.kill()
            process.wait(PATIENCE)
            process.communicate()
        wait_until(lambda: not stats(stubborn.m)["waiting"], PATIENCE)
    assert (stubborn.m / "there").read_bytes() == b"x"


def test_abort_frees_an_append_and_who_waits_behind_it(stubborn):
    path = stubborn.m / "renamed"
    blocked = writer(path)
    with no_quorum(stubborn):
        write_on(blocked, stubborn.m)
        behind = start("os.rename(sys.argv[1], sys.argv[1] + '.1')", path)
        # In the kernel, behind the append, or in the mount, for the queue it stands in.
        wait_until(
            lambda: Path(f"/proc/{behind.pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "D"
            or [w for w in stats(stubborn.m)["waiting"] if w["pid"] == behind.pid],
            PATIENCE,
        )
        freed = json.loads(appendfs("abort", stubborn.m, "--json").stdout)
        assert freed["records"] == 1 and freed["calls"] >= 1
        assert outcome(blocked) == "EIO"
        assert outcome(behind) in ("", "EIO")
        said = stats(stubborn.m)
        assert said["queued_records"] == 0 and not waiting(stubborn.m, "write")
    # The mount lives on.
    renamed = path if path.exists() else Path(f"{path}.1")
    with open(renamed, "ab", buffering=0) as file:
        file.write(b"after\n")
        os.fsync(file.fileno())
    assert renamed.read_bytes() in (b"before\nafter\n", b"before\nblocked\nafter\n")
    assert stubborn.m2.joinpath(renamed.name).read_bytes() == renamed.read_bytes()


def test_abort_frees_an_fsync(stubborn):
    blocked = start(
        "file = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT)\n"
        "os.write(file, b'first')\nos.fsync(file)\n"
        "print('ready', flush=True)\nsys.stdin.readline()\n"
        "os.write(file, b'blocked')\nos.fsync(file)",
        stubborn.m / "fsynced", stdin=subprocess.PIPE,
    )
    assert blocked.stdout.readline() == "ready\n"
    with no_quorum(stubborn):
        blocked.stdin.write("\n")
        blocked.stdin.flush()
        wait_until(lambda: waiting(stubborn.m, "fsync"), PATIENCE)
        appendfs("abort", stubborn.m)
        assert outcome(blocked) == "EIO"


def test_abort_frees_who_waits_for_the_master(stubborn):
    with no_master(stubborn):
        looking = start('os.stat(sys.argv[1] + "/nothing")', stubborn.m)
        wait_until(lambda: stats(stubborn.m)["waiting"], PATIENCE)
        appendfs("abort", stubborn.m)
        assert outcome(looking) == "EIO"


# --- leaving ----------------------------------------------------------------------


def lines(count):
    return b"".join(b"line %d\n" % i for i in range(count))


def test_dead_mount_is_listed_and_taken_away_and_lost_nothing_that_was_fsynced(stubborn):
    with stubborn.mounted(STUBBORN) as point:
        with open(point / "fsynced-before", "ab", buffering=0) as file:
            file.write(lines(100))
            os.fsync(file.fileno())
            pid = stats(point)["pid"]
            os.kill(pid, signal.SIGKILL)
            wait_until(lambda: gone(pid), PATIENCE)
            with contextlib.suppress(OSError):
                file.close()
        assert wait_until(lambda: listed(point)["state"] == "dead", PATIENCE)
        for verb in ("mount-stats", "abort"):
            refused = appendfs(verb, point, check=False)
            assert refused.returncode == 5 and "appendfs umount" in refused.stderr
        said = appendfs("umount", point)
        assert "gone" in said.stdout
        assert listed(point) is None and not mounts_below(point)
        assert not list(point.iterdir())
    assert (stubborn.m / "fsynced-before").read_bytes() == lines(100)


def test_umount_waits_until_all_is_durable(stubborn):
    with stubborn.mounted(STUBBORN) as point:
        pid = stats(point)["pid"]
        # Killed, so that nobody has waited for what it wrote.
        blocked = start(
            "file = os.open(sys.argv[1], os.O_WRONLY | os.O_APPEND | os.O_CREAT)\n"
            "for i in range(2000): os.write(file, b'line %d\\n' % i)\n"
            "os.kill(os.getpid(), 9)",
            point / "left",
        )
        assert blocked.wait(PATIENCE) == -signal.SIGKILL
        blocked.communicate()
        appendfs("umount", point)
        assert gone(pid) and not mounts_below(point)
    assert (stubborn.m / "left").read_bytes() == lines(2000)


def test_umount_of_a_mount_in_use_is_refused_and_lazily_done(stubborn):
    with stubborn.mounted(STUBBORN) as point:
        pid = stats(point)["pid"]
        with open(point / "in-use", "ab", buffering=0) as file:
            refused = appendfs("umount", point, check=False)
            assert refused.returncode == 4
            assert str(point) in refused.stderr and "--lazy" in refused.stderr
            appendfs("umount", "--lazy", point)
            assert not mounts_below(point)
            file.write(lines(10))  # who has it open goes on
            os.fsync(file.fileno())
        wait_until(lambda: gone(pid), PATIENCE, "the daemon to end with its last user")
    assert (stubborn.m / "in-use").read_bytes() == lines(10)


def test_sigterm_flushes_what_is_queued_and_leaves(stubborn):
    with stubborn.mounted(STUBBORN) as point:
        pid = stats(point)["pid"]
        with open(point / "flushed", "ab", buffering=0) as file:
            for i in range(2000):
                file.write(b"line %d\n" % i)
            os.kill(pid, signal.SIGTERM)
            wait_until(lambda: gone(pid), PATIENCE)
            with contextlib.suppress(OSError):
                file.close()
        assert not mounts_below(point)
    assert (stubborn.m / "flushed").read_bytes() == lines(2000)


# Not by the tests' own process: it starts programs, which close what they inherit, and
# such a close waits.
QUEUE_ONE = """
file = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT | os.O_EXCL)
os.write(file, b"before\\n")
os.fsync(file)
print("ready", flush=True)
sys.stdin.readline()
os.write(file, b"queued\\n")
print("queued", flush=True)
sys.stdin.readline()
"""


@contextlib.contextmanager
def queued(cluster, path, and_no_master=False):
    """A program has written a line that cannot be made durable while the block runs."""
    process = start(QUEUE_ONE, path, stdin=subprocess.PIPE)
    assert process.stdout.readline() == "ready\n"
    with no_quorum(cluster), no_master(cluster) if and_no_master else contextlib.nullcontext():
        process.stdin.write("\n")
        process.stdin.flush()
        assert process.stdout.readline() == "queued\n"
        yield
    process.communicate("\n", timeout=PATIENCE)


def test_sigterm_leaves_within_its_bound_though_nothing_answers(stubborn):
    with stubborn.mounted("timeout=3s") as point:
        pid = stats(point)["pid"]
        with queued(stubborn, point / "bounded", and_no_master=True):
            os.kill(pid, signal.SIGTERM)
            wait_until(lambda: gone(pid), PATIENCE)


def test_second_sigterm_gives_up_what_is_queued(stubborn):
    with stubborn.mounted(STUBBORN) as point:
        pid = stats(point)["pid"]
        with queued(stubborn, point / "given-up"):
            os.kill(pid, signal.SIGTERM)
            wait_until(lambda: listed(point) is None or stats(point)["leaving"], PATIENCE)
            os.kill(pid, signal.SIGTERM)
            wait_until(lambda: gone(pid), PATIENCE)
