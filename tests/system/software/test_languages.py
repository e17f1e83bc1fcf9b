"""Logging libraries that come with a language."""

import os
import subprocess
import sys

import pytest

from software.numbered import complete, lines, numbers
from software.recipes import recipe, write_recipe
from tools import run, wait_until

SAYS = """
import sys
for number in range(int(sys.argv[1]), int(sys.argv[2])):
    logging.getLogger().info("line number %d", number)
"""


def python_logger(tmp_path, mount):
    script = tmp_path / f"{mount.parent.name}.py"
    script.write_text(recipe("logging_setup.py", {"/mnt/logs": mount, "20_000": 4_000}) + SAYS)
    return script


def test_python_logging_rotates_and_goes_on(here, tmp_path):
    script = python_logger(tmp_path, here.m)
    for start in range(0, 900, 300):
        run(sys.executable, script, start, start + 300, timeout=120)
    assert (here.m2 / "plain.log").read_text() == lines(0, 900)
    assert (here.m2 / "watched.log").read_text() == lines(0, 900)
    backups = sorted(here.m2.glob("rotating.log.*"), key=lambda path: -int(path.suffix[1:]))
    assert len(backups) >= 2
    assert "".join(path.read_text() for path in [*backups, here.m2 / "rotating.log"]) == lines(0, 900)


def test_python_loggers_of_two_hosts_share_a_file(here, tmp_path):
    scripts = [python_logger(tmp_path, mount) for mount in (here.m, here.m2)]
    # The rotating handler is for one process, as the page says.
    for script in scripts:
        script.write_text(script.read_text().replace("(plain, rotating, watched)", "(plain, watched)"))
    writers = [
        subprocess.Popen([sys.executable, str(script), str(i * 300), str(i * 300 + 300)], stdin=subprocess.DEVNULL)
        for i, script in enumerate(scripts * 2)
    ]
    wait_until(lambda: len(numbers((here.m / "watched.log").read_text())) > 50, 60)
    os.rename(here.m2 / "watched.log", here.m2 / "watched.log.1")
    assert [writer.wait(120) for writer in writers] == [0] * 4
    watched = (here.m / "watched.log.1").read_text()
    if (here.m / "watched.log").exists():  # unless they were done by then
        watched += (here.m / "watched.log").read_text()
    for text in ((here.m / "plain.log").read_text(), watched):
        assert sorted(numbers(text)) == list(range(1200))
        for i in range(4):  # each writer's order
            mine = [number for number in numbers(text) if number // 300 == i]
            assert mine == sorted(mine)


JAVA_SAYS = """
import java.util.logging.Logger;

class Says {
  public static void main(String[] arguments) {
    for (int i = Integer.parseInt(arguments[0]); i < Integer.parseInt(arguments[1]); i++) {
      Logger.getLogger("says").info("line number " + i);
    }
  }
}
"""


@pytest.mark.seconds(400)
def test_java_util_logging_rotates(here, tmp_path):
    conf = write_recipe(tmp_path, "logging.properties", {"/mnt/logs": here.m})
    (tmp_path / "Says.java").write_text(JAVA_SAYS)
    run("javac", "-d", tmp_path, tmp_path / "Says.java", timeout=180)
    for start in (0, 1000):
        run(
            "java", "-Xshare:auto", "-XX:TieredStopAtLevel=1", f"-Djava.util.logging.config.file={conf}",
            "-cp", tmp_path, "Says", start, start + 1000, timeout=180,
        )
    generations = sorted(here.m2.glob("java-0.*.log"), key=lambda path: -int(path.name.split(".")[1]))
    assert len(generations) >= 2
    assert complete("".join(path.read_text() for path in generations), 2000)
