"""Web servers that log to one mount, read on the other."""

import contextlib
import os
import signal
import subprocess

from ports import free_port
from software.nginx import load, nginx, wait_listening
from software.recipes import write_recipe
from tools import daemon, run, wait_until


def requests(files, path):
    text = "".join(file.read_text() for file in files if file.exists())
    return text.count(f'"GET /{path} HTTP/1.0" 200 ')


def wait_logged(files, path, count):
    wait_until(lambda: requests(files, path) == count, 60, f"{count} lines of /{path}")


def test_nginx_under_load(here, tmp_path):
    log = here.m2 / "access.log"
    with nginx(here.m, tmp_path) as (_, port):
        load(port, 4000, "index.html")
        wait_logged([log], "index.html", 4000)
    lines = [line for line in log.read_text().splitlines() if "ApacheBench" in line]
    assert len(lines) == 4000
    assert all(line.startswith("127.0.0.1 - - [") and line.endswith('"') for line in lines)


def test_nginx_reopens_after_a_rename(here, tmp_path):
    log, renamed = here.m2 / "access.log", here.m2 / "access.log.1"
    with nginx(here.m, tmp_path) as (process, port):
        load(port, 200, "before")
        os.rename(here.m / "access.log", here.m / "access.log.1")
        load(port, 200, "between")  # still the renamed file, by its open handles
        process.send_signal(signal.SIGUSR1)
        wait_until(log.exists, 30)
        load(port, 200, "after")
        wait_logged([log, renamed], "after", 200)
    assert requests([renamed], "before") == 200
    assert requests([log], "before") == 0
    assert requests([log, renamed], "between") == 200


def rotate(tmp_path, conf):
    return run("logrotate", "--force", "--state", tmp_path / "state", conf)


def test_logrotate_signals_nginx(here, tmp_path):
    here.m.chmod(0o755)
    conf = write_recipe(
        tmp_path, "logrotate.conf", {"/mnt/logs": here.m, "/run/nginx.pid": tmp_path / "nginx.pid"}
    )

    def rotated():
        return sorted(path.name for path in here.m2.glob("access.log-*"))

    with nginx(here.m, tmp_path) as (_, port):
        for generation in range(3):
            load(port, 300, f"generation{generation}")
            wait_until(lambda: requests(everything(here), f"generation{generation}") == 300, 60)

            def one_more():
                rotate(tmp_path, conf)  # within the same second it does nothing
                return len(rotated()) == generation + 1

            wait_until(one_more, 60, "a rotated file of a new name")
        load(port, 300, "last")
        wait_until(lambda: requests(everything(here), "last") == 300, 60)
    assert [name.endswith(".gz") for name in rotated()] == [True, True, False]
    assert os.stat(here.m2 / "access.log").st_mode & 0o777 == 0o640
    for generation in range(3):
        assert requests(everything(here), f"generation{generation}") == 300


def everything(here):
    """What is logged, compressed or not, as files with text."""
    return [Logged(path) for path in here.m2.glob("access.log*")]


class Logged:
    def __init__(self, path):
        self.path = path

    def exists(self):
        return self.path.exists()

    def read_text(self):
        return run("zcat", "-f", self.path).stdout


@contextlib.contextmanager
def apache(here, tmp_path):
    port = free_port()
    (tmp_path / "run").mkdir()
    conf = write_recipe(
        tmp_path, "httpd.conf",
        {
            "127.0.0.1:8080": f"127.0.0.1:{port}",
            "/run/httpd.pid": tmp_path / "httpd.pid",
            "DefaultRuntimeDir /run/httpd": f"DefaultRuntimeDir {tmp_path}/run",
            "/mnt/logs": here.m,
        },
    )
    with open(conf, "a", encoding="ascii") as file:
        file.write("User nobody\nGroup nogroup\n")
    with daemon("apache2", "-f", conf, "-DFOREGROUND", stderr=subprocess.DEVNULL) as process:
        wait_listening(port)
        yield process, port


def test_apache_logs_and_reopens(here, tmp_path):
    def hits(files, path):
        return sum(file.read_text().count(f'"GET /{path} HTTP/1.0"') for file in files if file.exists())

    log, renamed = here.m2 / "httpd.log", here.m2 / "httpd.log.1"
    with apache(here, tmp_path) as (process, port):
        load(port, 1000, "before")
        wait_until(lambda: hits([log], "before") == 1000, 60)
        os.rename(here.m / "httpd.log", here.m / "httpd.log.1")
        process.send_signal(signal.SIGUSR1)  # graceful
        wait_until(log.exists, 60)
        load(port, 1000, "after")
        wait_until(lambda: hits([log, renamed], "after") == 1000, 60)
        for path in ("before", "after"):
            wait_until(lambda: hits(here.m2.glob("httpd-piped.*"), path) == 1000, 60)
    assert hits([renamed], "before") == 1000
    assert "resuming normal operations" in (here.m2 / "httpd-error.log").read_text()
