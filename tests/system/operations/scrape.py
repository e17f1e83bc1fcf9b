"""What the servers' HTTP ports say."""

import http.client
import re

SAMPLE = re.compile(r"^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (\S+)$")
LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\]|\\.)*)"')


def get(address, path):
    """From the port behind the one that clients are served on."""
    host, port = address.rsplit(":", 1)
    connection = http.client.HTTPConnection(host, int(port) + 1, timeout=30)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


def metrics(address):
    """{(name, ((label, value), ...)): number}. Every line must be one that Prometheus reads."""
    status, text = get(address, "/metrics")
    assert status == 200
    samples, typed = {}, set()
    for line in text.splitlines():
        if line.startswith("# TYPE "):
            name = line.split()[2]
            assert name not in typed, f"{name} comes twice"
            typed.add(name)
        elif line and not line.startswith("#"):
            match = SAMPLE.match(line)
            assert match, line
            name, labels, value = match.groups()
            family = re.sub(r"_(bucket|sum|count)$", "", name)
            assert name in typed or family in typed, f"{name} has no type"
            samples[name, tuple(sorted(LABEL.findall(labels or "")))] = float(value)
    return samples
