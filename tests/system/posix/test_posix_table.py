"""The table CALLS of mount.appendfs(8) and the cases of this directory are about the same."""

import importlib
import inspect
import re
from pathlib import Path

HERE = Path(__file__).resolve().parent
MAN_PAGE = HERE.parents[2] / "man" / "mount.appendfs.8"


def rows():
    """Row → what the table says of it."""
    text = MAN_PAGE.read_text(encoding="ascii")
    section = re.search(r"^\.SH CALLS\n(.*?)^\.SH ", text, re.MULTILINE | re.DOTALL).group(1)
    table = re.search(r"^\.TS\n.*?\.\n(.*?)^\.TE$", section, re.MULTILINE | re.DOTALL).group(1)
    table = re.sub(r"T\{\n(.*?)\nT\}", lambda m: m.group(1).replace("\n", " "), table, flags=re.DOTALL)
    lines = re.sub(r"\\f[BIRP]", "", table).replace("\\-", "-").splitlines()
    assert lines[0] == "Call|Result"
    return dict(line.split("|") for line in lines[1:])


def cases():
    """Row → the sources of its cases."""
    found = {}
    for path in sorted(HERE.glob("test_posix_*.py")):
        module = importlib.import_module(path.stem)
        if module.__name__ == __name__:
            continue
        for name, function in vars(module).items():
            if not name.startswith("test_"):
                continue
            marks = [m for m in getattr(function, "pytestmark", []) if m.name == "call"]
            assert len(marks) == 1, f"{path.name}: {name} must be about one row"
            found.setdefault(marks[0].args[0], []).append(inspect.getsource(function))
    return found


def test_every_row_has_a_case_and_every_case_a_row():
    assert sorted(rows()) == sorted(cases())


def test_every_errno_of_a_row_is_tried():
    sources = cases()
    for name, result in rows().items():
        for error in re.findall(r"\bE[A-Z0-9]{3,}\b", result):
            assert any(f"errno.{error}" in source for source in sources[name]), f"{name}: {error}"


def test_every_errno_that_is_tried_is_in_its_row():
    table = rows()
    for name, sources in cases().items():
        for error in set(re.findall(r"errno\.(E[A-Z0-9]+)", "".join(sources))):
            assert error in table[name], f"{name}: {error}"
