"""Breaks a process's TCP connections, whoever made them: resets at both ends."""

import re

from tools import run


def cut(pid):
    """How many there were. The process may make new ones at once."""
    sockets = run("ss", "-Htnp", "state", "established").stdout
    ports = {
        re.search(r":(\d+)\s", line)[1] for line in sockets.splitlines() if f"pid={pid}," in line
    }
    if not ports:
        return 0
    run("ss", "-K", "-t", "( " + " or ".join(f"sport = :{port}" for port in sorted(ports)) + " )")
    return len(ports)
