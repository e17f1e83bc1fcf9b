"""A small disk of its own for every server's data directory, so that it can be full."""

from tools import run

DISK_BYTES = 4 << 30  # a server keeps 256 MiB free; the image is sparse


def prepare(names):
    """For Cluster(prepare=): loop devices, which go with their mounts."""

    def make(directory):
        for name in names:
            image = directory / f"{name}.disk"
            point = directory / name
            with open(image, "wb") as file:
                file.truncate(DISK_BYTES)
            run("mkfs.ext4", "-q", "-m", "0", image)
            point.mkdir()
            run("mount", "-o", "loop", image, point)

    return make
