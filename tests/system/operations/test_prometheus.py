"""Debian's Prometheus scrapes a running cluster with the alerts that we ship."""

import json
import urllib.request
from pathlib import Path

import pytest

from operations.scrape import get
from ports import free_port
from tools import daemon, run, wait_until

# Unpacked by ./dev setup: installed, it would run as a service.
PROMETHEUS = Path("/usr/local/lib/appendfs-dev/prometheus/usr/bin")
RULES = Path(__file__).resolve().parents[3] / "packaging" / "prometheus" / "appendfs.rules.yaml"

pytestmark = pytest.mark.skipif(
    not PROMETHEUS.exists(), reason="Prometheus is not unpacked: run ./dev setup"
)


def http_addresses(cluster):
    for process in cluster.status()["processes"]:
        if process["role"] != "mount":
            host, port = process["address"].rsplit(":", 1)
            yield f"{host}:{int(port) + 1}"


def test_promtool_finds_nothing_to_say(make_cluster):
    cluster = make_cluster(mounts=1)
    (cluster.m / "log").write_bytes(b"a line\n")
    for name in ("master", "cs1"):
        status, text = get(cluster.process(name)["address"], "/metrics")
        assert status == 200
        said = run(PROMETHEUS / "promtool", "check", "metrics", input=text)
        assert not said.stdout and not said.stderr
    run(PROMETHEUS / "promtool", "check", "rules", RULES)


def test_prometheus_scrapes_the_cluster_and_an_alert_goes_off(make_cluster, tmp_path):
    cluster = make_cluster(mounts=0)
    cluster.wait_healthy()
    addresses = sorted(http_addresses(cluster))
    own = f"127.0.0.1:{free_port()}"
    rules = tmp_path / "rules.yaml"
    # As shipped, but for their patience.
    rules.write_text("".join(
        line for line in RULES.read_text().splitlines(keepends=True)
        if not line.strip().startswith("for:")
    ))
    config = tmp_path / "prometheus.yml"
    config.write_text(json.dumps({  # which is YAML
        "global": {"scrape_interval": "500ms", "scrape_timeout": "500ms",
                   "evaluation_interval": "500ms"},
        "rule_files": [str(rules)],
        "scrape_configs": [{"job_name": "appendfs", "static_configs": [{"targets": addresses}]}],
    }))

    def ask(path):
        with urllib.request.urlopen(f"http://{own}/api/v1/{path}", timeout=30) as answer:
            return json.load(answer)["data"]

    def all_are_up():
        targets = ask("targets")["activeTargets"]
        assert [target["lastError"] for target in targets] == [""] * len(addresses)
        return sorted(t["labels"]["instance"] for t in targets if t["health"] == "up") == addresses

    def rules_are_well():
        found = [rule for group in ask("rules")["groups"] for rule in group["rules"]]
        assert len(found) >= 9
        return all(rule["health"] == "ok" for rule in found)

    def firing():
        return {alert["labels"]["alertname"] for alert in ask("alerts")["alerts"]
                if alert["state"] == "firing"}

    with open(tmp_path / "log", "wb") as log, daemon(
        PROMETHEUS / "prometheus", f"--config.file={config}", f"--web.listen-address={own}",
        f"--storage.tsdb.path={tmp_path / 'data'}", stdout=log, stderr=log,
    ):
        wait_until(all_are_up, 60, "every server scraped")
        wait_until(rules_are_well, 60, "rules that can be evaluated")
        assert not firing() - {"AppendfsSpaceLow"}, "nothing is wrong but perhaps this disk"
        cluster.kill("cs2")
        wait_until(lambda: {"AppendfsProcessDown", "AppendfsServerLost"} <= firing(), 60, "alerts")
