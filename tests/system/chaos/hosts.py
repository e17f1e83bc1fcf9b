"""A cluster of real processes, each on a host of its own (chaos.network)."""

import os
import shutil
import signal
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from chaos.network import Network
from cluster import STAGE, Questions, environment, live_clusters, mounts_below
from tools import DIES_WITH_US, run, wait_until

MASTER_PORT, CHUNKSERVER_PORT = 9400, 9410
START_SECONDS = 60
DIRECTORY = "appendfs-chaos-run"
STOP_SECONDS = 90  # a mount waits 30 for what it has not shipped, a server syncs everything


def remove_leftovers():
    """Mounts and files of runs that were killed. Their processes have died with them."""
    for directory in Path(tempfile.gettempdir()).resolve().glob(f"{DIRECTORY}-*-*"):
        if not Path(f"/proc/{directory.name.split('-')[3]}").exists():
            remove(directory)


def remove(directory):
    for point in reversed(mounts_below(directory)):
        run("umount", "-l", point, check=False)
    shutil.rmtree(directory, ignore_errors=True)


@dataclass
class Host:
    name: str
    role: str  # master, chunkserver or mount
    command: list
    place: Path  # its data directory or mount point
    address: str = ""  # HOST:PORT, of servers
    process: subprocess.Popen = None

    def alive(self):
        return self.process is not None and self.process.poll() is None


class Hosts(Questions):
    """The servers' programs are the stage's, or those of another build directory. `variables`:
    more of their environment. `prepare(dir)` runs before the first start."""

    def __init__(self, chunkservers, mounts, chunk_bytes, build=None, variables=None, prepare=None):
        remove_leftovers()
        self.dir = Path(tempfile.mkdtemp(prefix=f"{DIRECTORY}-{os.getpid()}-")).resolve()
        (self.dir / "log").mkdir()
        self._environment = environment(**(variables or {}))
        self.servers = [f"cs{i + 1}" for i in range(chunkservers)]
        self.mounts = [f"mount{i + 1}" for i in range(mounts)]
        self.network = Network(["master", *self.servers, *self.mounts])
        self.hosts = {}
        live_clusters.append(self)
        try:
            if prepare:
                prepare(self.dir)
            self.network.make()
            self.enter = self.network.enter()
            self._plan(build, chunk_bytes)
            self._start_all()
        except BaseException:
            self.close()
            raise

    def _plan(self, build, chunk_bytes):
        master_program = (build / "master" if build else STAGE / "sbin") / "appendfs-master"
        server_program = (build / "chunkserver" if build else STAGE / "sbin") / "appendfs-chunkserver"
        self.master = f"{self.network.addresses['master']}:{MASTER_PORT}"
        self._add("master", "master", self.dir / "master", self.master, [
            master_program, "--data-dir", self.dir / "master",
            "--listen", self.master, "--chunk-bytes", chunk_bytes,
        ])
        for name in self.servers:
            address = f"{self.network.addresses[name]}:{CHUNKSERVER_PORT}"
            self._add(name, "chunkserver", self.dir / name, address, [
                server_program, "--data-dir", self.dir / name,
                "--listen", address, "--master", self.master,
            ])
        for name in self.mounts:
            point = self.dir / "mnt" / name
            point.mkdir(parents=True)
            self._add(name, "mount", point, "", [STAGE / "sbin" / "mount.appendfs", self.master, point, "--foreground"])

    def _add(self, name, role, place, address, command):
        entered = [str(part) for part in (*DIES_WITH_US, *self.network.enter(name), *command)]
        self.hosts[name] = Host(name, role, entered, place, address)

    def _start_all(self):
        self.start("master")
        wait_until(lambda: self.json("admin", "status", check=False), START_SECONDS, "the master answers")
        for name in self.servers:
            self.start(name)

        wait_until(
            lambda: self.admin_status()["servers_alive"] == len(self.servers),
            START_SECONDS, "every chunkserver is there",
        )
        for name in self.mounts:
            self.start(name)
        wait_until(
            lambda: {str(point) for point in self.mount_points} <= set(mounts_below(self.dir)),
            START_SECONDS, "every mount is there",
        )

    # --- processes -------------------------------------------------------------------------

    @property
    def mount_points(self):
        return [self.hosts[name].place for name in self.mounts]

    def start(self, name):
        """Unless it runs. Whether it is well shows later."""
        host = self.hosts[name]
        if host.alive():
            return
        with open(self.dir / "log" / f"{name}.log", "ab") as log:
            host.process = subprocess.Popen(
                host.command, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                env=self._environment, start_new_session=True,
            )

    def signal(self, name, number):
        """To a process that has ended: nothing."""
        if self.hosts[name].alive():
            self.hosts[name].process.send_signal(number)

    def wait_ended(self, name, seconds=STOP_SECONDS):
        wait_until(lambda: not self.hosts[name].alive(), seconds, f"{name} has ended")

    def stop(self):
        """In order, and orderly. The disks stay."""
        for names in (self.mounts, self.servers, ["master"]):
            for name in names:
                self.signal(name, signal.SIGTERM)
                self.signal(name, signal.SIGCONT)
            for name in names:
                self.wait_ended(name)

    def close(self):
        """Whatever its state; nothing of it is left."""
        if self in live_clusters:
            live_clusters.remove(self)
        for host in self.hosts.values():
            if host.alive():
                host.process.kill()
            if host.process:
                host.process.wait(STOP_SECONDS)
        self.network.close()
        remove(self.dir)

    def abort_mounts(self):
        """Kills the mount daemons, so that nobody waits in the kernel for them."""
        for name in self.mounts:
            if name in self.hosts and self.hosts[name].alive():
                os.kill(self.hosts[name].process.pid, signal.SIGKILL)
