"""A cluster of real processes with real mounts, through `appendfs cluster`."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path

from ports import first_port
from tools import run, wait_until

STAGE = Path(
    os.environ.get("APPENDFS_STAGE", Path(__file__).resolve().parents[2] / "build" / "stage")
).resolve()
APPENDFS = STAGE / "bin" / "appendfs"

live_clusters = []  # for the watchdog and the reports of failed tests


def environment(**more):
    """This process's environment without AppendFS settings of the user's."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("APPENDFS_")}
    return {**kept, **more}


def mounts_below(directory):
    points = []
    for line in Path("/proc/self/mountinfo").read_text(encoding="utf-8").splitlines():
        point = line.split()[4].replace("\\040", " ")
        if point == str(directory) or point.startswith(f"{directory}/"):
            points.append(point)
    return points


class Questions:
    """What one asks a cluster of real processes with `appendfs`, whoever started it in
    the directory `dir`. `enter` goes before the command: how to get where it is reached."""

    dir = master = None
    enter = ()

    def cli(self, *arguments, check=True, timeout=90, **options):
        return run(
            *self.enter, APPENDFS, *arguments, check=check, timeout=timeout,
            env=environment(APPENDFS_MASTER=self.master), **options,
        )

    def json(self, *arguments, check=True):
        said = self.cli(*arguments, "--json", check=check)
        assert said.stdout, said.stderr  # nothing: the master did not answer
        return json.loads(said.stdout)

    def admin_file(self, path):
        return self.json("admin", "file", path)

    def admin_status(self):
        return self.json("admin", "status", check=False)

    def wait_healthy(self, timeout=60):
        """Until every server is alive and no chunk is short of a replica. A disk that
        failed stays a reason to look."""

        def healthy():
            status = self.admin_status()
            assert all(reason.startswith("disk ") for reason in status["reasons"]), status
            return True

        wait_until(healthy, timeout, "a healthy cluster")

    def logs(self, lines=40):
        """The end of every log, for the report of a failed test."""
        text = []
        for path in sorted((self.dir / "log").glob("*.log")):
            tail = path.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:]
            text.append(f"--- {path}\n" + "\n".join(tail))
        return "\n".join(text)


class Cluster(Questions):
    """One cluster in a temporary directory of its own. M and M2 are two mounts of it.
    `prepare(dir)` runs before the first start; `settings` is in every process's environment."""

    def __init__(
        self, chunkservers=3, mounts=2, chunk_bytes=None, mount_options="", prepare=None, disks=1,
        settings=None,
    ):
        self._settings = settings or {}
        self.dir = Path(tempfile.mkdtemp(prefix="appendfs-test-")).resolve()
        self.mount_points = [self.dir / "mnt" / f"m{i + 1}" for i in range(mounts)]
        self._start_arguments = ["--chunkservers", str(chunkservers), "--port", str(first_port())]
        for point in self.mount_points:
            self._start_arguments += ["--mount", str(point)]
        if chunk_bytes:
            self._start_arguments += ["--chunk-bytes", str(chunk_bytes)]
        if mount_options:
            self._start_arguments += ["-o", mount_options]
        if disks > 1:
            self._start_arguments += ["--disks", str(disks)]
        live_clusters.append(self)
        try:
            if prepare:
                prepare(self.dir)
            self._command("start", *self._start_arguments)
            self.master = self.process("master")["address"]
        except BaseException:
            self.close()
            raise

    # --- the whole ------------------------------------------------------------

    @property
    def m(self):
        return self.mount_points[0]

    @property
    def m2(self):
        return self.mount_points[1]

    def start(self):
        self._command("start")

    def stop(self):
        self._command("stop")

    def status(self):
        return self._command("status", check=False)

    def close(self):
        """Stops everything whatever its state, and fails if something was left."""
        if self in live_clusters:
            live_clusters.remove(self)
        stopped = None
        if (self.dir / "cluster.json").exists():
            stopped = run(
                APPENDFS, "cluster", "stop", "--dir", self.dir, check=False, timeout=150,
                env=environment(),
            )
        left = [point for point in mounts_below(self.dir) if "/mnt/" in point]
        for point in reversed(mounts_below(self.dir)):
            run("umount", "-l", point, check=False)
        shutil.rmtree(self.dir, ignore_errors=True)
        assert not stopped or stopped.returncode == 0, stopped.stderr
        assert not left, f"still mounted after stop: {left}"

    # --- one process ------------------------------------------------------------

    def process(self, name):
        return next(p for p in self.status()["processes"] if p["name"] == name)

    def name_of_server(self, address):
        return next(p["name"] for p in self.status()["processes"] if p["address"] == address)

    def kill(self, name, signal_name="KILL"):
        return self._command("kill", name, "--signal", signal_name)

    def restart(self, name):
        return self._command("restart", name)

    # --- the command --------------------------------------------------------------

    def _command(self, verb, *arguments, check=True):
        result = run(
            APPENDFS, "cluster", verb, *arguments, "--dir", self.dir, "--json", check=check,
            timeout=150, env=environment(**self._settings),
        )
        return json.loads(result.stdout)

    # --- more mounts ---------------------------------------------------------------

    @contextlib.contextmanager
    def mounted(self, options="", subdirectory=""):
        """Another mount while the block runs (unless it unmounts it), by mount.appendfs as
        users call it."""
        point = Path(tempfile.mkdtemp(prefix="m-", dir=self.dir / "mnt"))
        command = [STAGE / "sbin" / "mount.appendfs", self.master + subdirectory, point]
        if options:
            command += ["-o", options]
        # Into a file: the daemon keeps what it inherits, and a pipe would never end.
        log = self.dir / "log" / f"{point.name}.log"
        with open(log, "ab") as output:
            result = subprocess.run(
                [str(part) for part in command], stdin=subprocess.DEVNULL, stdout=output,
                stderr=output, timeout=60, check=False, env=environment(),
            )
        assert result.returncode == 0, log.read_text(encoding="utf-8")
        try:
            yield point
        finally:
            if mounts_below(point):
                run("umount", point)
            wait_until(lambda: not mounts_below(point))

    def abort_mounts(self):
        """Kills the mount daemons, so that nobody waits in the kernel for them."""
        for process in json.loads((self.dir / "cluster.json").read_text())["processes"]:
            if process["role"] != "mount" or not process["pid"]:
                continue
            stat = Path(f"/proc/{process['pid']}/stat").read_text(encoding="utf-8")
            if int(stat.rsplit(")", 1)[1].split()[19]) == process["start_time"]:
                os.kill(process["pid"], signal.SIGKILL)
