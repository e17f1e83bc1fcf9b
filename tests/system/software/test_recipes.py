"""The page keeps its word: what has a file name is run by a test."""

from pathlib import Path

from software.recipes import blocks

HERE = Path(__file__).resolve().parent


def test_every_named_block_of_the_page_is_used():
    tests = "".join(path.read_text(encoding="utf-8") for path in HERE.glob("*.py"))
    named = blocks()
    assert len(named) >= 15
    assert [name for name in named if f'"{name}"' not in tests] == []
