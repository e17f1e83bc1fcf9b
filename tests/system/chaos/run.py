"""One run: load, rounds of faults, verdict, report."""

import os
import shutil
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from chaos import disks, report
from chaos.faults import Injector
from chaos.hosts import DIRECTORY, Hosts
from chaos.load import Load
from chaos.plan import Planner
from chaos.verdict import Verdict
from tools import run

CHUNK_BYTES = 1 << 20  # small, so that chunks roll often
MOUNTS = 2
PROGRESS_SECONDS = 60  # after everything runs again
REPAIR_SECONDS = 120


@dataclass(frozen=True)
class Settings:
    seed: int
    seconds: float
    servers: int = 4
    full_disks: bool = True
    power_loss: Path = None  # a build whose servers lose what was not synced when they are killed
    plant: str = None  # a bug by name, for servers built to have it (common/planted.h)
    evidence: Path = None  # where what is left of a failed run is kept


def run_chaos(settings, say=print):
    """The problems found, in words; none: all is well. Says what it does and found."""
    start = time.monotonic()

    def tell(text):
        say(f"[{time.monotonic() - start:6.1f}] {text}")

    names = [f"cs{i + 1}" for i in range(settings.servers)]
    full_disks = settings.full_disks and not settings.power_loss
    scratch = Path(tempfile.mkdtemp(prefix=f"{DIRECTORY}-{os.getpid()}-"))
    cluster = load = None
    try:
        cluster = Hosts(
            settings.servers, MOUNTS, CHUNK_BYTES, settings.power_loss,
            {"APPENDFS_PLANT": settings.plant} if settings.plant else None,
            # With power loss a full disk would show at a sync, not at a write, and fail that server.
            disks.prepare(names) if full_disks else None,
        )
        load = Load(cluster, scratch)
        injector = Injector(cluster, load, tell, bool(settings.power_loss))
        planner = Planner(
            settings.seed, names, cluster.mounts, full_disks, bool(settings.power_loss)
        )
        problems = _rounds(planner, load, injector, tell, time.monotonic() + settings.seconds)
        problems += load.finish()
        tell("the load has ended; looking at what is there")
        verdict = Verdict(cluster, load, injector)
        problems += verdict.reach()
        report.tell(load, injector, verdict, problems, start, say)
        if problems and settings.evidence:
            _keep(settings.evidence, cluster, scratch, verdict)
            say(f"logs, acknowledgements, files and data directories: {settings.evidence}")
        return problems
    finally:
        if load:
            load.kill()
        if cluster:
            cluster.close()
        shutil.rmtree(scratch, ignore_errors=True)


def _rounds(planner, load, injector, tell, end):
    number = 0
    try:
        load.wait_for_progress(PROGRESS_SECONDS)
        for planned in planner.rounds():
            if time.monotonic() >= end:
                return []
            number = planned.number
            if planned.damages:
                injector.cluster.wait_healthy(REPAIR_SECONDS)
            tell(f"round {number}, {planned.what}: {len(planned.faults)} faults")
            injector.run(planned)
            injector.heal()
            load.wait_for_progress(PROGRESS_SECONDS)
    except (AssertionError, OSError, subprocess.SubprocessError) as error:
        injector.end_all()
        return [f"round {number}: {error}"]
    return []


def _keep(directory, cluster, scratch, verdict):
    shutil.rmtree(directory, ignore_errors=True)
    shutil.copytree(cluster.dir / "log", directory / "log")
    shutil.copytree(scratch, directory / "acks")
    verdict.save(directory / "files")
    for name in ("master", *cluster.servers):
        run("cp", "-a", "--sparse=always", cluster.hosts[name].place, directory, timeout=300)
