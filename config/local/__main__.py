"""`python -m config.local up | detach | down | migrate`: what the Makefile calls."""

import sys

from config.local.migrations import upgrade
from config.local.stack import Stack, detach, down, up
from config.settings import settings

COMMANDS = {"up": up, "detach": detach, "down": down}


def main() -> int:
    """Carry out the command and return the process's exit code."""
    name = sys.argv[1] if len(sys.argv) > 1 else ""
    if name == "migrate":
        upgrade()
        return 0
    if name not in COMMANDS:
        sys.stderr.write("usage: python -m config.local up | detach | down | migrate\n")
        return 2
    return COMMANDS[name](Stack(settings))


sys.exit(main())
