"""`python -m api.superadmin EMAIL USERNAME`: makes a superadmin, the first one by this way only.

An account with this email address and username is promoted; its password stays. Otherwise one is
made, with a password that is asked for, or read from standard input when that is no terminal.
"""

import argparse
import getpass
import sys

from config.db import transaction
from models.accounts import promote_to_superadmin
from models.errors import DomainError


def main() -> int:
    """Make the superadmin and return the process's exit code."""
    parser = argparse.ArgumentParser(prog="python -m api.superadmin", description=__doc__)
    parser.add_argument("email")
    parser.add_argument("username")
    asked = parser.parse_args()
    try:
        with transaction() as session:
            promote_to_superadmin(
                session, email=asked.email, username=asked.username, ask=_password
            )
    except DomainError as refused:
        sys.stderr.write(f"{refused}\n")
        return 1
    sys.stdout.write(f"{asked.username} is a superadmin; log in at /admin/.\n")
    return 0


def _password() -> str:
    if sys.stdin.isatty():
        return getpass.getpass("Password (at least 8 characters): ")
    return sys.stdin.readline().rstrip("\n")


if __name__ == "__main__":
    sys.exit(main())
