"""A receiver that all webhooks of a test lead to."""

from collections.abc import Iterator
from types import SimpleNamespace

import pytest

from tasks.toolbox import TOOLS
from tasks.tools import Courier
from tests.integration.webhooks.receiver import Receiver


@pytest.fixture
def receiver(monkeypatch: pytest.MonkeyPatch) -> Iterator[Receiver]:
    here = Receiver()
    with here.listening():
        courier = here.courier()
        provider = SimpleNamespace(provide=lambda: courier, outside=True)
        monkeypatch.setitem(TOOLS, Courier, provider)
        yield here
