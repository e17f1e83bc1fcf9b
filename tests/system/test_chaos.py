"""A short run of ./dev chaos, always the same faults."""

from pathlib import Path

from chaos.plan import DAMAGE, Planner
from chaos.run import Settings, run_chaos

SECONDS = 60
SEED = 72  # every kind of fault within the first rounds


def first_rounds(seed, count=40):
    rounds = Planner(seed, ["cs1", "cs2", "cs3", "cs4"]).rounds()
    return [next(rounds) for _ in range(count)]


def test_the_seed_decides_what_goes_wrong():
    assert first_rounds(7) == first_rounds(7)
    assert first_rounds(7) != first_rounds(8)


def test_a_round_damages_one_server_at_most():
    for seed in range(20):
        for planned in first_rounds(seed):
            damaged = {fault.name for fault in planned.faults if fault.kind in DAMAGE}
            assert len(damaged) <= 1
            assert planned.healthy_before == bool(damaged)
            names = [fault.name for fault in planned.faults]
            assert len(names) == len(set(names)), "two faults of one process would undo each other"


def test_nothing_acknowledged_is_lost():
    evidence = Path("/tmp") / f"appendfs-chaos-{SEED}"
    full_disks = Path("/dev/loop-control").exists()
    said = []
    problems = run_chaos(
        Settings(seed=SEED, seconds=SECONDS, full_disks=full_disks, evidence=evidence), said.append
    )
    print("\n".join(said))
    assert not problems, "\n".join(problems)
