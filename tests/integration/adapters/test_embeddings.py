import pytest

from models.errors import Unavailable
from tasks.adapters.embeddings import BATCH_CHARS, BATCH_TEXTS, LiteLLMEmbedder, batches
from tasks.refusals import InputRefused, ModelRefused
from tests.integration.adapters.conftest import Configure
from tests.scripted_model import ScriptedModel
from tests.suites.models import EmbedderSuite


class TestLiteLLMEmbedder(EmbedderSuite):
    @pytest.fixture
    def embedder(self, configure: Configure) -> LiteLLMEmbedder:
        configure("embed")
        return LiteLLMEmbedder()


@pytest.fixture
def embedder(configure: Configure) -> LiteLLMEmbedder:
    configure("embed")
    return LiteLLMEmbedder()


def test_texts_travel_in_batches(embedder: LiteLLMEmbedder, scripted: ScriptedModel) -> None:
    embedder.embed([f"text {number}" for number in range(2 * BATCH_TEXTS + 1)])
    sizes = [len(body["input"]) for body in scripted.bodies]
    assert sizes == [BATCH_TEXTS, BATCH_TEXTS, 1]


def test_long_texts_travel_in_smaller_batches() -> None:
    texts = ["x" * (BATCH_CHARS // 2)] * 5 + ["y" * 2 * BATCH_CHARS, "z"]
    assert [len(batch) for batch in batches(texts)] == [2, 2, 1, 1, 1]
    assert [text for batch in batches(texts) for text in batch] == texts


def test_the_dimension_is_asked_for_once(
    embedder: LiteLLMEmbedder, scripted: ScriptedModel, configure: Configure
) -> None:
    configure("embed-once")
    assert [embedder.model().dimension for _ in range(3)] == [4, 4, 4]
    assert scripted.calls["embed-once"] == 1


def test_an_index_is_queried_with_the_model_that_made_it(
    embedder: LiteLLMEmbedder, scripted: ScriptedModel
) -> None:
    embedder.embed(["text"], model="openai/older")
    assert scripted.calls["older"] == 1


@pytest.mark.parametrize(
    ("model", "error"),
    [
        ("limited", Unavailable),
        ("broken", Unavailable),
        ("lost", ModelRefused),
        ("locked", ModelRefused),
        ("refused", InputRefused),
        ("window", InputRefused),
    ],
)
def test_a_provider_s_no_is_told_apart(
    embedder: LiteLLMEmbedder, configure: Configure, model: str, error: type[Exception]
) -> None:
    configure(model)
    with pytest.raises(error) as caught:
        embedder.embed(["text"])
    assert type(caught.value) is error
