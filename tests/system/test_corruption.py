"""A flipped bit on one replica: readers get right data, and someone is told."""

import os
from pathlib import Path

import pytest

from tools import wait_until

CHUNK_BYTES = 1 << 20


def chunk_files(cluster, name, marker):
    """The files in a server's data directory that hold these bytes, raw."""
    directory = Path(cluster.process(name)["data_dir"])
    found = []
    for path in directory.rglob("*"):
        if path.is_file() and path.stat().st_size >= len(marker) and marker in path.read_bytes():
            found.append(path)
    return found


def flip_byte(path, marker):
    data = path.read_bytes()
    at = data.index(marker) + len(marker) // 2
    with open(path, "r+b") as file:
        file.seek(at)
        file.write(bytes([data[at] ^ 0x40]))
        file.flush()
        os.fsync(file.fileno())


def replicas(cluster, path):
    return [r for chunk in cluster.admin_file(path)["chunks"] for r in chunk["replicas"]]


@pytest.fixture
def small_chunks(make_cluster):
    return make_cluster(chunk_bytes=CHUNK_BYTES)


def write_marked(path, blocks):
    """64 KiB blocks that each begin with a text of their own."""
    content = b""
    with open(path, "ab", buffering=0) as file:
        for i in range(blocks):
            block = (f"<block {i:08d} of {path.name}>".encode() + os.urandom(65536))[:65536]
            file.write(block)
            content += block
        os.fsync(file.fileno())
    return content


def block_marker(content, index):
    return content[index * 65536 : index * 65536 + 4096]


def test_sealed_chunks(small_chunks):
    cluster = small_chunks
    content = write_marked(cluster.m / "f", 12 * 16)
    chunks = cluster.admin_file("/f")["chunks"]
    sealed = [c for c in chunks if c["state"] == "sealed"]
    assert len(sealed) >= 10, [c["state"] for c in chunks]
    cluster.wait_healthy()  # a server whose disk was slow may have been left behind

    # One replica of each sealed chunk, on each server in a turn that changes,
    # so that some reader meets one whatever replicas it prefers in turn.
    flipped = []
    for i, chunk in enumerate(sealed):
        marker = content[chunk["offset"] + 1000 : chunk["offset"] + 5096]
        name = f"cs{(i + i // 3) % 3 + 1}"
        for path in wait_until(lambda n=name, m=marker: chunk_files(cluster, n, m)):
            flip_byte(path, marker)
        flipped.append((name, marker))

    assert (cluster.m2 / "f").read_bytes() == content
    assert (cluster.m / "f").read_bytes() == content
    assert cluster.cli("cat", "/f", text=False).stdout == content

    # Shown as damaged, or replaced already: the server has the right bytes again.
    def reported():
        status = cluster.admin_status()
        if status["damaged_replicas"] or any(r["damaged"] for r in replicas(cluster, "/f")):
            return True
        return any(chunk_files(cluster, name, marker) for name, marker in flipped)

    wait_until(reported, 60, "a bad replica is reported")
    assert (cluster.m2 / "f").read_bytes() == content

    def repaired():
        assert (cluster.m / "f").read_bytes() == content
        assert not any(r["damaged"] for r in replicas(cluster, "/f"))
        return cluster.admin_status()["health"] == "ok"

    wait_until(repaired, 90, "the bad replicas are replaced")


def test_open_chunk(make_cluster):
    cluster = make_cluster()
    content = write_marked(cluster.m / "f", 8)
    marker = block_marker(content, 3)
    files = [f for name in ("cs1", "cs2", "cs3") for f in chunk_files(cluster, name, marker)[:1]]
    assert len(files) >= 2
    flip_byte(files[0], marker)
    for _ in range(5):
        with cluster.mounted() as fresh:
            assert (fresh / "f").read_bytes() == content
    with open(cluster.m / "f", "ab", buffering=0) as file:
        file.write(b"and on it goes\n")
        os.fsync(file.fileno())
    assert (cluster.m2 / "f").read_bytes() == content + b"and on it goes\n"


def test_flipped_while_the_server_is_down(make_cluster):
    cluster = make_cluster()
    content = write_marked(cluster.m / "f", 8)
    cluster.kill("cs2")
    marker = block_marker(content, 5)
    for path in chunk_files(cluster, "cs2", marker):
        flip_byte(path, marker)
    cluster.restart("cs2")
    with open(cluster.m / "f", "ab", buffering=0) as file:
        file.write(b"tail\n")
        os.fsync(file.fileno())
    assert (cluster.m2 / "f").read_bytes() == content + b"tail\n"
    # Whoever else goes: what cs2 has is either right or not used.
    cluster.wait_healthy(90)
    cluster.kill("cs1")
    assert (cluster.m2 / "f").read_bytes() == content + b"tail\n"
    cluster.restart("cs1")
    cluster.wait_healthy(90)
