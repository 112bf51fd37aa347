"""What the Makefile calls to back a stack up and to bring it back."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

import psycopg

from config.blobs import BlobStore
from config.db import libpq_url
from config.local.backup import BackupFailed, back_up, restore
from config.local.commands import say
from config.local.server import ServerFailed
from config.local.stack import CannotStart, Stack


def save(stack: Stack, command: str, folder: Path) -> int:
    """Back the stack that runs up into a folder, or restore one that does not run from it."""
    embedded = stack.postgres in stack.stores
    configured = stack.settings.database
    url = libpq_url(configured.direct_url or configured.url or stack.postgres.url)
    try:
        if command == "backup":
            if embedded and stack.lock.holder() is None:
                raise BackupFailed("The stack does not run; start it with: make up")
            made = back_up(url, BlobStore(), folder)
        else:
            with _alone(stack) if embedded else nullcontext():
                made = restore(url, BlobStore(), folder)
    except (BackupFailed, CannotStart, ServerFailed, psycopg.OperationalError) as error:
        say(str(error))
        return 1
    say(f"{command}: {sum(made.rows.values())} rows and {made.blobs} blobs in {folder}")
    return 0


@contextmanager
def _alone(stack: Stack) -> Iterator[None]:
    """Have the embedded Postgres up, and nothing else of the stack."""
    if not stack.lock.take(stack.running):
        raise CannotStart("The stack runs: stop it with: make down")
    try:
        stack.postgres.start()
        yield
    finally:
        stack.postgres.stop()
        stack.lock.drop()
