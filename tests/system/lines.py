"""Lines that say who wrote them, and the check of what became of them.

A line is "WRITER SEQUENCE FILL\\n" of a fixed size; the fill follows from the
rest, so that a line that is torn, mixed with another or made up is noticed.
"""

import hashlib
from dataclasses import dataclass, field


def make_line(writer, sequence, size=200):
    head = f"{writer} {sequence} ".encode()
    fill = hashlib.sha256(head).hexdigest().encode()
    room = size - len(head) - 1
    assert room > 0, "the line is too short for its head"
    return head + (fill * (room // len(fill) + 1))[:room] + b"\n"


def parse_line(line):
    """The writer and sequence of a whole line, newline included."""
    parts = line.split(b" ", 2)
    assert len(parts) == 3, f"not a line of ours: {line[:80]!r}"
    writer, sequence = parts[0].decode(), int(parts[1])
    assert line == make_line(writer, sequence, len(line)), f"damaged line: {line[:80]!r}"
    return writer, sequence


def sequences(data):
    """The sequences of each writer in the order they stand in the file."""
    assert data == b"" or data.endswith(b"\n"), f"the last line is torn: {data[-80:]!r}"
    found = {}
    for line in data.splitlines(keepends=True):
        writer, sequence = parse_line(line)
        found.setdefault(writer, []).append(sequence)
    return found


def ends(data):
    """{(writer, sequence): where the line ends}. Of whole lines."""
    found, at = {}, 0
    for line in data.splitlines(keepends=True):
        writer, sequence, _ = line.split(b" ", 2)
        at += len(line)
        found[writer.decode(), int(sequence)] = at
    return found


@dataclass
class Findings:
    """What is wrong with a file; each a list of texts that name the lines."""

    lost: list = field(default_factory=list)
    torn: list = field(default_factory=list)
    doubled: list = field(default_factory=list)
    swapped: list = field(default_factory=list)
    strange: list = field(default_factory=list)

    def __str__(self):
        return "; ".join(
            f"{len(found)} lines {kind}: {', '.join(found[:5])}"
            for kind, found in vars(self).items()
            if found
        )


def examine(data, acknowledged, attempted=None):
    """Every line must be whole, there once and in its writer's order; every acknowledged
    one must be there. `acknowledged` and `attempted` map writers to lists of sequences;
    what was attempted and not acknowledged may be there or not."""
    attempted = attempted or acknowledged
    findings, found, at = Findings(), {}, 0
    for line in data.splitlines(keepends=True):
        try:
            writer, sequence = parse_line(line)
            found.setdefault(writer, []).append(sequence)
        except (AssertionError, ValueError):
            findings.torn.append(f"{line[:80]!r} at {at}")
        at += len(line)
    for writer, have in found.items():
        there, allowed, last = set(), set(attempted.get(writer, [])), -1
        for sequence in have:
            name = f"{writer} {sequence}"
            if sequence in there:
                findings.doubled.append(name)
            elif sequence < last:
                findings.swapped.append(name)
            if sequence not in allowed:
                findings.strange.append(name)
            there.add(sequence)
            last = max(last, sequence)
    for writer, want in acknowledged.items():
        lost = set(want) - set(found.get(writer, []))
        findings.lost += [f"{writer} {sequence}" for sequence in sorted(lost)]
    return findings


def check(data, acknowledged, attempted=None):
    """Fails unless there is nothing to find."""
    findings = examine(data, acknowledged, attempted)
    assert not str(findings), str(findings)
