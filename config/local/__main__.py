"""`python -m config.local up | detach | demo | down | migrate`: what the Makefile calls."""

import argparse
import sys
from pathlib import Path

from config.local.stack import ROOT, Stack
from config.settings import settings


def main() -> int:
    """Carry out the command and return the process's exit code."""
    parser = argparse.ArgumentParser(prog="python -m config.local", description=__doc__)
    parser.add_argument("command", choices=["up", "detach", "demo", "down", "migrate"])
    parser.add_argument("--root", type=Path, default=ROOT, help="where the Procfile lies")
    asked = parser.parse_args()
    if asked.command == "migrate":
        from config.local.migrations import upgrade  # brings the models with it

        upgrade()
        return 0
    from config.local import commands

    code: int = getattr(commands, asked.command)(Stack(settings, root=asked.root))
    return code


if __name__ == "__main__":
    sys.exit(main())
