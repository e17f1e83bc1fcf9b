"""python3 -m soak [--minutes N] [--seed S]"""

import argparse
import random
import signal
import sys

from soak.run import soak


def main():
    parser = argparse.ArgumentParser(prog="./dev soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--seed", type=int, help="of the restarts; default: a fresh one, which is printed")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("soak: stopped"))  # and clean up
    seed = random.SystemRandom().getrandbits(32) if arguments.seed is None else arguments.seed
    print(f"soak: seed {seed}, {arguments.minutes:g} minutes", flush=True)
    problems = soak(seed, arguments.minutes * 60, lambda text: print(text, flush=True))
    sys.exit(1 if problems else 0)


main()
