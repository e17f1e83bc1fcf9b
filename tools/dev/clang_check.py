"""Runs clang over the product sources of a build directory, in parallel.

usage: clang_check.py tidy|syntax BUILD PART...

Both treat findings of -Wthread-safety as errors; `tidy` adds .clang-tidy. A
file that was found good is not looked at again, in any checkout of this user,
until it, a header it includes, the configuration or the tool changes.
"""

import concurrent.futures
import hashlib
import json
import os
import shlex
import subprocess
import sys

CLANG_FLAGS = ["-Wthread-safety", "-Werror=thread-safety", "-Wno-unknown-warning-option"]
DROPPED = {"-c", "-MD", "-MQ", "-MF", "-o"}


def flags_of(entry):
    """The compiler's arguments, less those that say what to write where."""
    words = shlex.split(entry["command"])
    while words and not words[0].startswith("-"):  # ccache c++
        words.pop(0)
    flags, skip = [], False
    for word in words:
        if skip:
            skip = False
        elif word in DROPPED:
            skip = word in {"-MQ", "-MF", "-o"}
        elif word != entry["file"]:
            flags.append(word)
    return flags


def preprocessed(build, entry):
    command = ["clang++", "-E", "-P", *flags_of(entry), entry["file"]]
    return subprocess.run(command, cwd=build, capture_output=True).stdout


def fingerprint(mode, build, entry, configuration):
    digest = hashlib.sha256(configuration)
    digest.update(" ".join([mode, *CLANG_FLAGS, *flags_of(entry)]).encode())
    digest.update(preprocessed(build, entry))
    with open(os.path.join(build, entry["file"]), "rb") as source:
        digest.update(source.read())  # comments hold NOLINT
    return digest.hexdigest()


def command_of(mode, entry):
    if mode == "syntax":
        return ["clang++", "-fsyntax-only", *CLANG_FLAGS, *flags_of(entry), entry["file"]]
    return ["clang-tidy", "--quiet", "--warnings-as-errors=*", entry["file"], "--",
            *CLANG_FLAGS, *flags_of(entry)]


def check(mode, build, entry, configuration, cache):
    mark = os.path.join(cache, fingerprint(mode, build, entry, configuration))
    if os.path.exists(mark):
        return True, ""
    done = subprocess.run(command_of(mode, entry), cwd=build, capture_output=True, text=True)
    if done.returncode == 0:
        open(mark, "w").close()
        return True, ""
    return False, done.stdout + (done.stderr if mode == "syntax" or not done.stdout else "")


def main():
    mode, build, parts = sys.argv[1], sys.argv[2], sys.argv[3:]
    build = os.path.abspath(build)
    cache = os.path.join(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"),
                         "appendfs", "clang-check")
    os.makedirs(cache, exist_ok=True)
    with open(".clang-tidy", "rb") as file:
        configuration = file.read()
    configuration += subprocess.run(["clang-tidy", "--version"], capture_output=True,
                                    check=True).stdout
    with open(os.path.join(build, "compile_commands.json"), encoding="utf-8") as file:
        entries = {entry["file"]: entry for entry in json.load(file)}
    ours = tuple(os.path.join("..", part, "") for part in parts)
    entries = [entry for name, entry in sorted(entries.items()) if name.startswith(ours)]
    bad = 0
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        runs = [(entry, pool.submit(check, mode, build, entry, configuration, cache))
                for entry in entries]
        for entry, run in runs:
            good, output = run.result()
            if not good:
                bad += 1
                print(output.strip(), flush=True)
    print(f"{len(entries)} files, {bad} with findings")
    return 1 if bad or not entries else 0


sys.exit(main())
