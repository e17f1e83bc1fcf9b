"""Programs that follow and search logs on one mount while they are written on the other."""

import os
import shlex
import subprocess

import pytest

from software.numbered import complete, line, lines
from software.recipes import recipe
from software.terminal import on_terminal
from tools import bash, daemon, run, wait_until


def append(path, start, end):
    with open(path, "a", encoding="ascii") as file:
        file.write(lines(start, end))


def follower(program, path):
    """The command of that program in the page."""
    commands = [shlex.split(one) for one in recipe("follow.sh", {"/mnt/logs/app.log": path}).splitlines()]
    return next(command for command in commands if command[0] == program)


def test_tail_follows_through_a_rotation(here, tmp_path):
    log, seen = here.m / "app.log", tmp_path / "seen"
    append(log, 0, 1)
    command, path = follower("tail", here.m2 / "app.log")[:-1], here.m2 / "app.log"
    with open(seen, "wb") as output, daemon(
        *command, "-s", "0.1", "-n", "+1", path, stdout=output, stderr=subprocess.DEVNULL
    ):
        wait_until(lambda: complete(seen.read_text(), 1), 30)
        for i in range(1, 100):
            append(log, i, i + 1)
        wait_until(lambda: complete(seen.read_text(), 100), 30)
        os.rename(log, here.m / "app.log.1")
        for i in range(100, 200):
            append(log, i, i + 1)
        wait_until(lambda: complete(seen.read_text(), 200), 30)
    assert seen.read_text() == lines(0, 200)


def test_tail_follows_line_by_line(here, tmp_path):
    log, seen = here.m / "app.log", tmp_path / "seen"
    log.write_text("")
    with open(seen, "wb") as output, daemon(
        "tail", "-f", "-s", "0.05", here.m2 / "app.log", stdout=output
    ), open(log, "a", encoding="ascii") as file:
        for i in range(20):
            print(line(i), file=file, flush=True)
            wait_until(lambda: complete(seen.read_text(), i + 1), 30)
    assert seen.read_text() == lines(0, 20)


@pytest.mark.parametrize("program", ["less", "multitail", "lnav"])
def test_screen_shows_what_is_appended(here, tmp_path, program):
    log = here.m / "app.log"
    append(log, 0, 10)
    with on_terminal(*follower(program, here.m2 / "app.log"), home=tmp_path) as screen:
        wait_until(lambda: screen.shows("number 9"), 60, f"{program} shows what is there")
        for i in range(100, 105):
            append(log, i, i + 1)
            wait_until(lambda: screen.shows(f"number {i}"), 60, f"{program} shows line {i}")


@pytest.mark.parametrize("program", ["less", "multitail"])
def test_screen_follows_the_name(here, tmp_path, program):
    log = here.m / "app.log"
    append(log, 0, 10)
    with on_terminal(*follower(program, here.m2 / "app.log"), home=tmp_path) as screen:
        wait_until(lambda: screen.shows("number 9"), 60, f"{program} shows what is there")
        os.rename(log, here.m / "app.log.1")
        append(log, 200, 201)
        wait_until(lambda: screen.shows("number 200"), 60, f"{program} shows the new file")


def request(hour, number):
    when = f"21/Nov/2026:{hour:02d}:{number // 60:02d}:{number % 60:02d} +0000"
    return f'127.0.0.1 - - [{when}] "GET /{number} HTTP/1.1" 200 12 "-" "-"\n'


def test_searches_over_a_rotated_set(here, tmp_path):
    for host in (1, 2):
        (here.m / f"host{host}.log").write_text("".join(f"{i:05d} host{host}\n" for i in range(1000)))
    (here.m / "app.log.2").write_text("a needle\nhay\n" * 300)
    run("gzip", here.m / "app.log.2")
    (here.m / "app.log.1").write_text("needle number two\nhay\n" * 200)
    (here.m / "older.log").write_text("x\n")
    os.utime(here.m / "older.log", (1_000_000_000, 1_000_000_000))
    (here.m / "app.log").write_text("a needle\n" * 100)
    (here.m / "access.log.1").write_text("".join(request(9, i) for i in range(400)))
    (here.m / "access.log").write_text("".join(request(10, i) for i in range(50)))
    commands = recipe("search.sh", {"/mnt/logs": here.m2}).splitlines()
    grep, awk, sort, lnav, find, du = commands
    assert len(bash(grep).stdout.splitlines()) == 600
    assert bash(awk).stdout.strip() == "100"
    bash(sort)
    merged = (here.m / "merged.log").read_text().splitlines()
    assert len(merged) == 2000 and merged == sorted(merged)
    assert "450" in bash(f"HOME={tmp_path} {lnav}").stdout
    assert len(bash(find).stdout.split()) == 5  # app, host1, host2, access, merged
    assert bash(du).stdout.split()[0] == "900"
