"""A network of its own for every run: hosts are network namespaces, joined by a switch that is
one more. Nothing of it is seen outside, so the same addresses serve every run. As root.

Ways are broken without a packet filter, which a kernel may lack:

- one way: the sender's neighbour table gets a wrong hardware address for the other;
  what it sends arrives nowhere, and it is not told. What the other sends arrives.
- a host unplugged: its port of the switch goes down.
"""

import itertools
import os
import re
from pathlib import Path

from tools import run

NAMES = "appendfs-chaos"
SUBNET = "10.213.77"
OBSERVER = f"{SUBNET}.254/24"  # the switch itself: for who asks and is never cut off
NOBODY = "02:00:00:00:00:00"  # a hardware address that no host has
NAMESPACES = Path("/run/netns")

serial = itertools.count(1)


def available():
    """Why there can be no such network here; None if there can."""
    probe = Network([])
    try:
        probe.make()
    except (AssertionError, OSError) as error:
        return f"network namespaces: {error}"
    finally:
        probe.close()
    return None


def remove_leftovers():
    """Networks of runs that were killed."""
    for path in NAMESPACES.glob(f"{NAMES}-*"):
        owner = re.match(rf"{NAMES}-(\d+)-", path.name)
        if owner and not Path(f"/proc/{owner[1]}").exists():
            run("ip", "netns", "del", path.name, check=False)


class Network:
    def __init__(self, hosts):
        self._prefix = f"{NAMES}-{os.getpid()}-{next(serial)}"
        self.addresses = {host: f"{SUBNET}.{i + 1}" for i, host in enumerate(hosts)}
        self._switch = self._namespace("switch")

    def _namespace(self, host):
        return f"{self._prefix}-{host}"

    @staticmethod
    def _port(host):
        return f"to-{host}"

    def make(self):
        remove_leftovers()
        self._add(self._switch)
        self._ip(self._switch, "link", "add", "switch", "type", "bridge")
        self._ip(self._switch, "addr", "add", OBSERVER, "dev", "switch")
        self._ip(self._switch, "link", "set", "switch", "up")
        for host, address in self.addresses.items():
            own = self._namespace(host)
            self._add(own)
            self._ip(
                self._switch, "link", "add", self._port(host), "type", "veth",
                "peer", "name", "eth0", "netns", own,
            )
            self._ip(self._switch, "link", "set", self._port(host), "master", "switch", "up")
            self._ip(own, "addr", "add", f"{address}/24", "dev", "eth0")
            self._ip(own, "link", "set", "eth0", "up")

    def _add(self, namespace):
        run("ip", "netns", "add", namespace)
        self._ip(namespace, "link", "set", "lo", "up")

    @staticmethod
    def _ip(namespace, *arguments, check=True):
        return run("ip", "-n", namespace, *arguments, check=check)

    def close(self):
        """Whatever was made of it. Its processes must have ended."""
        for path in sorted(NAMESPACES.glob(f"{self._prefix}-*")):
            run("ip", "netns", "del", path.name)

    def enter(self, host=None):
        """What goes before a command that is to run on that host; default: the observer.
        Only the network is another there: mounts are everybody's."""
        namespace = self._namespace(host) if host else self._switch
        return ("nsenter", f"--net={NAMESPACES / namespace}")

    # --- what breaks -----------------------------------------------------------------

    def block(self, sender, receiver):
        self._ip(
            self._namespace(sender), "neigh", "replace", self.addresses[receiver],
            "lladdr", NOBODY, "dev", "eth0", "nud", "permanent",
        )

    def unblock(self, sender, receiver):
        self._ip(
            self._namespace(sender), "neigh", "del", self.addresses[receiver], "dev", "eth0",
            check=False,
        )

    def unplug(self, host):
        self._ip(self._switch, "link", "set", self._port(host), "down")

    def plug(self, host):
        self._ip(self._switch, "link", "set", self._port(host), "up")

    def reset_connections(self, host):
        """Ends all connections of that host, at both ends. How many lines ss had to say."""
        said = run(*self.enter(host), "ss", "-HKtn", "state", "established", check=False).stdout
        return len(said.splitlines())
