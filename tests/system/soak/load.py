"""The programs of a soak. Each is entered before and left after the load; `problems` is then what
it saw that it should not have. None lets go before its own part is complete on the other mount."""

import contextlib
import os
import subprocess
import sys
import threading
from types import SimpleNamespace

from lines import examine
from software import numbered
from software.followers import ByInode
from software.nginx import load, nginx
from software.recipes import recipe
from tools import DIES_WITH_US, Acks, run, start_writer, wait_until

PATIENCE_SECONDS = 90  # a mount may try for 30 s


def threaded(problems, name, work):
    """Work in a thread of its own; what it throws is a problem."""

    def guarded():
        try:
            work()
        except BaseException as error:  # an assertion or an errno: all the same here
            problems.append(f"{name}: {type(error).__name__}: {error}")

    thread = threading.Thread(target=guarded, daemon=True)
    thread.start()
    return thread


def finish(problems, name, thread):
    thread.join(PATIENCE_SECONDS)
    if thread.is_alive():
        problems.append(f"{name}: still hangs after {PATIENCE_SECONDS} s")


def shell(script, errors):
    return subprocess.Popen(
        [*DIES_WITH_US, "bash", "-c", script], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=errors
    )


def expect(problems, name, condition, what):
    try:
        wait_until(condition, PATIENCE_SECONDS, what)
    except AssertionError as error:
        problems.append(f"{name}: {str(error)[:500]}")


def program_said(problems, name, path):
    said = path.read_text(errors="replace").strip()
    if said:
        problems.append(f"{name} said: {said[:500]}")


