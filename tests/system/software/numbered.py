"""Numbered lines, and the check that each came once and in order."""

import re

NUMBER = re.compile(r"line number (\d+)$")


def line(number):
    return f"line number {number}"


def lines(start, end):
    return "".join(f"{line(n)}\n" for n in range(start, end))


def numbers(text):
    """The numbers in the order in which they stand; lines of other kinds are not looked at."""
    found = (NUMBER.search(one) for one in text.splitlines())
    return [int(one[1]) for one in found if one]


def complete(text, count):
    """All of 0 to count-1, each once, in order?"""
    return numbers(text) == list(range(count))
