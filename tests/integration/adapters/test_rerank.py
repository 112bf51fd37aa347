"""Reranking as Cohere and its like do it, against the scripted server."""

import time

import pytest

from models.errors import Unavailable
from tasks.adapters import rerank
from tasks.adapters.rerank import LiteLLMReranker
from tasks.refusals import ModelRefused
from tasks.tools import Hit, Passage
from tests.integration.adapters.conftest import KEY, Configure
from tests.scripted_model import ScriptedModel, Served
from tests.suites.search import PASSAGES, RerankerSuite

HITS = [Hit(passage=one, score=1 / (one.index + 1)) for one in PASSAGES]


@pytest.fixture
def reranker(configure: Configure) -> LiteLLMReranker:
    configure("plain", "hosted_vllm")
    return LiteLLMReranker()


class TestLiteLLMReranker(RerankerSuite):
    """The promises of every implementation."""


@pytest.mark.parametrize("provider", ["hosted_vllm", "jina_ai", "cohere"])
def test_a_reranker_is_asked_once_with_all_texts(
    reranker: LiteLLMReranker,
    scripted: ScriptedModel,
    served: Served,
    configure: Configure,
    provider: str,
) -> None:
    base = served.base.removesuffix("/v1") if provider == "cohere" else served.base
    configure("plain", provider, api_base=base)
    best = reranker.rerank("Lydia danced", HITS, top_k=2)
    assert best[0].passage == PASSAGES[2]
    (body,) = scripted.bodies
    assert body["documents"] == [one.text for one in PASSAGES]
    assert (body["model"], body["query"], body["top_n"]) == ("plain", "Lydia danced", 2)
    assert scripted.keys == [KEY]


def test_without_a_model_the_scores_stay(
    reranker: LiteLLMReranker, scripted: ScriptedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    from config.settings import settings

    monkeypatch.setattr(rerank, "settings", settings)
    assert settings.models.rerank == ""
    assert reranker.rerank("Lydia danced", HITS[::-1], top_k=3) == HITS[:3]
    assert scripted.bodies == []


@pytest.mark.parametrize(
    ("model", "error"),
    [
        ("limited", Unavailable),
        ("broken", Unavailable),
        ("beyond", Unavailable),
        ("refused", ModelRefused),
        ("locked", ModelRefused),
    ],
)
def test_a_provider_s_no_is_told_apart(
    reranker: LiteLLMReranker, configure: Configure, model: str, error: type[Exception]
) -> None:
    configure(model, "hosted_vllm")
    with pytest.raises(error) as caught:
        reranker.rerank("Lydia danced", HITS, top_k=2)
    assert KEY not in str(caught.value)


def test_a_reranker_that_hangs_is_given_up(
    reranker: LiteLLMReranker, configure: Configure, monkeypatch: pytest.MonkeyPatch
) -> None:
    configure("hang", "hosted_vllm")
    monkeypatch.setattr(rerank, "TIMEOUT_S", 0.4)
    begun = time.monotonic()
    with pytest.raises(Unavailable):
        reranker.rerank("Lydia danced", HITS, top_k=2)
    assert time.monotonic() - begun < 3.0


def test_a_passage_comes_back_as_it_was(reranker: LiteLLMReranker) -> None:
    told = Passage(id="b:7", text="Lydia danced", index=7, meta={"chapter": 3})
    (hit,) = reranker.rerank("Lydia danced", [Hit(passage=told, score=0.1)], top_k=1)
    assert hit == Hit(passage=told, score=1.0)
