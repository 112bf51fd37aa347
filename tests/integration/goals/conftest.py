"""Goals as clients that sit behind a trusted gateway reach them, as the document's do."""

from collections.abc import AsyncIterator

import httpx
import pytest

from config.settings import settings
from tests import inline

USER = "your-user-uuid"


@pytest.fixture
async def trusting(
    owner: None, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[httpx.AsyncClient]:
    """A client of an API that believes its gateway."""
    monkeypatch.setattr("api.deps.settings", settings.model_copy(update={"trust_gateway": True}))
    async with inline.api() as client:
        yield client
