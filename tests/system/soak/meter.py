"""Memory and descriptors of the cluster's processes over time.

Memory may grow while caches fill: what is judged is the second half of a run. A process that
was restarted begins anew, so only the mounts, which never are, are judged. A chunkserver keeps
chunk files open, up to a bound of its own: its descriptors rise to that."""

import os
import statistics
import time
from dataclasses import dataclass
from pathlib import Path

# A run shorter than this shows how the caches fill and nothing else.
JUDGED_SECONDS = 180
MOST_GROWTH_MIB, MOST_DESCRIPTORS = 24, 16


@dataclass
class Sample:
    seconds: float
    rss_mib: float
    descriptors: int


def look(pid, since):
    status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    kib = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS:"))
    return Sample(time.monotonic() - since, kib / 1024, len(os.listdir(f"/proc/{pid}/fd")))


class Meter:
    """Asked now and then by one thread."""

    def __init__(self, cluster):
        self._cluster = cluster
        self._since = time.monotonic()
        self.samples = {}  # name: list of samples

    def sample(self):
        for process in self._cluster.status()["processes"]:
            try:
                taken = look(process["pid"], self._since)
            except (OSError, StopIteration):  # it is being restarted
                continue
            self.samples.setdefault(process["name"], []).append(taken)

    def table(self):
        lines = ["process   VmRSS in MiB at 1/4, 1/2, 3/4, end; most   descriptors at 1/4, end; most"]
        for name, samples in sorted(self.samples.items()):
            quarters = [samples[(len(samples) - 1) * part // 4] for part in (1, 2, 3, 4)]
            memory = " ".join(f"{sample.rss_mib:7.1f}" for sample in quarters)
            lines.append(
                f"{name:9} {memory}; {max(s.rss_mib for s in samples):7.1f}   "
                f"{quarters[0].descriptors:4d} {quarters[-1].descriptors:4d}; "
                f"{max(s.descriptors for s in samples):4d}"
            )
        return "\n".join(lines)

    def problems(self):
        return [
            problem
            for name, samples in self.samples.items()
            if name.startswith("mount")
            for problem in judge(name, samples)
        ]


def judge(name, samples):
    """What is not flat in the second half. Medians, because load comes in waves."""
    if not samples or samples[-1].seconds < JUDGED_SECONDS:
        return []
    half = samples[len(samples) // 2 :]
    early, late = half[: len(half) // 2], half[len(half) // 2 :]
    found = []
    grown = statistics.median(s.rss_mib for s in late) - statistics.median(s.rss_mib for s in early)
    if grown > MOST_GROWTH_MIB:
        found.append(f"{name}: memory grew by {grown:.1f} MiB in the second half")
    more = statistics.median(s.descriptors for s in late) - statistics.median(s.descriptors for s in early)
    if more > MOST_DESCRIPTORS:
        found.append(f"{name}: {more:g} descriptors more at the end than in the middle")
    return found
