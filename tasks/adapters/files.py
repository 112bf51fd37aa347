"""Files from addresses that users name, through the guarded client."""

from collections.abc import Callable

from config.fetch import Failed, GuardedClient, Refused
from models.errors import Unavailable, Unprocessable


class FetchRefused(Unprocessable):
    """This address cannot be fetched."""

    code = "fetch_refused"


class GuardedFetch:
    """The `Fetch` tool."""

    def download(self, url: str, *, progress: Callable[[int, int], None] | None = None) -> bytes:
        """Return the body. Raises FetchRefused, Unavailable."""
        try:
            return GuardedClient().download(url, progress=progress)
        except Refused as error:
            raise FetchRefused(str(error), reason=error.reason, status=error.status) from error
        except Failed as error:
            raise Unavailable(str(error), retry_after_s=error.retry_after_s) from error
