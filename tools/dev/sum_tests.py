"""Adds up JUnit files and prints one line: N passed, N failed, N skipped.

usage: sum_tests.py "RUNNERS THAT FAILED" FILE...

A missing file counts nothing. Exit code 1 if anything failed or nothing ran;
a runner that failed although all its cases passed counts as one failure.
"""

import os
import sys
import xml.etree.ElementTree as ElementTree


def count(path):
    passed = failed = skipped = 0
    for case in ElementTree.parse(path).iter("testcase"):
        children = {child.tag for child in case}
        if children & {"failure", "error"}:
            failed += 1
        elif "skipped" in children or case.get("status") == "notrun":
            skipped += 1
        else:
            passed += 1
    return passed, failed, skipped


def main():
    runners, files = sys.argv[1].split(), sys.argv[2:]
    passed = failed = skipped = 0
    for path in files:
        if os.path.exists(path):
            p, f, s = count(path)
            passed, failed, skipped = passed + p, failed + f, skipped + s
    if runners and failed == 0:
        print(f"the {' and '.join(runners)} runner failed, though no case did", file=sys.stderr)
        failed = len(runners)
    if passed + failed + skipped == 0:
        print("no test was selected", file=sys.stderr)
    sys.stderr.flush()
    print(f"{passed} passed, {failed} failed, {skipped} skipped")
    return 1 if failed or passed + failed + skipped == 0 else 0


sys.exit(main())
