"""One run: load of many kinds on two mounts, servers restarted below it, verdict."""

import random
import tempfile
import time
from pathlib import Path

from cluster import Cluster
from soak.load import everything
from soak.meter import Meter

SAMPLE_SECONDS = 5
PAUSE_SECONDS = (8, 25)  # between restarts, drawn anew each time


def restart(cluster, name, how):
    if how == "KILL":
        cluster.kill(name)
    cluster.restart(name)
    cluster.wait_healthy(120)  # so that no two are away at once


def keep_busy(cluster, chance, seconds, meter, problems, say):
    """Restarts a server now and then, and takes samples, until the time is over."""
    began = time.monotonic()
    restarts, next_restart = 0, began + chance.uniform(*PAUSE_SECONDS)
    while (now := time.monotonic()) < began + seconds and not problems:
        meter.sample()
        if now >= next_restart:
            name, how = chance.choice(["cs1", "cs2", "cs3", "master"]), chance.choice(["KILL", "TERM"])
            say(f"{now - began:6.0f} s  {how} {name}")
            restart(cluster, name, how)
            restarts += 1
            next_restart = time.monotonic() + chance.uniform(*PAUSE_SECONDS)
        time.sleep(SAMPLE_SECONDS)
    return restarts


def soak(seed, seconds, say):
    """The problems found; none is right. Leaves nothing behind."""
    problems, counts, chance = [], {}, random.Random(seed)
    cluster = Cluster()
    try:
        meter = Meter(cluster)
        with tempfile.TemporaryDirectory(prefix="appendfs-soak-") as scratch:
            with everything(cluster.m, cluster.m2, Path(scratch), problems, counts):
                restarts = keep_busy(cluster, chance, seconds, meter, problems, say)
                say("the load ends")
        meter.sample()
        say(meter.table())
        say(", ".join(f"{count} {what}" for what, count in counts.items()) + f", {restarts} restarts")
        problems += meter.problems()
    except AssertionError as error:
        problems.append(str(error))
        say(cluster.logs())
    finally:
        cluster.close()
    for problem in problems:
        say(f"PROBLEM: {problem}")
    say("soak: " + (f"{len(problems)} problems" if problems else "nothing to complain of"))
    return problems
