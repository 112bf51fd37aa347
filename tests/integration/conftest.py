"""What integration tests share: an empty database with an owner, and an API in this process."""

from collections.abc import AsyncIterator

import httpx
import pytest

from tests import inline
from tests.stack import prepare_owner


@pytest.fixture
def owner(database_url: str, redis_url: str) -> None:
    prepare_owner()


@pytest.fixture
async def client(owner: None) -> AsyncIterator[httpx.AsyncClient]:
    async with inline.api() as opened:
        yield opened
