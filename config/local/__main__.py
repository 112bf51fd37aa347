"""`python -m config.local up | detach | demo | down | migrate | …`: the local stack.

`superadmin EMAIL USERNAME` makes the first administrator of the stack that runs, `operate …` is
`python -m api.operate …` for it, `rotate` is `python -m api.rotate`. `backup FOLDER` saves it as it
runs; `restore FOLDER` brings that into an empty one that does not run. With `DATABASE_URL` set,
these two mean that database.
"""

import argparse
import sys
from pathlib import Path

from config.local.stack import ROOT, Stack
from config.settings import settings

ASKING = {"superadmin": "api.superadmin", "operate": "api.operate", "rotate": "api.rotate"}
SAVING = ("backup", "restore")


def main() -> int:
    """Carry out the command and return the process's exit code."""
    parser = argparse.ArgumentParser(prog="python -m config.local", description=__doc__)
    parser.add_argument(
        "command",
        choices=["up", "detach", "demo", "down", "migrate", *ASKING, *SAVING],
    )
    parser.add_argument("words", nargs="*", help="what belongs to the command")
    parser.add_argument("--root", type=Path, default=ROOT, help="where the Procfile lies")
    asked, more = parser.parse_known_args()
    if more and asked.command not in ASKING:
        parser.error(f"{asked.command} knows nothing of {' '.join(more)}")
    if asked.command == "migrate":
        from config.local.migrations import upgrade  # brings the models with it

        upgrade()
        return 0
    from config.local import commands

    stack = Stack(settings, root=asked.root)
    if asked.command in ASKING:
        return commands.ask(stack, ASKING[asked.command], [*asked.words, *more])
    if asked.command in SAVING:
        if len(asked.words) != 1:
            parser.error(f"{asked.command} needs a folder")
        from config.local import saving  # brings the database and the blobs with it

        return saving.save(stack, asked.command, Path(asked.words[0]))
    code: int = getattr(commands, asked.command)(stack)
    return code


if __name__ == "__main__":
    sys.exit(main())
