"""Programs that rotate: logrotate, svlogd, multilog."""

import gzip
import os

from software.numbered import complete, lines
from software.recipes import write_recipe
from tools import run, wait_until


def logrotate(tmp_path, text):
    conf = tmp_path / "logrotate.conf"
    conf.write_text(text)
    conf.chmod(0o644)
    return run("logrotate", "--force", "--state", tmp_path / "state", conf)


def test_logrotate_creates_and_compresses(here, tmp_path):
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


def run_service(tmp_path, script, here, first, end):
    """A service that says these numbered lines, piped into the recipe's logger."""
    text = tmp_path / "lines"
    text.write_text(lines(first, end))
    conf = write_recipe(
        tmp_path, script, {"some-service": f"cat {text}", "/mnt/logs/service": here.m / "service"}
    )
    run("bash", "-e", "-o", "pipefail", conf, timeout=120)


def kept(directory):
    """All that a logger of the djb kind keeps, oldest first."""
    old = sorted(path for path in directory.iterdir() if path.name.startswith("@"))
    return "".join(run("zcat", "-f", path).stdout for path in [*old, directory / "current"])


def test_svlogd_rotates_and_compresses(here, tmp_path):
    for start in range(0, 3000, 1000):  # it goes on where it was
        run_service(tmp_path, "svlogd.sh", here, start, start + 1000)
    directory = here.m2 / "service"
    wait_until(lambda: complete(kept(directory), 3000), 30, "all lines are kept")
    assert len(list(directory.glob("@*.s"))) >= 3
    assert all(path.read_bytes()[:2] == b"\x1f\x8b" for path in directory.glob("@*.s"))


def test_multilog_rotates(here, tmp_path):
    (here.m / "service").mkdir()
    for start in range(0, 3000, 1000):
        run_service(tmp_path, "multilog.sh", here, start, start + 1000)
    directory = here.m2 / "service"
    wait_until(lambda: complete(kept(directory), 3000), 30, "all lines are kept")
    assert len(list(directory.glob("@*.s"))) >= 3
