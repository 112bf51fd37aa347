"""What integration tests share: an empty database with an owner, and an API in this process."""

from collections.abc import AsyncIterator, Iterator

import httpx
import pytest

from config import tracing
from config.otel import OtelSettings
from config.settings import settings
from tests import inline
from tests.otlp_receiver import Receiver as Collector
from tests.scripted_model import ScriptedModel, Served
from tests.stack import prepare_owner


@pytest.fixture
def owner(database_url: str, redis_url: str) -> None:
    prepare_owner()


@pytest.fixture
async def client(owner: None) -> AsyncIterator[httpx.AsyncClient]:
    async with inline.api() as opened:
        yield opened


@pytest.fixture
def scripted() -> ScriptedModel:
    return ScriptedModel(tokens=40)


@pytest.fixture
def served(scripted: ScriptedModel) -> Iterator[Served]:
    with Served(scripted) as served:
        yield served


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch) -> Iterator[Collector]:
    """Everything of this process is traced, but for the requests it answers."""
    seen = Collector()
    with Served(seen) as served:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", f"{served.base}/traces")
        otel = OtelSettings(exporter_otlp_traces_endpoint="set")
        traced = settings.model_copy(update={"otel": otel})
        monkeypatch.setattr(tracing, "settings", traced)
        monkeypatch.setattr(tracing, "_pipe", None)
        yield seen
        tracing.close()
