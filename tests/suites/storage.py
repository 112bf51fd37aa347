"""For what keeps bytes, and what gets them from elsewhere."""

import pytest

from models.errors import NotFound
from tasks.refusals import FetchFailed, FetchRefused
from tasks.tools import Blobs, Cache, Fetch


class BlobsSuite:
    """For `blobs`."""

    def test_bytes_come_back_as_they_were(self, blobs: Blobs) -> None:
        data = bytes(range(256)) * 1000
        stored = blobs.put(data)
        assert stored.size_bytes == len(data)
        assert blobs.get(stored.key) == data

    def test_the_same_bytes_have_the_same_key(self, blobs: Blobs) -> None:
        assert blobs.put(b"same") == blobs.put(b"same")
        assert blobs.put(b"same") != blobs.put(b"other")

    def test_nothing_is_something_to_store(self, blobs: Blobs) -> None:
        assert blobs.get(blobs.put(b"").key) == b""

    @pytest.mark.parametrize("key", ["ab/cd/abcd", "../../etc/passwd", "/etc/passwd"])
    def test_a_key_that_was_never_given_is_not_found(self, blobs: Blobs, key: str) -> None:
        with pytest.raises(NotFound):
            blobs.get(key)


class FetchSuite:
    """For `fetch` and `base`, where `/book.txt` is b"text" * 1000 and nothing else is."""

    def test_a_file_is_downloaded_with_its_progress(self, fetch: Fetch, base: str) -> None:
        told: list[tuple[int, int]] = []
        body = fetch.download(f"{base}/book.txt", progress=lambda *at: told.append(at))
        assert body == b"text" * 1000
        assert told[-1] == (4000, 4000)

    def test_a_file_that_is_not_there_is_final(self, fetch: Fetch, base: str) -> None:
        with pytest.raises(FetchFailed) as caught:
            fetch.download(f"{base}/nothing.txt")
        assert caught.value.details["status"] == 404

    def test_a_private_address_is_refused(self, fetch: Fetch) -> None:
        with pytest.raises(FetchRefused) as caught:
            fetch.download("http://10.0.0.1/book.txt")
        assert caught.value.details["reason"] == "address"


class CacheSuite:
    """For `cache`: an empty one."""

    def test_what_was_put_there_is_found(self, cache: Cache) -> None:
        cache.put("key", "välue", ttl_s=60)
        assert cache.get("key") == "välue"
        assert cache.get("another") is None

    def test_the_last_value_counts(self, cache: Cache) -> None:
        cache.put("key", "first", ttl_s=60)
        cache.put("key", "second", ttl_s=60)
        assert cache.get("key") == "second"
