"""Bytes that rot in a server's data directory, and where they still are.

Reads the journal's layout (docs/format.md) with eyes of its own.
"""

import os
import struct
from dataclasses import dataclass
from pathlib import Path

GROUP_MAGIC = b"AFSGRP01"
GROUP_ALIGNMENT = 512
GROUP_HEADER = 64


@dataclass(frozen=True)
class Flip:
    server: str
    path: Path
    at: int
    good: int
    bad: int
    handle: int = 0  # of the chunk; 0 in a journal

    def still_there(self):
        try:
            return byte_at(self.path, self.at) == self.bad
        except FileNotFoundError:
            return False

    def take_back(self):
        if self.still_there():
            put(self.path, self.at, self.good)


def byte_at(path, at):
    with open(path, "rb") as file:
        file.seek(at)
        found = file.read(1)
    return found[0] if found else None


def put(path, at, byte):
    with open(path, "r+b") as file:
        file.seek(at)
        file.write(bytes([byte]))
        file.flush()
        os.fsync(file.fileno())


def flip(server, path, at, draw, handle=0):
    good = byte_at(path, at)
    if good is None:
        return None
    bad = good ^ (1 << draw.randrange(8))
    put(path, at, bad)
    return Flip(server, path, at, good, bad, handle)


def chunk_file(data_dir, handle):
    """Where a server keeps the raw bytes of a chunk; None if it has none."""
    return next(Path(data_dir).rglob(f"{handle:016x}.data"), None)


def flip_in_chunks(server, data_dir, chunks, draw, most=3):
    """Flips up to `most` bytes of one chunk file. `chunks`: (handle, length) of those
    that this server should have; of an open one some bytes may not be in the file yet."""
    for handle, length in draw.sample(chunks, len(chunks)):
        path = chunk_file(data_dir, handle)
        there = min(length, path.stat().st_size) if path else 0
        if there == 0:
            continue
        flips = [
            flip(server, path, draw.randrange(there), draw, handle)
            for _ in range(draw.randint(1, most))
        ]
        return [one for one in flips if one]
    return []


def last_group(segments):
    """Where the newest journal group lies: (path, begin, end). It is spared: it may
    be one that was just synced, and nothing on this disk could tell its damage from
    a torn end. (Then a server is shorter than it should be, and only together with a
    second loss that matters; the plan allows one.)"""
    newest, place = 0, (None, 0, 0)
    for path, content in segments:
        at = content.find(GROUP_MAGIC)
        while at >= 0:
            if at % GROUP_ALIGNMENT == 0 and at + GROUP_HEADER <= len(content):
                sequence, = struct.unpack_from("<Q", content, at + 16)
                records, record_bytes, payload_bytes = struct.unpack_from("<IIQ", content, at + 40)
                if records > 0 and sequence > newest:
                    newest = sequence
                    place = (path, at, at + GROUP_HEADER + record_bytes + payload_bytes)
            at = content.find(GROUP_MAGIC, at + 1)
    return place


def flip_in_journal(server, data_dir, draw, most=3):
    """Flips up to `most` bytes that are not zero in the journal of a stopped server."""
    segments = [(path, path.read_bytes()) for path in sorted(Path(data_dir).rglob("*.seg"))]
    spared_path, begin, end = last_group(segments)
    flips = []
    segments = [(path, content) for path, content in segments if content.strip(b"\0")]
    for _ in range(draw.randint(1, most) if segments else 0):
        path, content = draw.choice(segments)
        used = len(content.rstrip(b"\0"))
        for _ in range(1000):
            at = draw.randrange(used)
            spared = path == spared_path and begin <= at < end
            if content[at] != 0 and not spared:
                flips.append(flip(server, path, at, draw))
                break
    return [one for one in flips if one]
