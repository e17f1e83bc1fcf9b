"""What goes wrong, and when: drawn from the seed alone, so that a run can be repeated.

A plan is a list of rounds. Within one, faults of different processes overlap; between
rounds everything is healed and has to make progress. What a fault needs to draw when
it happens (which chunk, which byte) it draws from `salt`.
"""

import random
from dataclasses import dataclass

LONGEST_OUTAGE = 6.0  # seconds of one fault
SPREAD = 4.0  # seconds within which the faults of a round begin


@dataclass(frozen=True)
class Fault:
    at: float  # seconds into the round
    kind: str
    name: str  # of the process
    lasts: float  # seconds; until it is restarted, goes on, or has room again
    salt: int


@dataclass(frozen=True)
class Round:
    number: int
    faults: tuple
    # Before it every chunk has all its replicas, and no earlier damage is left: so that
    # the one replica that this round damages is the only one lost for good.
    healthy_before: bool


# kind → how often
TEMPORARY = {"kill": 5, "pause": 3, "cut connections": 2, "restart": 1, "full disk": 1}
DAMAGE = ("flip in chunk", "flip in journal")


class Planner:
    def __init__(self, seed, servers, full_disks=True):
        self._random = random.Random(f"chaos {seed}")
        self._servers = servers
        self._kinds = dict(TEMPORARY)
        if not full_disks:
            del self._kinds["full disk"]

    def rounds(self):
        """Without end."""
        number = 0
        while True:
            number += 1
            kind = self._random.random()
            if kind < 0.3:
                faults = self._everything_at_once()
            elif kind < 0.55:
                faults = self._damage()
            else:
                faults = self._some()
            damages = any(fault.kind in DAMAGE for fault in faults)
            yield Round(number, tuple(sorted(faults, key=lambda fault: fault.at)), damages)

    def _fault(self, kind, name, at=None, longest=LONGEST_OUTAGE):
        draw = self._random
        return Fault(
            at=round(draw.uniform(0, SPREAD) if at is None else at, 2),
            kind=kind,
            name=name,
            lasts=round(draw.uniform(0.1, longest), 2),
            salt=draw.getrandbits(32),
        )

    def _temporary(self, name):
        kinds = [kind for kind in self._kinds if name != "master" or kind != "full disk"]
        weights = [self._kinds[kind] for kind in kinds]
        return self._fault(self._random.choices(kinds, weights)[0], name)

    def _some(self):
        names = self._random.sample(self._servers + ["master"], self._random.randint(1, 3))
        return [self._temporary(name) for name in names]

    def _everything_at_once(self):
        """Also the master, or only the chunkservers."""
        names = self._servers + (["master"] if self._random.random() < 0.5 else [])
        return [self._fault("kill", name, at=1.0, longest=3.0) for name in names]

    def _damage(self):
        """One server's bytes, while others may be away for a while."""
        names = self._random.sample(self._servers, 2)
        faults = [self._fault(self._random.choice(DAMAGE), names[0])]
        if self._random.random() < 0.5:
            faults.append(self._temporary(names[1]))
        return faults
