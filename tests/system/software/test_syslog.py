"""syslogds: what they are sent reaches the mount, and what they follow is read once."""

import os
import signal
import subprocess
from pathlib import Path

import pytest

from software.numbered import complete, line, lines, numbers
from software.recipes import write_recipe
from tools import daemon, run, wait_until

# Unpacked by ./dev setup: it cannot be installed beside rsyslog.
SYSLOG_NG = Path("/usr/local/lib/appendfs-dev/syslog-ng-core/usr")


def send(socket, tmp_path, start, end):
    messages = tmp_path / "messages"
    messages.write_text(lines(start, end))
    run("logger", "-u", socket, "-f", messages)


def append(path, start, end):
    with open(path, "a", encoding="ascii") as file:
        file.write(lines(start, end))


def wait_complete(path, count):
    """Until the file holds exactly these lines."""
    wait_until(lambda: complete(path.read_text(), count), 60, f"{count} lines in {path.name}")


def rsyslogd(conf, tmp_path):
    run("rsyslogd", "-N1", "-f", conf)
    return daemon("rsyslogd", "-n", "-f", conf, "-i", tmp_path / "pid")


def test_rsyslog_writes(here, tmp_path):
    socket = tmp_path / "log.sock"
    conf = write_recipe(
        tmp_path, "rsyslog-write.conf",
        {"/var/spool/rsyslog": tmp_path, "/run/appendfs-log.sock": socket, "/mnt/logs": here.m},
    )
    with rsyslogd(conf, tmp_path) as process:
        wait_until(socket.exists, 30)
        send(socket, tmp_path, 0, 2000)
        wait_complete(here.m2 / "syslog", 2000)
        os.rename(here.m2 / "syslog", here.m2 / "syslog.1")  # on the other host
        process.send_signal(1)  # SIGHUP: reopen

        def reopened():
            send(socket, tmp_path, 2000, 2001)
            return (here.m2 / "syslog").exists()

        wait_until(reopened, 30, "rsyslogd reopens")
        run("logger", "-u", socket, "the last one")
        wait_until(lambda: "the last one" in (here.m2 / "syslog").read_text(), 30)
    assert numbers((here.m2 / "syslog.1").read_text())[:2000] == list(range(2000))


def test_rsyslog_reads(here, tmp_path):
    log, collected = here.m / "application.log", tmp_path / "collected.log"
    conf = write_recipe(
        tmp_path, "rsyslog-read.conf",
        {"/var/spool/rsyslog": tmp_path, "/mnt/logs": here.m2, "/var/log/collected.log": collected},
    )
    append(log, 0, 500)
    with rsyslogd(conf, tmp_path):
        wait_complete(collected, 500)
        append(log, 500, 1000)
        wait_complete(collected, 1000)
        os.rename(log, here.m / "application.log.1")
        append(log, 1000, 1500)
        wait_complete(collected, 1500)
    append(log, 1500, 2000)
    with rsyslogd(conf, tmp_path):  # it knows where it was
        wait_complete(collected, 2000)


def syslog_ng(conf, tmp_path):
    return daemon(
        SYSLOG_NG / "sbin/syslog-ng", "--foreground", "--no-caps", "--stderr", "--cfgfile", conf,
        "--module-path", SYSLOG_NG / "lib/syslog-ng/3.38", "--pidfile", tmp_path / "pid",
        "--persist-file", tmp_path / "persist", "--control", tmp_path / "control",
        env={**os.environ, "LD_LIBRARY_PATH": str(SYSLOG_NG / "lib/syslog-ng")},
    )


@pytest.mark.skipif(not SYSLOG_NG.exists(), reason="syslog-ng is not unpacked: run ./dev setup")
def test_syslog_ng_writes_and_reads(here, tmp_path):
    socket, collected = tmp_path / "log.sock", tmp_path / "collected.log"
    # It writes on the one mount and reads on the other.
    conf = write_recipe(
        tmp_path, "syslog-ng.conf",
        {
            "/run/appendfs-log.sock": socket,
            "/mnt/logs/messages": here.m / "messages",
            "/mnt/logs/application.log": here.m2 / "application.log",
            "/var/log/collected.log": collected,
        },
    )
    log = here.m / "application.log"
    append(log, 0, 500)
    with syslog_ng(conf, tmp_path):
        wait_until(socket.exists, 30)
        send(socket, tmp_path, 0, 2000)
        wait_complete(here.m2 / "messages", 2000)
        append(log, 500, 1000)
        wait_until(lambda: line(999) in collected.read_text(), 60)
        os.rename(log, here.m / "application.log.1")
        append(log, 1000, 1500)
        wait_until(lambda: line(1499) in collected.read_text(), 60)
    append(log, 1500, 2000)
    with syslog_ng(conf, tmp_path):
        wait_until(lambda: line(1999) in collected.read_text(), 60)
    assert complete(collected.read_text(), 2000)


def test_shell_redirections_of_two_hosts(here, tmp_path):
    job = tmp_path / "some-job"
    job.write_text("#!/bin/sh\nfor i in 1 2 3 4 5; do echo line of a job; done\n")
    job.chmod(0o755)
    started = []
    for mount in (here.m, here.m2):
        directory = tmp_path / mount.parent.name
        directory.mkdir()
        script = write_recipe(directory, "append.sh", {"/mnt/logs": mount, "some-job": job})
        started += [
            subprocess.Popen(["bash", str(script)], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
            for _ in range(10)
        ]
    assert [process.wait(60) for process in started] == [0] * 20
    written = (here.m2 / "jobs.log").read_text().splitlines()
    assert sorted(written) == ["backup done"] * 20 + ["line of a job"] * 200


JOURNALD = Path("/lib/systemd/systemd-journald")
# A journal of its own in a name space of its own: the machine's, if it has one, is left alone.
OWN_JOURNAL = """
set -e
mount --make-rprivate / && mount -t tmpfs tmpfs /run && mkdir -p /run/systemd /run/log/journal
setpriv --pdeathsig KILL {journald} &
for i in $(seq 300); do [ -S /run/systemd/journal/stdout ] && break; sleep 0.1; done
systemd-cat sh -c 'for i in $(seq 0 99); do echo line number $i; done'
exec setpriv --pdeathsig KILL bash {script}
"""


@pytest.mark.skipif(not JOURNALD.exists(), reason="systemd-cat needs journald, which is not installed")
def test_systemd_cat_through_a_journal(here, tmp_path):
    script = write_recipe(tmp_path, "journal.sh", {"/mnt/logs": here.m})
    own = OWN_JOURNAL.format(journald=JOURNALD, script=script)
    said = tmp_path / "said"
    with open(said, "wb") as output, daemon(
        "unshare", "--mount", "--pid", "--fork", "--mount-proc", "--kill-child", "bash", "-c", own,
        stdout=output, stderr=output, stop_signal=signal.SIGKILL,
    ):
        try:
            wait_until(lambda: complete((here.m2 / "journal.log").read_text(), 100), 60)
        except AssertionError as error:
            raise AssertionError(said.read_text()) from error
