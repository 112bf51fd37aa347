"""The fakes keep the promises of the tools they stand for."""

import pytest

from tasks.refusals import FetchRefused
from tests.fakes import (
    FakeBlobs,
    FakeCache,
    FakeEmbedder,
    FakeFetch,
    FakeKeywords,
    FakeLLM,
    FakeReranker,
    FakeVectors,
)
from tests.suites.models import EmbedderSuite, LLMSuite, Sketch, StructuredSuite
from tests.suites.search import KeywordsSuite, RerankerSuite, VectorsSuite
from tests.suites.storage import BlobsSuite, CacheSuite, FetchSuite


class TestFakeLLM(LLMSuite):
    @pytest.fixture
    def llm(self) -> FakeLLM:
        return FakeLLM()


class TestFakeForms(StructuredSuite):
    @pytest.fixture
    def forms(self) -> FakeLLM:
        return FakeLLM(Sketch(summary="A person.", personality_traits=["kind"]))


class TestFakeEmbedder(EmbedderSuite):
    @pytest.fixture
    def embedder(self) -> FakeEmbedder:
        return FakeEmbedder()


class TestFakeVectors(VectorsSuite):
    @pytest.fixture
    def vectors(self) -> FakeVectors:
        return FakeVectors()


class TestFakeKeywords(KeywordsSuite):
    @pytest.fixture
    def keywords(self) -> FakeKeywords:
        return FakeKeywords()


class TestFakeReranker(RerankerSuite):
    @pytest.fixture
    def reranker(self) -> FakeReranker:
        return FakeReranker()


class TestFakeBlobs(BlobsSuite):
    @pytest.fixture
    def blobs(self) -> FakeBlobs:
        return FakeBlobs()


class TestFakeFetch(FetchSuite):
    base = "https://files.example"

    @pytest.fixture(name="base")
    def address(self) -> str:
        return self.base

    @pytest.fixture
    def fetch(self) -> FakeFetch:
        return FakeFetch(
            {
                f"{self.base}/book.txt": b"text" * 1000,
                "http://10.0.0.1/book.txt": FetchRefused(reason="address"),
            }
        )


class TestFakeCache(CacheSuite):
    @pytest.fixture
    def cache(self) -> FakeCache:
        return FakeCache()
