"""An API as in production: nobody is known who does not say who they are."""

from collections.abc import AsyncIterator

import httpx
import pytest
from pydantic import SecretStr

from config.settings import settings
from tests import inline

SERVICE = {"X-Service-Token": "secret-of-the-service"}


@pytest.fixture
def strict(monkeypatch: pytest.MonkeyPatch) -> None:
    closed = {"environment": "production", "service_token": SecretStr(SERVICE["X-Service-Token"])}
    monkeypatch.setattr("api.deps.settings", settings.model_copy(update=closed))


@pytest.fixture
async def web(database_url: str, redis_url: str, strict: None) -> AsyncIterator[httpx.AsyncClient]:
    async with inline.api() as client:
        yield client
