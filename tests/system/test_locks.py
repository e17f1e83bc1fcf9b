"""Locks that hold across mounts: flock(2), fcntl(2) and its locks of open files."""

import contextlib
import json
import os
import select
import signal
import subprocess
import sys

import pytest

from cluster import APPENDFS, Cluster, environment
from tools import DIES_WITH_US, run, wait_until

PATIENCE = 60  # seconds until a test gives up

PROGRAM = """
import errno, fcntl, os, signal, struct, sys
LAYOUT = "hhqqi4x"
def spec(kind, start=0, length=0):
    return struct.pack(LAYOUT, kind, os.SEEK_SET, start, length, 0)
def setlk(kind, start=0, length=0, wait=False):
    fcntl.fcntl(fd, fcntl.F_SETLKW if wait else fcntl.F_SETLK, spec(kind, start, length))
def ofd(kind, start=0, length=0, wait=False):
    fcntl.fcntl(fd, 38 if wait else 37, spec(kind, start, length))
def getlk(kind, start=0, length=0):
    return struct.unpack(LAYOUT, fcntl.fcntl(fd, fcntl.F_GETLK, spec(kind, start, length)))
class Caught(Exception):
    pass
def caught(*_):
    raise Caught
def catch(number):  # or Python would call again
    signal.signal(number, caught)
def lock_and_close_another():
    another = os.open(sys.argv[1], os.O_RDWR | os.O_APPEND)
    fcntl.fcntl(another, fcntl.F_SETLK, spec(fcntl.F_WRLCK))
    child = os.fork()
    if child == 0:
        signal.pause()  # and keeps it open
    os.close(another)
    return child
R, W, U = fcntl.F_RDLCK, fcntl.F_WRLCK, fcntl.F_UNLCK
SH, EX, UN, NB = fcntl.LOCK_SH, fcntl.LOCK_EX, fcntl.LOCK_UN, fcntl.LOCK_NB
fd = os.open(sys.argv[1], os.O_RDWR | os.O_APPEND | os.O_CREAT)
for line in sys.stdin:
    try:
        said = eval(line)
    except OSError as error:
        said = errno.errorcode[error.errno]
    except Caught:
        said = "EINTR"
    print(said, flush=True)
"""


def stats(mount):
    said = run(APPENDFS, "mount-stats", mount, "--json", timeout=PATIENCE, env=environment())
    return json.loads(said.stdout)


