"""Ports that nobody else takes: not the kernel for an outgoing connection, which it puts above
32767, and not the tests that run beside these. A server that is down keeps its port that way."""

import itertools
import os
import socket

CLUSTERS, DAEMONS, END = 10_000, 30_000, 32_768
WORKERS = 2  # ./dev test runs two files at a time

worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0")[2:]) % WORKERS
# Checkouts that are tested at the same time begin elsewhere.
taken = itertools.count(os.getpid())


def first_port():
    """For `appendfs cluster start --port`, which takes this one and every tenth after it."""
    hundreds = (DAEMONS - CLUSTERS) // WORKERS // 100
    nth = next(taken) % (hundreds * 10)
    return CLUSTERS + (worker * hundreds + nth % hundreds) * 100 + nth // hundreds


def free_port():
    """A port of 127.0.0.1 that nobody listens on. The next one is not given out: servers
    take it for HTTP."""
    room = (END - DAEMONS) // WORKERS
    for nth in itertools.islice(taken, room // 2):
        port = DAEMONS + worker * room + nth * 2 % room
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise AssertionError("no port is free")
