"""One run: load, rounds of faults, verdict, report."""

import shutil
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from chaos import disks
from chaos.faults import Injector
from chaos.load import Load
from chaos.plan import DAMAGE, Planner
from chaos.verdict import Verdict
from cluster import Cluster

CHUNK_BYTES = 1 << 20  # small, so that chunks roll often
PROGRESS_SECONDS = 60  # after everything runs again


@dataclass(frozen=True)
class Settings:
    seed: int
    seconds: float
    servers: int = 4
    full_disks: bool = True
    evidence: Path = None  # where logs of a failed run are kept


def run_chaos(settings, say=print):
    """The problems found, in words; none: all is well. Says what it does and found."""
    start = time.monotonic()

    def tell(text):
        say(f"[{time.monotonic() - start:6.1f}] {text}")

    names = [f"cs{i + 1}" for i in range(settings.servers)]
    scratch = Path(tempfile.mkdtemp(prefix="appendfs-chaos-"))
    cluster = Cluster(
        chunkservers=settings.servers, chunk_bytes=CHUNK_BYTES,
        prepare=disks.prepare(names) if settings.full_disks else None,
    )
    load = None
    try:
        load = Load(cluster, scratch)
        injector = Injector(cluster, load.files, tell)
        problems = _rounds(settings, names, load, injector, tell, start + settings.seconds)
        load_problems = load.finish()
        tell("the load has ended; looking at what is there")
        verdict = Verdict(cluster, load, injector)
        problems += load_problems + verdict.reach()
        _report(load, injector, verdict, problems, say)
        if problems and settings.evidence:
            _keep(settings.evidence, cluster, scratch)
            say(f"logs and acknowledgements: {settings.evidence}")
        return problems
    finally:
        if load:
            load.kill()
        cluster.close()
        shutil.rmtree(scratch, ignore_errors=True)


def _rounds(settings, names, load, injector, tell, end):
    planner = Planner(settings.seed, names, settings.full_disks)
    try:
        load.wait_for_progress(PROGRESS_SECONDS)
        for planned in planner.rounds():
            if time.monotonic() >= end:
                return []
            faults = planned.faults
            if planned.healthy_before:
                injector.cluster.wait_healthy(PROGRESS_SECONDS * 2)
                damaged = {one.name for one in faults if one.kind in DAMAGE}
                if any(one.server not in damaged for one in injector.damage_left()):
                    # What rots elsewhere was not found yet.
                    faults = [one for one in faults if one.kind not in DAMAGE]
            tell(f"round {planned.number}: {len(faults)} faults")
            injector.run(faults)
            injector.heal()
            load.wait_for_progress(PROGRESS_SECONDS)
    except (AssertionError, OSError, subprocess.SubprocessError) as error:
        injector.end_all()
        return [f"round {planned.number if 'planned' in locals() else 0}: {error}"]
    return []


def _report(load, injector, verdict, problems, say):
    times, own = load.ack_times()
    gap = max((b - a for a, b in zip(times, times[1:])), default=0)
    own_gap = max((b - a for t in own.values() for a, b in zip(t, t[1:])), default=0)
    errors = sum(len(writer.acks().errors) for writer in load.writers if writer.acks())
    reads = [reader.report() for reader in load.readers if reader.report_path.exists()]
    say("faults: " + ", ".join(f"{n} {kind}" for kind, n in sorted(injector.counts.items())))
    if injector.started_again:
        say(f"servers that ended by themselves and were started again: {injector.started_again}")
    say(f"acknowledged: {len(times)} lines, {verdict.bytes} bytes in {len(load.files)} files; failed: {errors}")
    say(f"longest time without an acknowledgement: {gap:.2f} s of anybody, {own_gap:.2f} s of one writer")
    say(
        f"readers: {sum(r['reads'] for r in reads)} reads, {sum(r['errors'] for r in reads)} failed"
    )
    say(
        f"compared: {verdict.replicas} replicas of {verdict.chunks} chunks; {verdict.short} short ones of"
        f" open chunks, {verdict.rotten} flipped bytes nobody had read yet"
    )
    for problem in problems:
        say(f"PROBLEM: {problem}")
    say(f"{'FAILED' if problems else 'passed'}")


def _keep(directory, cluster, scratch):
    shutil.rmtree(directory, ignore_errors=True)
    shutil.copytree(cluster.dir / "log", directory / "log")
    shutil.copytree(scratch, directory / "acks")
