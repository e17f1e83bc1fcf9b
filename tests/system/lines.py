"""Lines that say who wrote them, and the check of what became of them.

A line is "WRITER SEQUENCE FILL\\n" of a fixed size; the fill follows from the
rest, so that a line that is torn, mixed with another or made up is noticed.
"""

import hashlib


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


def check(data, acknowledged, attempted=None):
    """Every line whole, once and in its writer's order; every acknowledged one
    there. `acknowledged` and `attempted` map writers to lists of sequences; what
    was attempted and not acknowledged may be there or not."""
    attempted = attempted or acknowledged
    found = sequences(data)
    assert set(found) <= set(attempted), f"unknown writers: {set(found) - set(attempted)}"
    for writer, want in acknowledged.items():
        have = found.get(writer, [])
        assert len(have) == len(set(have)), f"{writer}: lines there twice: {duplicates(have)}"
        assert have == sorted(have), f"{writer}: lines out of order"
        lost = set(want) - set(have)
        assert not lost, f"{writer}: acknowledged lines lost: {sorted(lost)[:10]}"
        strange = set(have) - set(attempted[writer])
        assert not strange, f"{writer}: lines nobody wrote: {sorted(strange)[:10]}"


def duplicates(values):
    seen = set()
    return [value for value in values if value in seen or seen.add(value)][:10]