@contextlib.contextmanager
def shared_file(here, problems):
    """Two writers on each mount append to one file, with an fsync per line or one at the end."""
    stop = here.scratch / "writers.stop"
    writers = {}
    for number, how in enumerate((["--fsync"], ["--pace", "0.02"]) * 2):
        name, mount = f"w{number}", (here.m, here.m2)[number // 2]
        pace = [] if "--pace" in how else ["--pace", "0.02"]
        writers[name] = start_writer(
            mount / "shared.log", name, 0, here.scratch / f"{name}.acks", "--stop", str(stop), *how, *pace
        )
    yield
    stop.touch()
    acknowledged, attempted = {}, {}
    for name, writer in writers.items():
        try:
            _, said = writer.communicate(timeout=PATIENCE_SECONDS)
        except subprocess.TimeoutExpired:
            writer.kill()
            said = "still hung"
        if writer.returncode != 0:
            problems.append(f"writer {name}: {said.strip()[-300:]}")
        acks = Acks(here.scratch / f"{name}.acks")
        problems += [f"writer {name}: line {line}: errno {number}" for line, _, number in acks.errors[:3]]
        acknowledged[name], attempted[name] = acks.sequences, acks.attempted()
    for mount in (here.m, here.m2):
        found = str(examine((mount / "shared.log").read_bytes(), acknowledged, attempted))
        if found:
            problems.append(f"shared.log on {mount.name}: {found}")
    here.counts["lines of four writers"] = sum(map(len, acknowledged.values()))


SAYS = """
import os, sys, time
number = 0
while not os.path.exists(sys.argv[1]):
    logging.getLogger().info("line number %d", number)
    number += 1
    time.sleep(0.05)
print(number)
"""


@contextlib.contextmanager
def python_logging(here, problems):
    """Three handlers; one of them rotates by size."""
    script, stop, errors = (here.scratch / f"python-logging.{what}" for what in ("py", "stop", "err"))
    script.write_text(recipe("logging_setup.py", {"/mnt/logs": here.m2}) + SAYS)
    with open(errors, "wb") as said:
        process = subprocess.Popen(
            [*DIES_WITH_US, sys.executable, str(script), str(stop)],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=said, text=True,
        )
    yield
    stop.touch()
    try:
        count = int(process.communicate(timeout=PATIENCE_SECONDS)[0] or -1)
    except subprocess.TimeoutExpired:
        process.kill()
        count = -1
    program_said(problems, "Python logging", errors)
    for name in ("plain", "watched"):
        path = here.m / f"{name}.log"
        expect(problems, "Python logging", lambda: numbered.complete(path.read_text(), count), f"{count} lines in {path.name}")
    here.counts["records of Python"] = count


@contextlib.contextmanager
def multilog(here, problems):
    """A service piped into multilog, which rotates by size and keeps thirty files."""
    stop, errors, directory = here.scratch / "service.stop", here.scratch / "service.err", here.m / "service"
    service = f'i=0; while [ ! -e {stop} ]; do echo "line number $i"; i=$((i+1)); sleep 0.05; done'
    script = recipe("multilog.sh", {"some-service": "service", "/mnt/logs/service": directory})
    with open(errors, "wb") as said:
        process = shell(f"set -o pipefail; mkdir -p {directory}; service() {{ {service}; }}; {script}", said)
    yield
    stop.touch()
    try:
        process.wait(PATIENCE_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        problems.append("multilog: still hung")
    if process.returncode != 0:
        problems.append(f"multilog ended with {process.returncode}")
    program_said(problems, "multilog", errors)
    seen = here.m2 / "service"
    kept = [*sorted(seen.glob("@*")), seen / "current"]
    there = numbered.numbers("".join(path.read_text() for path in kept))
    if not there or there != list(range(there[0], there[-1] + 1)):
        problems.append("multilog: lines are missing between those that are kept")
    here.counts["lines of multilog"] = there[-1] + 1 if there else 0


@contextlib.contextmanager
def web_server(here, problems):
    """nginx asked without end."""
    stop, asked = threading.Event(), [0]

    def ask(port):
        while not stop.is_set():
            load(port, 20, "soak")
            asked[0] += 20
            stop.wait(1)

    with nginx(here.m, here.scratch) as (_, port):
        thread = threaded(problems, "ab", lambda: ask(port))
        yield
        stop.set()
        finish(problems, "ab", thread)
        log = here.m2 / "access.log"
        expect(
            problems, "nginx", lambda: log.read_text().count('"GET /soak ') == asked[0],
            f"{asked[0]} requests are logged",
        )
    said = here.scratch / "start.log"
    if said.exists():
        problems += [f"nginx said: {line}" for line in said.read_text().splitlines() if "[alert]" in line][:3]
    here.counts["requests to nginx"] = asked[0]


@contextlib.contextmanager
def rotated_log(here, problems):
    """A line at a time with >> on one mount, renamed and compressed from the other, where tail -F
    and a shipper follow."""
    name, stop = "app.log", threading.Event()
    written = [0]

    def write():
        while not stop.wait(0.05):
            with open(here.m / name, "a", encoding="ascii") as file:
                file.write(numbered.lines(written[0], written[0] + 1))
            written[0] += 1

    def rotate():
        turn = 0
        while not stop.wait(15):
            turn += 1
            os.rename(here.m2 / name, here.m2 / f"old.{turn}")
            if turn > 1:
                run("gzip", here.m2 / f"old.{turn - 1}", timeout=PATIENCE_SECONDS)
            if turn > 5:
                os.unlink(here.m2 / f"old.{turn - 5}.gz")

    follower, shipped = ByInode(here.m2 / name, {}), threading.Event()

    def ship():
        while not shipped.wait(0.2):
            follower.poll()

    seen = here.scratch / "tail.seen"
    with open(here.m / name, "a", encoding="ascii"), open(seen, "wb") as output:
        tail = subprocess.Popen(
            [*DIES_WITH_US, "tail", "-F", "-s", "0.2", "-n", "+1", str(here.m2 / name)],
            stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.DEVNULL,
        )
    threads = {
        what: threaded(problems, what, work)
        for what, work in (("appending", write), ("rotating", rotate), ("following", ship))
    }
    yield
    stop.set()
    finish(problems, "appending", threads["appending"])
    finish(problems, "rotating", threads["rotating"])
    everything = numbered.lines(0, written[0])
    expect(problems, "tail -F", lambda: seen.read_text() == everything, f"{written[0]} lines are seen")
    expect(problems, "shipper", lambda: follower.got == everything.encode(), f"{written[0]} lines are shipped")
    shipped.set()
    finish(problems, "following", threads["following"])
    follower.close()
    tail.kill()
    tail.wait(10)
    here.counts["lines of a rotated log"] = written[0]


@contextlib.contextmanager
def onlookers(here, problems):
    """What people and cron do: ls, stat, find, du, grep, tail, on both mounts."""
    stop, processes = here.scratch / "lookers.stop", {}
    for mount in (here.m, here.m2):
        # Names that go between being listed and being asked for are no errors.
        script = f"""
            cd {mount}
            while [ ! -e {stop} ]; do
              ls -lR . ; stat . shared.log; find . -name '*.log' -newer shared.log; du -s .
              grep -c w1 shared.log; tail -n 5 plain.log; wc -l access.log; sleep 1
            done 2>&1 >/dev/null | grep -v 'No such file or directory'
            exit 0"""
        errors = here.scratch / f"lookers-{mount.name}.err"
        with open(errors, "wb") as said:
            process = subprocess.Popen(
                [*DIES_WITH_US, "bash", "-c", script], stdin=subprocess.DEVNULL, stdout=said, stderr=said
            )
        processes[errors] = process
    yield
    stop.touch()
    for errors, process in processes.items():
        try:
            process.wait(PATIENCE_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            problems.append("onlookers: still hung")
        program_said(problems, "an onlooker", errors)


LOADS = (shared_file, python_logging, multilog, web_server, rotated_log, onlookers)


@contextlib.contextmanager
def everything(m, m2, scratch, problems, counts):
    """All loads at once while the block runs."""
    here = SimpleNamespace(m=m, m2=m2, scratch=scratch, counts=counts)
    with contextlib.ExitStack() as stack:
        for one in LOADS:
            stack.enter_context(one(here, problems))
        yield
