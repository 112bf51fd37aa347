"""The errors a caller can act on. Anything else that escapes is a bug.

    DomainError
    ├── Invalid 400          the request makes no sense
    ├── Unauthorized 401     who are you?
    ├── Forbidden 403        not you
    ├── NotFound 404         not there, or not yours
    ├── Conflict 409         not while things are as they are
    ├── Unprocessable 422    well formed, but not something we can work with
    ├── Busy 429             too much at once
    └── Unavailable 503      an outside service failed in a way that may pass; steps retry it

Concrete errors stand beside the rule that raises them.
"""


class DomainError(Exception):
    """A refusal that the caller can understand and act on.

    Subclasses set `code` (stable, machine-readable, unique), `status` (HTTP) and a docstring, whose
    first line is the default message.
    """

    code = "internal"
    status = 500

    def __init__(
        self, message: str | None = None, *, retry_after_s: float | None = None, **details: object
    ) -> None:
        """Keep when to try again, if that is known, and `details` (JSON-serialisable) to tell."""
        super().__init__(message or (self.__doc__ or "").strip().splitlines()[0])
        self.retry_after_s = retry_after_s
        self.details = details


class Invalid(DomainError):
    """The request makes no sense."""

    code = "invalid"
    status = 400


class Unauthorized(DomainError):
    """Say who you are."""

    code = "unauthorized"
    status = 401


class Forbidden(DomainError):
    """This is not yours to do."""

    code = "forbidden"
    status = 403


class NotFound(DomainError):
    """There is no such thing, or it is not yours."""

    code = "not_found"
    status = 404


class Conflict(DomainError):
    """This cannot be done while things are as they are."""

    code = "conflict"
    status = 409


class Unprocessable(DomainError):
    """The request is well formed, but asks for something that cannot be worked with."""

    code = "unprocessable"
    status = 422


class Busy(DomainError):
    """Too much at once."""

    code = "busy"
    status = 429


class Unavailable(DomainError):
    """An outside service failed in a way that may pass."""

    code = "unavailable"
    status = 503