class Program:
    """A process with a file open as `fd`, which does what it is told."""

    def __init__(self, path):
        self.process = subprocess.Popen(
            [*DIES_WITH_US, sys.executable, "-c", PROGRAM, str(path)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, bufsize=1,
        )
        self.pid = self.process.pid

    def begin(self, what):
        self.process.stdin.write(what + "\n")

    def answered(self, within=0):
        return bool(select.select([self.process.stdout], [], [], within)[0])

    def answer(self):
        assert self.answered(PATIENCE), "no answer"
        return self.process.stdout.readline().strip()

    def ask(self, what):
        self.begin(what)
        return self.answer()

    def kill(self, number=signal.SIGKILL):
        self.process.send_signal(number)
        self.process.wait(PATIENCE)

    def waits(self):
        """Whether it is in the kernel, with what it was told last not done."""
        return not self.answered(0.3)


@contextlib.contextmanager
def programs():
    """Programs that end with the block, before the mount can: start(path of the file)."""
    started = []

    def one(path):
        started.append(Program(path))
        return started[-1]

    try:
        yield one
    finally:
        for program in started:
            program.process.kill()
            program.process.communicate()


@pytest.fixture
def start(here):
    """Programs with one file open, on the mount that is named: start(here.m)."""
    with programs() as begin:
        yield lambda directory, name="locked": begin(directory / name)


@pytest.fixture
def pair(here, start):
    return start(here.m), start(here.m2)


DONE = "None"


@pytest.mark.parametrize("take", ["fcntl.flock(fd, EX | NB)", "setlk(W)", "ofd(W)"])
@pytest.mark.parametrize("free", ["unlock", "close", "kill"])
def test_exclusive_lock_keeps_out_who_is_on_another_mount(pair, take, free):
    one, other = pair
    assert one.ask(take) == DONE
    assert other.ask(take) == "EAGAIN"
    if free == "kill":
        one.kill()
    elif free == "close":
        assert one.ask("os.close(fd)") == DONE
    else:
        assert one.ask("(fcntl.flock(fd, UN), setlk(U), ofd(U))[0]") == DONE
    # The kernel tells of the last close of an open file just after it.
    wait_until(lambda: other.ask(take) == DONE, PATIENCE)


@pytest.mark.parametrize("wait, free", [
    ("fcntl.flock(fd, EX)", "fcntl.flock(fd, UN)"),
    ("setlk(W, wait=True)", "setlk(U)"),
    ("ofd(W, wait=True)", "ofd(U)"),
])
def test_waiter_on_another_mount_wakes_up(pair, wait, free):
    one, other = pair
    assert one.ask(wait) == DONE
    other.begin(wait)
    assert other.waits()
    assert one.ask(free) == DONE
    assert other.answer() == DONE


@pytest.mark.parametrize("wait", ["fcntl.flock(fd, EX)", "setlk(W, wait=True)"])
def test_waiter_wakes_up_when_the_holder_is_killed(pair, wait):
    one, other = pair
    assert one.ask(wait) == DONE
    other.begin(wait)
    assert other.waits()
    one.kill()
    assert other.answer() == DONE


def test_many_wait_on_both_mounts_and_each_gets_its_turn(here, start):
    holder = start(here.m)
    assert holder.ask("fcntl.flock(fd, EX)") == DONE
    waiters = [start(mount) for mount in (here.m, here.m2) for _ in range(10)]
    for number, waiter in enumerate(waiters):
        waiter.begin(f"(fcntl.flock(fd, EX), os.write(fd, b'{number:02}\\n'), fcntl.flock(fd, UN))[1]")
    assert waiters[-1].waits()
    assert holder.ask("fcntl.flock(fd, UN)") == DONE
    for waiter in waiters:
        assert waiter.answer() == "3"
    lines = (here.m / "locked").read_text().split()
    assert sorted(lines) == [f"{number:02}" for number in range(len(waiters))]


def test_what_was_written_under_a_lock_is_seen_by_the_next(pair):
    one, other = pair
    for turn in range(20):
        assert one.ask("setlk(W, wait=True)") == DONE
        assert one.ask("os.fstat(fd).st_size") == str(16 * turn)
        assert one.ask("os.write(fd, b'x' * 8)") == "8"
        assert one.ask("setlk(U)") == DONE
        assert other.ask("setlk(W, wait=True)") == DONE
        assert other.ask("os.fstat(fd).st_size") == str(16 * turn + 8)
        assert other.ask("os.write(fd, b'y' * 8)") == "8"
        assert other.ask("setlk(U)") == DONE


def test_shared_locks_and_their_upgrade(pair):
    one, other = pair
    assert one.ask("setlk(R)") == other.ask("setlk(R)") == DONE
    assert one.ask("setlk(W)") == "EAGAIN"
    other.begin("setlk(W, wait=True)")  # keeps its shared one meanwhile
    assert other.waits()
    assert one.ask("setlk(U)") == DONE
    assert other.answer() == DONE
    assert one.ask("setlk(R)") == "EAGAIN"
    assert other.ask("setlk(R)") == DONE  # downgrade
    assert one.ask("setlk(R)") == DONE


def test_flock_upgrade_and_downgrade(pair):
    one, other = pair
    assert one.ask("fcntl.flock(fd, SH)") == other.ask("fcntl.flock(fd, SH)") == DONE
    other.begin("fcntl.flock(fd, EX)")
    assert other.waits()
    assert one.ask("fcntl.flock(fd, UN)") == DONE
    assert other.answer() == DONE
    assert one.ask("fcntl.flock(fd, SH | NB)") == "EAGAIN"
    assert other.ask("fcntl.flock(fd, SH)") == DONE
    assert one.ask("fcntl.flock(fd, SH | NB)") == DONE


def test_bytes_are_locked_one_by_one(pair):
    one, other = pair
    assert one.ask("setlk(W, 10, 10)") == DONE
    assert other.ask("setlk(W, 0, 10)") == DONE
    assert other.ask("setlk(W, 20, 0)") == DONE
    assert other.ask("setlk(R, 19, 1)") == "EAGAIN"
    assert one.ask("setlk(U, 15, 2)") == DONE
    assert other.ask("setlk(W, 15, 2)") == DONE
    assert other.ask("setlk(W, 14, 1)") == "EAGAIN"
    assert one.ask("setlk(W, 1 << 40, 1)") == "EAGAIN"


def test_flock_and_record_locks_do_not_know_of_each_other(pair):
    one, other = pair
    assert one.ask("fcntl.flock(fd, EX | NB)") == DONE
    assert other.ask("setlk(W)") == DONE


def test_lock_taken_after_a_close_outlives_the_file_that_was_closed(cluster, pair):
    # The close lets go of the process's locks; the open file ends when nobody has it any more.
    one, other = pair
    child = int(one.ask("lock_and_close_another()"))
    assert one.ask("setlk(W)") == DONE
    handles = stats(cluster.m)["file_handles"]
    os.kill(child, signal.SIGKILL)
    assert one.ask(f"os.waitpid({child}, 0)[1]") == str(int(signal.SIGKILL))
    wait_until(lambda: stats(cluster.m)["file_handles"] < handles, PATIENCE)
    for _ in range(20):
        assert other.ask("setlk(W)") == "EAGAIN"


def test_getlk_tells_who_has_it(here, start):
    one, neighbour, other = start(here.m), start(here.m), start(here.m2)
    assert one.ask("setlk(W, 100, 50)") == DONE
    write = int(one.ask("W"))
    unlocked = int(one.ask("U"))
    assert eval(neighbour.ask("getlk(R)")) == (write, 0, 100, 50, one.pid)
    # A number would mean another process on another host.
    assert eval(other.ask("getlk(R)")) == (write, 0, 100, 50, 0)
    assert eval(other.ask("getlk(W, 0, 100)"))[0] == unlocked
    assert eval(one.ask("getlk(W)"))[0] == unlocked


def test_circle_of_waiters_is_a_deadlock(pair):
    one, other = pair
    assert one.ask("setlk(W, 0, 1)") == DONE
    assert other.ask("setlk(W, 1, 1)") == DONE
    one.begin("setlk(W, 1, 1, wait=True)")
    assert one.waits()
    assert other.ask("setlk(W, 0, 1, wait=True)") in ("EDEADLK", "EDEADLOCK")
    assert other.ask("setlk(U)") == DONE
    assert one.answer() == DONE


@pytest.mark.parametrize("wait, free", [
    ("fcntl.flock(fd, EX)", "fcntl.flock(fd, UN)"), ("setlk(W, wait=True)", "setlk(U)"),
])
def test_waiter_that_is_killed_does_not_get_it(here, start, wait, free):
    one, killed, other = start(here.m), start(here.m2), start(here.m2)
    assert one.ask(wait) == DONE
    killed.begin(wait)
    assert killed.waits()
    killed.kill()
    assert one.ask(free) == DONE
    assert other.ask(wait) == DONE


@pytest.mark.parametrize("wait, free", [
    ("fcntl.flock(fd, EX)", "fcntl.flock(fd, UN)"),
    ("setlk(W, wait=True)", "setlk(U)"),
    ("ofd(W, wait=True)", "ofd(U)"),
])
def test_waiter_that_catches_a_signal_is_interrupted_and_does_not_get_it(cluster, pair, wait, free):
    one, other = pair
    assert one.ask(wait) == DONE
    assert other.ask("catch(signal.SIGALRM)") == DONE
    other.begin(wait)
    wait_until(lambda: other.pid in [w["pid"] for w in stats(cluster.m2)["waiting"]], PATIENCE)
    other.process.send_signal(signal.SIGALRM)
    assert other.answer() == "EINTR"
    assert one.ask(free) == DONE
    assert one.ask(wait) == DONE  # so nobody else has it
    other.begin(wait)  # and may wait again
    assert other.waits()
    assert one.ask(free) == DONE
    assert other.answer() == DONE


def test_flock_of_util_linux_takes_turns(here):
    path = here.m / "turns"
    for turn in range(10):
        for mount in (here.m, here.m2):
            run("flock", "-n", mount / "turns", "true")


def test_mount_that_is_gone_has_no_locks(cluster, here, start):
    with cluster.mounted() as point:
        holder = start(point / here.name[1:])
        waiter = start(here.m)
        assert holder.ask("fcntl.flock(fd, EX)") == DONE
        waiter.begin("fcntl.flock(fd, EX)")
        assert waiter.waits()
        holder.kill()
        assert waiter.answer() == DONE


def test_master_restart_keeps_locks_and_waiters(make_cluster):
    cluster = make_cluster()
    with programs() as start:
        flock, waiter, other = start(cluster.m / "a"), start(cluster.m2 / "a"), start(cluster.m2 / "a")
        assert flock.ask("fcntl.flock(fd, EX)") == DONE
        record, shares = start(cluster.m / "b"), start(cluster.m2 / "b")
        assert record.ask("setlk(W, 5, 5)") == DONE
        assert shares.ask("setlk(R, 10, 5)") == DONE
        waiter.begin("fcntl.flock(fd, EX)")
        assert waiter.waits()
        cluster.restart("master")
        # Whoever asks first waits until both mounts have told what they have.
        assert other.ask("fcntl.flock(fd, SH | NB)") == "EAGAIN"
        assert shares.ask("setlk(W, 0, 6)") == "EAGAIN"
        assert record.ask("setlk(W, 10, 1)") == "EAGAIN"
        assert shares.ask("setlk(W, 0, 5)") == DONE
        assert waiter.waits()
        assert flock.ask("fcntl.flock(fd, UN)") == DONE
        assert waiter.answer() == DONE
        assert record.ask("setlk(U)") == DONE
        assert shares.ask("setlk(W, 0, 10)") == DONE


# --- sessions that end ----------------------------------------------------------

KINDS = ["fcntl.flock(fd, EX)", "setlk(W, wait=True)", "ofd(W, wait=True)"]


@pytest.fixture(scope="module")
def forgetful():
    """A cluster whose master soon ends the session of a mount that is silent. What is
    tested takes place afterwards, however long that takes."""
    shared = Cluster(settings={"APPENDFS_SESSION_TIMEOUT": "10"})
    yield shared
    shared.close()


def holders_and_waiters(start, point, other_point, test):
    """Of each kind of lock, on a file of its own: one who has it, and one on another mount
    who waits for it."""
    pairs = []
    for number, take in enumerate(KINDS):
        name = f"{test}-{number}"
        holder, waiter = start(point / name), start(other_point / name)
        assert holder.ask(take) == DONE
        waiter.begin(take)
        assert waiter.waits()
        pairs.append((holder, waiter))
    return pairs


def test_locks_of_a_killed_daemon_are_free_when_its_session_has_ended(forgetful):
    with forgetful.mounted() as point, programs() as start:
        pairs = holders_and_waiters(start, point, forgetful.m, "killed")
        os.kill(stats(point)["pid"], signal.SIGKILL)
        for holder, waiter in pairs:
            assert waiter.answer() == DONE
            holder.kill()
        run("umount", "-l", point)


def test_handles_whose_locks_were_lost_with_the_session_answer_eio(forgetful):
    with forgetful.mounted() as point, programs() as start:
        pairs = holders_and_waiters(start, point, forgetful.m, "expired")
        unlocked = start(point / "expired-0")
        for holder, _ in pairs:
            assert holder.ask("os.write(fd, b'mine')") == "4"
            assert holder.ask("os.fsync(fd)") == DONE
        daemon = stats(point)["pid"]
        os.kill(daemon, signal.SIGSTOP)
        try:
            for _, waiter in pairs:  # for the master the silent mount has nothing any more
                assert waiter.answer() == DONE
        finally:
            os.kill(daemon, signal.SIGCONT)
        for holder, _ in pairs:
            # The mount learns of it when it speaks to the master next.
            wait_until(lambda holder=holder: holder.ask("os.pread(fd, 4, 0)") == "EIO", PATIENCE)
            assert holder.ask("os.write(fd, b'lost')") == "EIO"
            assert holder.ask("os.fsync(fd)") == "EIO"
        # Who had no lock goes on, and who opens the file anew may lock it again.
        assert unlocked.ask("os.pread(fd, 4, 0)") == "b'mine'"
        for number, (_, waiter) in enumerate(pairs):
            again = start(point / f"expired-{number}")
            again.begin(KINDS[number])
            assert again.waits()
            assert waiter.ask("os.pread(fd, 9, 0)") == "b'mine'"
            waiter.kill()
            assert again.answer() == DONE
            assert again.ask("os.write(fd, b'anew')") == "4"
            assert again.ask("os.fsync(fd)") == DONE
