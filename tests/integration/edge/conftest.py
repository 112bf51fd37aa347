"""The same API as for accounts: nobody is known who does not say who they are."""

from tests.integration.accounts.conftest import strict, web

__all__ = ["strict", "web"]
