"""The soak's own judgement, and a few seconds of it; ./dev soak runs for minutes."""

import pytest

from soak.meter import JUDGED_SECONDS, Sample, judge
from soak.run import soak


def samples(memory, descriptors, seconds=2 * JUDGED_SECONDS):
    return [
        Sample(seconds * (i + 1) / 100, memory(i / 100), descriptors(i / 100)) for i in range(100)
    ]


def test_what_fills_and_then_stays_is_flat():
    filled = samples(lambda at: 20 + 100 * min(at, 0.4), lambda at: 30 + (at * 1000) % 7)
    assert judge("mount1", filled) == []


def test_what_grows_to_the_end_is_told():
    leaking = samples(lambda at: 20 + 200 * at, lambda at: 30 + 100 * at)
    assert [problem.split(":")[0] for problem in judge("mount1", leaking)] == ["mount1"] * 2


def test_a_short_run_is_not_judged():
    assert judge("mount1", samples(lambda at: 1000 * at, lambda at: 1000 * at, JUDGED_SECONDS / 2)) == []


@pytest.mark.seconds(600)
def test_soak_of_half_a_minute():
    said = []
    assert soak(7, 30, said.append) == [], "\n".join(said)
