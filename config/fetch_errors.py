"""How an outgoing request fails. Messages name the host only: addresses may be signed."""

from typing import Literal

Reason = Literal[
    "address",
    "credentials",
    "encoding",
    "header",
    "host",
    "port",
    "redirects",
    "scheme",
    "status",
    "too_large",
    "too_long",
]


class FetchProblem(Exception):
    """An outgoing request that did not work out."""


class Refused(FetchProblem):
    """A request that no repetition will help."""

    def __init__(self, message: str, reason: Reason, status: int | None = None) -> None:
        """Keep the machine-readable reason, and the HTTP status where there was one."""
        super().__init__(message)
        self.reason: Reason = reason
        self.status = status


class Failed(FetchProblem):
    """A request that may work later."""

    def __init__(self, message: str, retry_after_s: float | None = None) -> None:
        """Keep how long the server asked us to wait, if it did."""
        super().__init__(message)
        self.retry_after_s = retry_after_s
