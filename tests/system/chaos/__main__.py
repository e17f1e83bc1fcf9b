"""python3 -m chaos [--minutes N] [--seed S] [--servers N] [--power-loss DIR] [--plant BUG]"""

import argparse
import random
import signal
import sys
from pathlib import Path

from chaos import network
from chaos.run import Settings, run_chaos


def main():
    parser = argparse.ArgumentParser(prog="./dev chaos", description=__doc__.split("\n")[0])
    parser.add_argument("--minutes", type=float, default=3)
    parser.add_argument("--seed", type=int, help="default: a fresh one, which is printed")
    parser.add_argument("--servers", type=int, default=4, choices=(3, 4, 5))
    parser.add_argument("--no-full-disks", action="store_true", help="needs no loop devices")
    parser.add_argument(
        "--power-loss", type=Path, metavar="DIR",
        help="a build directory with servers that lose what was not synced when they are killed",
    )
    parser.add_argument("--plant", metavar="BUG", help="a known bug, in servers built to have it")
    arguments = parser.parse_args()
    missing = network.available()
    if missing:
        sys.exit(f"chaos: {missing}")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("chaos: stopped"))  # and clean up
    seed = random.SystemRandom().getrandbits(32) if arguments.seed is None else arguments.seed
    print(f"chaos: seed {seed}, {arguments.minutes:g} minutes", flush=True)
    problems = run_chaos(
        Settings(
            seed=seed,
            seconds=arguments.minutes * 60,
            servers=arguments.servers,
            full_disks=not arguments.no_full_disks,
            power_loss=arguments.power_loss,
            plant=arguments.plant,
            evidence=Path("/tmp") / f"appendfs-chaos-{seed}",
        ),
        say=lambda text: print(text, flush=True),
    )
    sys.exit(1 if problems else 0)


main()
