"""Prints the unit tests of a build directory that a filter selects.

usage: select_tests.py BUILD name|case FILTER

name: those whose name contains it. case: those with a case that does.
"""

import json
import subprocess
import sys


def unit_tests(build):
    listed = subprocess.run(["meson", "introspect", "--tests", build], check=True,
                            capture_output=True, text=True).stdout
    return [test for test in json.loads(listed) if any("unit" in s for s in test["suite"])]


def has_case(test, text):
    if test["protocol"] != "gtest":
        return False
    listed = subprocess.run(test["cmd"] + [f"--gtest_filter=*{text}*", "--gtest_list_tests"],
                            capture_output=True, text=True).stdout
    return any(line.startswith("  ") for line in listed.splitlines())


def main():
    build, how, text = sys.argv[1:]
    for test in unit_tests(build):
        if text in test["name"] if how == "name" else has_case(test, text):
            print(test["name"])


main()
