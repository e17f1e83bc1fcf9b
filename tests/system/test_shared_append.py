"""Many writers, one file: every line whole, once, in its writer's order."""

import os

import pytest

from lines import check, sequences
from tools import Acks, finish_writer, start_writer

WRITERS = 16


@pytest.mark.parametrize("options,count", [((), 2000), (("--fsync",), 150)], ids=["stream", "fsync"])
def test_writers_on_two_mounts(here, tmp_path, options, count):
    writers = {}
    for i in range(WRITERS):
        mount = here.m if i % 2 else here.m2
        acks = tmp_path / f"w{i}.acks"
        writers[f"w{i}"] = (start_writer(mount / "shared", f"w{i}", count, acks, *options), acks)
    for process, _ in writers.values():
        finish_writer(process)
    acknowledged = {name: Acks(acks).sequences for name, (_, acks) in writers.items()}
    assert all(len(done) == count for done in acknowledged.values())
    for mount in (here.m, here.m2):
        data = (mount / "shared").read_bytes()
        assert len(data) == WRITERS * count * 200
        check(data, acknowledged)


def test_lines_of_many_sizes_are_never_torn(here, tmp_path):
    sizes = [60, 199, 1000, 4096, 5000, 65536, 100_001, 130_000]
    writers = []
    for i, size in enumerate(sizes):
        mount = here.m if i % 2 else here.m2
        acks = tmp_path / f"w{i}.acks"
        writers.append((start_writer(mount / "f", f"w{i}", 40, acks, "--size", str(size)), acks))
    for process, _ in writers:
        finish_writer(process)
    acknowledged = {f"w{i}": Acks(acks).sequences for i, (_, acks) in enumerate(writers)}
    check((here.m / "f").read_bytes(), acknowledged)


def test_reader_sees_a_growing_prefix(here, tmp_path):
    """What a reader on the other mount sees only grows, and what it saw stays."""
    acks = tmp_path / "acks"
    process = start_writer(here.m / "f", "w", 3000, acks)
    seen = b""
    path = here.m2 / "f"
    while process.poll() is None:
        if not path.exists():
            continue
        size = os.stat(path).st_size
        now = path.read_bytes()
        assert now.startswith(seen), "what was read before has changed or is gone"
        assert len(now) >= size, "the file got shorter than stat had said"
        seen = now
    finish_writer(process)
    assert sequences(path.read_bytes()) == {"w": list(range(3000))}


def test_append_and_fsync_is_seen_at_once_on_the_other_mount(here):
    fd = os.open(here.m / "f", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    reader = os.open(here.m2 / "f", os.O_RDONLY)
    for i in range(100):
        line = f"line {i}\n".encode()
        os.write(fd, line)
        os.fsync(fd)
        assert os.read(reader, 100) == line
        assert os.fstat(reader).st_size == os.lseek(reader, 0, os.SEEK_CUR)
    os.close(fd)
    os.close(reader)
