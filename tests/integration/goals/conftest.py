"""Goals as clients that sit behind a trusted gateway reach them, as the document's do."""

import asyncio
from collections.abc import AsyncIterator, Iterator

import httpx
import pytest
from pydantic import SecretStr

from config.db import transaction
from config.products import DeepgramSettings
from config.settings import settings
from models.accounts import provision_user, trusted_id
from tests import inline
from tests.scripted_deepgram import KEY, ScriptedDeepgram

USER = "your-user-uuid"


@pytest.fixture
async def trusting(
    owner: None, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[httpx.AsyncClient]:
    """A client of an API that believes its gateway."""
    monkeypatch.setattr("api.deps.settings", settings.model_copy(update={"trust_gateway": True}))
    async with inline.api() as client:
        yield client


@pytest.fixture
def deepgram(monkeypatch: pytest.MonkeyPatch) -> Iterator[ScriptedDeepgram]:
    with ScriptedDeepgram() as served:
        reached = DeepgramSettings(api_key=SecretStr(KEY), api_base=served.base, timeout_s=1.0)
        changed = settings.model_copy(update={"deepgram": reached})
        monkeypatch.setattr("models.goals.voice.settings", changed)
        monkeypatch.setattr("tasks.adapters.speech.settings", changed)
        from tasks import toolbox

        toolbox._instance.cache_clear()
        yield served
        toolbox._instance.cache_clear()


@pytest.fixture
async def voice(trusting: httpx.AsyncClient) -> AsyncIterator[httpx.AsyncClient]:
    """A client of whom the account exists, while a worker carries out what is asked for."""
    with transaction() as session:
        provision_user(session, trusted_id(USER))
    ended = asyncio.Event()

    async def work() -> None:
        while not ended.is_set():
            await asyncio.to_thread(inline.drain)
            await asyncio.sleep(0.02)

    working = asyncio.create_task(work())
    yield trusting
    ended.set()
    await working
