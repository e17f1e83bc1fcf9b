"""What goes wrong, and when: drawn from the seed alone, so that a run can be repeated.

A plan is a list of rounds. Within one, faults overlap; between rounds everything is healed and
has to make progress. Every kind of fault once has a round alone, which tells what it costs; these
rounds come first, mixed with others. What a fault needs to draw when it happens (which
chunk, which byte) it draws from `salt`.
"""

import random
from dataclasses import dataclass

LONGEST_OUTAGE = 6.0  # seconds of one fault
LONGEST_ALONE = 3.0
SPREAD = 4.0  # seconds within which the faults of a round begin

# kind → (how often, whom it can hit)
TEMPORARY = {
    "kill": (5, ("server", "master")),
    "restart": (1, ("server", "master")),
    "pause": (3, ("server", "master", "mount")),
    "reset connections": (1, ("server", "master", "mount")),
    "unplug": (2, ("server", "master", "mount")),
    "full disk": (1, ("server",)),
}
PARTITIONS = {"partition": 3, "one-way partition": 3}
# Who may be unable to talk to whom.
PAIRS = (("server", "server"), ("server", "master"), ("mount", "server"), ("mount", "master"))
DAMAGE = ("flip in chunk", "flip in journal")


@dataclass(frozen=True)
class Fault:
    at: float  # seconds into the round
    kind: str
    name: str  # of the process
    lasts: float  # seconds; until it is restarted, goes on, or has room again
    salt: int
    other: str = ""  # of partitions: who is not reached

    def __str__(self):
        return f"{self.kind} {self.name}{' ' + self.other if self.other else ''}"


@dataclass(frozen=True)
class Round:
    number: int
    what: str
    faults: tuple
    # It begins the moment somebody has been told that his line is safe.
    after_acknowledgement: bool = False

    @property
    def damages(self):
        """Before it every chunk must have all its replicas, and be whole on the others:
        so that the one replica that this round damages is the only one lost for good."""
        return any(fault.kind in DAMAGE for fault in self.faults)


class Planner:
    def __init__(self, seed, servers, mounts, full_disks=True, power_loss=False):
        self._random = random.Random(f"chaos {seed}")
        self._of = {"server": list(servers), "master": ["master"], "mount": list(mounts)}
        self._kinds = dict(TEMPORARY)
        if not full_disks:
            del self._kinds["full disk"]
        # Losing unsynced bytes is what such a run is for.
        self._everybody_share = 0.6 if power_loss else 0.25
        self._tour = not power_loss

    def rounds(self):
        """Without end."""
        alone = self._everything_alone() if self._tour else []
        number = 0
        while True:
            number += 1
            if alone and number % 3:
                yield Round(number, "alone", (alone.pop(),))
            else:
                yield self._round(number)

    def _round(self, number):
        what = self._random.random()
        if what < self._everybody_share:
            return Round(number, "everybody", self._everybody(), after_acknowledgement=True)
        what = (what - self._everybody_share) / (1 - self._everybody_share)
        if what < 0.3:
            return Round(number, "damage", self._damage())
        if what < 0.5:
            return Round(number, "interrupted recovery", self._interrupted_recovery())
        return Round(number, "some", self._some())

    # --- rounds ------------------------------------------------------------------------

    def _everything_alone(self):
        faults = [
            self._fault(kind, self._random.choice(self._of[role]), at=0, longest=LONGEST_ALONE)
            for kind, (_, roles) in self._kinds.items()
            for role in roles
        ]
        faults += [
            self._partition(kind, pair, at=0, longest=LONGEST_ALONE)
            for kind in PARTITIONS
            for pair in PAIRS
        ]
        faults += [self._fault(kind, self._random.choice(self._of["server"]), at=0) for kind in DAMAGE]
        self._random.shuffle(faults)
        return faults

    def _some(self):
        names = self._random.sample(sum(self._of.values(), []), self._random.randint(1, 3))
        return self._ordered([self._temporary(name) for name in names] + self._partitions(2))

    def _everybody(self):
        """All chunkservers lose power at once; the master too, or not."""
        names = self._of["server"] + (["master"] if self._random.random() < 0.5 else [])
        return self._ordered([self._fault("kill", name, at=0, longest=3.0) for name in names])

    def _damage(self):
        """One server's bytes, while another may be away for a while."""
        names = self._random.sample(self._of["server"], 2)
        faults = [self._fault(self._random.choice(DAMAGE), names[0])]
        if self._random.random() < 0.5:
            faults.append(self._temporary(names[1]))
        return self._ordered(faults)

    def _interrupted_recovery(self):
        """A server goes; the master does when clients have told it so, or when it
        has missed the server itself."""
        kind = self._random.choice(["kill", "pause", "unplug"])
        begin, end = self._random.choice([(0.0, 0.4), (1.8, 2.6)])
        return self._ordered([
            self._fault(kind, self._random.choice(self._of["server"]), at=0),
            self._fault("kill", "master", at=self._random.uniform(begin, end), longest=1.0),
        ] + self._partitions(1))

    # --- faults ------------------------------------------------------------------------

    @staticmethod
    def _ordered(faults):
        return tuple(sorted(faults, key=lambda fault: fault.at))

    def _fault(self, kind, name, at=None, longest=LONGEST_OUTAGE, other=""):
        draw = self._random
        return Fault(
            at=round(draw.uniform(0, SPREAD) if at is None else at, 2),
            kind=kind,
            name=name,
            lasts=round(draw.uniform(0.1, longest), 2),
            salt=draw.getrandbits(32),
            other=other,
        )

    def _temporary(self, name):
        role = next(role for role, names in self._of.items() if name in names)
        kinds = {kind: often for kind, (often, roles) in self._kinds.items() if role in roles}
        return self._fault(self._random.choices(list(kinds), list(kinds.values()))[0], name)

    def _partitions(self, most):
        faults = {}
        for _ in range(self._random.randint(0, most)):
            kind = self._random.choices(list(PARTITIONS), list(PARTITIONS.values()))[0]
            fault = self._partition(kind, self._random.choice(PAIRS))
            faults[frozenset((fault.name, fault.other))] = fault  # one for each pair
        return list(faults.values())

    def _partition(self, kind, roles, **more):
        name = self._random.choice(self._of[roles[0]])
        other = self._random.choice([one for one in self._of[roles[1]] if one != name])
        if self._random.random() < 0.5:
            name, other = other, name
        return self._fault(kind, name, other=other, **more)
