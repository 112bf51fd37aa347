"""`python -m config.local up | detach | demo | down | migrate | superadmin`: the local stack.

`superadmin EMAIL USERNAME` makes the first administrator of the stack that runs.
"""

import argparse
import sys
from pathlib import Path

from config.local.stack import ROOT, Stack
from config.settings import settings


def main() -> int:
    """Carry out the command and return the process's exit code."""
    parser = argparse.ArgumentParser(prog="python -m config.local", description=__doc__)
    parser.add_argument(
        "command", choices=["up", "detach", "demo", "down", "migrate", "superadmin"]
    )
    parser.add_argument("who", nargs="*", help="superadmin: an email address and a username")
    parser.add_argument("--root", type=Path, default=ROOT, help="where the Procfile lies")
    asked = parser.parse_args()
    if asked.command == "migrate":
        from config.local.migrations import upgrade  # brings the models with it

        upgrade()
        return 0
    from config.local import commands

    stack = Stack(settings, root=asked.root)
    if asked.command == "superadmin":
        return commands.superadmin(stack, asked.who)
    code: int = getattr(commands, asked.command)(stack)
    return code


if __name__ == "__main__":
    sys.exit(main())
