"""Selects unit tests of a build directory.

usage: select_tests.py BUILD FILTER

Prints a GTEST_FILTER on the first line and the names of the tests to run on
the following ones: the tests whose name contains the filter, whole; if there
is none, those that have cases whose names do, and these cases only. Upper and
lower case are the same.
"""

import json
import subprocess
import sys


def unit_tests(build):
    listed = subprocess.run(["meson", "introspect", "--tests", build], check=True,
                            capture_output=True, text=True).stdout
    return [test for test in json.loads(listed) if any("unit" in s for s in test["suite"])]


def cases_of(test):
    """Full names: Suite.Case, without the comments gtest lists after parameters."""
    if test["protocol"] != "gtest":
        return
    listed = subprocess.run(test["cmd"] + ["--gtest_list_tests"], capture_output=True,
                            text=True).stdout
    suite = ""
    for line in listed.splitlines():
        name = line.split("#")[0].strip()
        if line.startswith("  "):
            yield suite + name
        else:
            suite = name


def main():
    build, text = sys.argv[1], sys.argv[2].lower()
    tests = unit_tests(build)
    named = [test["name"] for test in tests if text in test["name"].lower()]
    if named:
        print("*", *named, sep="\n")
        return
    cases = {test["name"]: [c for c in cases_of(test) if text in c.lower()] for test in tests}
    print(":".join(case for found in cases.values() for case in found))
    print(*(name for name, found in cases.items() if found), sep="\n")


main()
