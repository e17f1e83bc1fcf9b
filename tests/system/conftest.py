"""Fixtures of the system tests: clusters of real processes, mounted by the kernel.

They need root, /dev/fuse and an installed tree (`./dev build` makes build/stage;
APPENDFS_STAGE names another one).
"""

import itertools
import os
import re
import shutil
import threading

import pytest

from cluster import APPENDFS, STAGE, Cluster, live_clusters
from tools import unchanged

# No test takes longer, unless it is marked with another bound: @pytest.mark.seconds(N). A mount
# that hangs is killed then.
TEST_SECONDS = 240


def reason_to_skip():
    if os.geteuid() != 0:
        return "system tests mount file systems: run them as root"
    if not os.path.exists("/dev/fuse"):
        return "system tests need /dev/fuse: load the fuse module or give the container the device"
    if not shutil.which("fusermount3"):
        return "system tests need fusermount3: run ./dev setup"
    return None


def pytest_configure(config):
    config.addinivalue_line("markers", "seconds(n): how long this test may take")
    config.addinivalue_line(
        "markers", "alone: fills disks, takes all cores or measures; ./dev test runs no other test beside it"
    )


def pytest_sessionstart(session):
    if reason_to_skip() is None and not APPENDFS.exists():
        pytest.exit(f"{APPENDFS} is missing: run ./dev build, or set APPENDFS_STAGE", returncode=2)
    print(f"system tests of {STAGE}")


def pytest_collection_modifyitems(items):
    reason = reason_to_skip()
    if reason:
        for item in items:
            item.add_marker(pytest.mark.skip(reason=reason))


def pytest_terminal_summary(terminalreporter):
    reason = reason_to_skip()
    if reason:
        terminalreporter.write_sep("!", f"NOTHING WAS TESTED: {reason}", red=True)
        return
    skipped = terminalreporter.stats.get("skipped", [])
    if skipped:
        terminalreporter.write_sep("!", f"{len(skipped)} NOT TESTED HERE", yellow=True)
    for report in skipped:
        why = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        terminalreporter.write_line(f"{report.nodeid}: {why.removeprefix('Skipped: ')}", yellow=True)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    report = outcome.get_result()
    if report.failed:
        for cluster in live_clusters:
            report.sections.append((f"logs of {cluster.dir}", cluster.logs()))


@pytest.fixture(autouse=True)
def watchdog(request):
    """Frees a test that waits in the kernel for a mount daemon that hangs."""
    hung = []
    marker = request.node.get_closest_marker("seconds")
    seconds = marker.args[0] if marker else TEST_SECONDS

    def bark():
        hung.append(True)
        for cluster in list(live_clusters):
            cluster.abort_mounts()

    timer = threading.Timer(seconds, bark)
    timer.start()
    yield
    timer.cancel()
    assert not hung, f"the test took longer than {seconds} s; its mounts were killed"


@pytest.fixture(scope="module")
def cluster():
    """One cluster for the quick tests of a file, with mounts M and M2."""
    shared = Cluster()
    yield shared
    shared.close()


@pytest.fixture
def make_cluster():
    """Clusters for tests that break things: make_cluster(**arguments of Cluster)."""
    made = []

    def make(**arguments):
        made.append(Cluster(**arguments))
        return made[-1]

    yield make
    for one in made:
        one.close()


numbers = itertools.count(1)


class Here:
    """A test's own directory, by its name on both mounts and in the namespace."""

    def __init__(self, cluster, name):
        self.cluster = cluster
        self.name = f"/{name}"
        self.m = cluster.m / name
        self.m2 = cluster.m2 / name
        self.m.mkdir()


@pytest.fixture
def here(cluster, request):
    name = re.sub(r"[^A-Za-z0-9_]", "_", request.node.originalname)
    return Here(cluster, f"{name}_{next(numbers)}")


@pytest.fixture
def file(here):
    """A file with two lines, which must have the same bytes and inode after the test, on
    both mounts."""
    path = here.m / "log"
    path.write_bytes(b"first\nsecond\n")
    with unchanged(path), unchanged(here.m2 / "log"):
        yield path
