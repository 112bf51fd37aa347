"""Unit tests reach nothing: no network, no database."""

from collections.abc import Iterator

import pytest
from pytest_socket import disable_socket, enable_socket


@pytest.fixture(autouse=True)
def _no_sockets() -> Iterator[None]:
    disable_socket(allow_unix_socket=True)  # asyncio's own wake-up is a pair of unix sockets
    yield
    enable_socket()
