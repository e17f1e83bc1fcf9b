"""Three minutes of ./dev chaos, always the same faults."""

import os
from pathlib import Path

import pytest

from chaos import network
from chaos.faults import Span
from chaos.plan import DAMAGE, PARTITIONS, Planner
from chaos.report import gaps_of_lone_faults
from chaos.run import Settings, run_chaos
from chaos.verdict import stale_looks
from lines import examine, make_line

SECONDS, POWER_LOSS_SECONDS = 120, 60
SEED = 13  # rounds of every sort within the time, in both runs
SERVERS, MOUNTS = ["cs1", "cs2", "cs3", "cs4"], ["mount1", "mount2"]


def first_rounds(seed, count=60, **how):
    rounds = Planner(seed, SERVERS, MOUNTS, **how).rounds()
    return [next(rounds) for _ in range(count)]


def test_the_seed_decides_what_goes_wrong():
    assert first_rounds(7) == first_rounds(7)
    assert first_rounds(7) != first_rounds(8)


def test_a_round_damages_one_server_at_most():
    for seed in range(20):
        for planned in first_rounds(seed):
            damaged = {fault.name for fault in planned.faults if fault.kind in DAMAGE}
            assert len(damaged) <= 1
            assert planned.damages == bool(damaged)


def test_faults_of_a_round_do_not_undo_each_other():
    for seed in range(20):
        for planned in first_rounds(seed):
            whom = [
                frozenset((fault.name, fault.other)) if fault.kind in PARTITIONS else fault.name
                for fault in planned.faults
            ]
            assert len(whom) == len(set(whom)), planned


def test_every_kind_of_fault_has_a_round_alone():
    alone = [planned.faults[0] for planned in first_rounds(3) if planned.what == "alone"]
    kinds = {fault.kind for planned in first_rounds(3) for fault in planned.faults}
    assert {fault.kind for fault in alone} == kinds
    pairs = {
        frozenset(name.rstrip("0123456789") for name in (fault.name, fault.other))
        for fault in alone
        if fault.kind == "one-way partition"
    }
    assert pairs == {
        frozenset(["cs"]), frozenset(["cs", "master"]),
        frozenset(["mount", "cs"]), frozenset(["mount", "master"]),
    }


def test_a_gap_is_put_down_to_a_fault_that_was_alone():
    spans = [Span("kill", 10, 12), Span("pause", 20, 25), Span("unplug", 24, 26)]
    times = {"a": [9, 11, 14.5, 19, 30], "b": [9.5, 10.5, 13, 21, 30]}
    assert gaps_of_lone_faults(spans, times, 30) == {"kill": (4.5, 7, 1)}


def test_what_is_wrong_with_lines_is_found_and_named():
    lines = [make_line("w", n) for n in range(6)]
    assert str(examine(b"".join(lines), {"w": range(6)})) == ""
    bad = examine(
        lines[0] + lines[2] + lines[1] + lines[1] + lines[3][:50] + lines[5] + make_line("x", 1),
        {"w": range(5)},
    )
    assert (bad.lost, bad.swapped, bad.doubled) == (["w 3", "w 4"], ["w 1"], ["w 1"])
    assert len(bad.torn) == 1 and bad.strange == ["x 1"]


def test_a_look_that_misses_what_was_acknowledged_is_stale():
    acks = [(1.0, 100), (2.0, 50), (4.0, 300)]
    assert stale_looks([(0.5, 0), (1.5, 100), (3.0, 100), (5.0, 300)], acks) == []
    assert stale_looks([(1.5, 50), (4.5, 299)], acks) == [(1.5, 50, 100), (4.5, 299, 300)]


def chaos(seconds, **how):
    missing = network.available()
    if missing:
        pytest.skip(missing)
    said = []
    problems = run_chaos(
        Settings(
            seed=SEED,
            seconds=seconds,
            full_disks=Path("/dev/loop-control").exists(),
            evidence=Path("/tmp") / f"appendfs-chaos-{SEED}",
            **how,
        ),
        said.append,
    )
    print("\n".join(said))
    assert not problems, "\n".join(problems)


@pytest.mark.alone
@pytest.mark.seconds(SECONDS + 400)
def test_nothing_acknowledged_is_lost():
    chaos(SECONDS)


@pytest.mark.alone
@pytest.mark.seconds(POWER_LOSS_SECONDS + 400)
def test_nothing_acknowledged_is_lost_with_the_power():
    servers = os.environ.get("APPENDFS_POWER_LOSS")
    if not servers:
        pytest.skip("APPENDFS_POWER_LOSS names no build with -Dpower_loss=true; ./dev test makes one")
    chaos(POWER_LOSS_SECONDS, power_loss=Path(servers))
