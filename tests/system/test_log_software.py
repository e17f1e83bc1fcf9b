"""Log software as Debian ships it, writing to one mount."""

import gzip
import os
import subprocess

from ports import free_port
from tools import bash, daemon, run, wait_until


def test_rsyslogd_with_omfile(here, tmp_path):
    socket = tmp_path / "log.sock"
    conf = tmp_path / "rsyslog.conf"
    conf.write_text(
        f'global(workDirectory="{tmp_path}")\n'
        'module(load="imuxsock" SysSock.Use="off")\n'
        f'input(type="imuxsock" Socket="{socket}" RateLimit.Interval="0" useSpecialParser="off")\n'
        'template(name="plain" type="string" string="%msg%\\n")\n'
        f'action(type="omfile" file="{here.m}/syslog" template="plain")\n'
    )
    run("rsyslogd", "-N1", "-f", conf)
    with daemon("rsyslogd", "-n", "-f", conf, "-i", tmp_path / "pid"):
        wait_until(socket.exists)
        messages = tmp_path / "messages"
        messages.write_text("".join(f"message number {i}\n" for i in range(2000)))
        run("logger", "-u", socket, "-f", messages)
        run("logger", "-u", socket, "the last one")
        log = here.m2 / "syslog"
        wait_until(lambda: log.read_text().endswith("the last one\n"), 30)
        lines = [line.strip() for line in log.read_text().splitlines()]
    got = [int(line.rsplit(" ", 1)[1]) for line in lines if "message number" in line]
    assert got == list(range(2000))


def nginx_conf(tmp_path, log_directory, port):
    conf = tmp_path / "nginx.conf"
    temporary = "".join(
        f"{kind}_temp_path {tmp_path}/{kind}; "
        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    conf.write_text(
        f"user root; worker_processes 2; daemon off; pid {tmp_path}/nginx.pid;\n"
        f"error_log {log_directory}/error.log;\n"
        "events { worker_connections 256; }\n"
        f"http {{ access_log {log_directory}/access.log; {temporary}\n"
        f"server {{ listen 127.0.0.1:{port}; location / {{ return 200 'ok'; }} }} }}\n"
    )
    return conf


def test_nginx_access_log_under_load(here, tmp_path):
    port = free_port()
    conf = nginx_conf(tmp_path, here.m, port)
    with daemon("nginx", "-c", conf, "-e", tmp_path / "start.log", stderr=subprocess.DEVNULL):
        wait_until(lambda: bash(f": > /dev/tcp/127.0.0.1/{port}", check=False).returncode == 0)
        run("ab", "-q", "-n", "4000", "-c", "16", f"http://127.0.0.1:{port}/index.html")
        wait_until(
            lambda: sum(b"ApacheBench" in x for x in (here.m2 / "access.log").open("rb")) == 4000
        )
    lines = (here.m2 / "access.log").read_text().splitlines()
    assert all(line.startswith("127.0.0.1 - - [") and line.endswith('"') for line in lines)
    assert sum('"GET /index.html HTTP/1.0" 200 2' in line for line in lines) == 4000


def test_nginx_reopens_after_rotation(here, tmp_path):
    port = free_port()
    conf = nginx_conf(tmp_path, here.m, port)
    with daemon("nginx", "-c", conf, "-e", tmp_path / "start.log", stderr=subprocess.DEVNULL) as nginx:
        wait_until(lambda: bash(f": > /dev/tcp/127.0.0.1/{port}", check=False).returncode == 0)
        run("ab", "-q", "-n", "200", "-c", "4", f"http://127.0.0.1:{port}/before")
        os.rename(here.m / "access.log", here.m / "access.log.1")
        # Still the renamed file, by its open handles.
        run("ab", "-q", "-n", "200", "-c", "4", f"http://127.0.0.1:{port}/between")
        nginx.send_signal(10)  # SIGUSR1: reopen
        wait_until((here.m2 / "access.log").exists)
        run("ab", "-q", "-n", "200", "-c", "4", f"http://127.0.0.1:{port}/after")

    def requests(path):
        text = path.read_text() if path.exists() else ""
        return sum(text.count(f"GET /{phase} ") for phase in ("before", "between", "after"))

    assert requests(here.m2 / "access.log.1") + requests(here.m2 / "access.log") == 600
    assert "GET /before " not in (here.m2 / "access.log").read_text()


def logrotate(tmp_path, text, **options):
    conf = tmp_path / "logrotate.conf"
    conf.write_text(text)
    conf.chmod(0o644)
    return run("logrotate", "--force", "--state", tmp_path / "state", conf, **options)


def test_logrotate_create_and_compress(here, tmp_path):
    log = here.m / "app.log"
    here.m.chmod(0o755)
    rule = f"{log} {{\n create 0640 root root\n rotate 3\n compress\n missingok\n}}\n"
    for generation in range(4):
        with open(log, "a", encoding="ascii") as file:
            file.writelines(f"generation {generation} line {i}\n" for i in range(1000))
        logrotate(tmp_path, rule)
    assert sorted(os.listdir(here.m2)) == ["app.log"] + [f"app.log.{i}.gz" for i in (1, 2, 3)]
    assert os.stat(here.m2 / "app.log").st_size == 0
    assert os.stat(here.m2 / "app.log").st_mode & 0o777 == 0o640
    newest = gzip.decompress((here.m2 / "app.log.1.gz").read_bytes()).decode()
    assert newest == "".join(f"generation 3 line {i}\n" for i in range(1000))


def test_logrotate_copytruncate_is_refused_and_loses_nothing(here, tmp_path):
    log = here.m / "app.log"
    here.m.chmod(0o755)
    log.write_text("keep me\n")
    rule = f"{log} {{\n copytruncate\n rotate 1\n}}\n"
    assert logrotate(tmp_path, rule, check=False).returncode != 0
    assert (here.m2 / "app.log").read_text() == "keep me\n"


def test_tail_follows_through_a_rotation(here, tmp_path):
    log = here.m / "app.log"
    log.write_text("line 0\n")
    seen = tmp_path / "seen"
    with open(seen, "wb") as output, daemon(
        "tail", "-F", "-s", "0.1", "-n", "+1", here.m2 / "app.log",
        stdout=output, stderr=subprocess.DEVNULL,
    ):
        wait_until(lambda: seen.read_text() == "line 0\n")
        for i in range(1, 100):
            with open(log, "a", encoding="ascii") as file:
                file.write(f"line {i}\n")
        wait_until(lambda: seen.read_text().endswith("line 99\n"))
        os.rename(log, here.m / "app.log.1")
        for i in range(100, 200):
            with open(log, "a", encoding="ascii") as file:
                file.write(f"line {i}\n")
        wait_until(lambda: seen.read_text().endswith("line 199\n"))
    assert seen.read_text() == "".join(f"line {i}\n" for i in range(200))


def test_tail_follows_line_by_line(here, tmp_path):
    log = here.m / "app.log"
    log.write_text("")
    seen = tmp_path / "seen"
    with open(seen, "wb") as output, daemon(
        "tail", "-f", "-s", "0.05", here.m2 / "app.log", stdout=output
    ), open(log, "a", encoding="ascii") as file:
        for i in range(20):
            print(f"line {i}", file=file, flush=True)
            wait_until(lambda: seen.read_text().endswith(f"line {i}\n"), 10)
    assert seen.read_text() == "".join(f"line {i}\n" for i in range(20))
