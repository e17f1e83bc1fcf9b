"""docs/log-software.md as the tests run it: blocks with a file name after the language."""

import re
from pathlib import Path

PAGE = Path(__file__).resolve().parents[3] / "docs" / "log-software.md"
BLOCK = re.compile(r"^```\S+ (?P<name>\S+)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks():
    return {found["name"]: found["text"] for found in BLOCK.finditer(PAGE.read_text(encoding="utf-8"))}


def recipe(name, places):
    """The block of that name with each key of `places` replaced by its value. A key that is
    not in it is a mistake of the test or of the page."""
    text = blocks()[name]
    for there in sorted(places, key=len, reverse=True):
        assert there in text, f"{name} does not mention {there}"
        text = text.replace(there, str(places[there]))
    assert "/mnt/logs" not in text, f"{name} would write to /mnt/logs"
    return text


def write_recipe(directory, name, places):
    path = directory / name
    path.write_text(recipe(name, places), encoding="utf-8")
    path.chmod(0o644)
    return path
