"""Downloads through the guarded client."""

from collections.abc import Callable

from config.fetch import Failed, GuardedClient, Refused
from models.errors import Unavailable
from tasks.refusals import FetchFailed, FetchRefused


class GuardedFetch:
    """The guarded client, with its errors in the house's words."""

    def __init__(self, client: GuardedClient | None = None) -> None:
        """Use `client` (default: one with the limits of the settings)."""
        self._client = client or GuardedClient()

    def download(self, url: str, *, progress: Callable[[int, int], None] | None = None) -> bytes:
        """Return the body at `url`. `progress(done_bytes, total_bytes)`; total 0 when unknown.

        Raises FetchRefused (against our rules; `reason`), FetchFailed (the server's no; `status`),
        Unavailable.
        """
        try:
            return self._client.download(url, progress=progress)
        except Refused as error:
            if error.reason == "status":
                raise FetchFailed(str(error), reason="status", status=error.status) from error
            raise FetchRefused(str(error), reason=error.reason) from error
        except Failed as error:
            raise Unavailable(str(error), retry_after_s=error.retry_after_s) from error
