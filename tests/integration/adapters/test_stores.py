"""Which stores the settings choose, and a conversation while all of them are away."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from typesense import Client

from pipelines.books.retrieval import HybridSearch
from tasks.adapters.keywords_typesense import TypesenseKeywords, node
from tasks.adapters.vectors_qdrant import QdrantVectors
from tests.fakes import FakeEmbedder, FakeReranker

ROOT = Path(__file__).resolve().parents[3]
AWAY = "http://127.0.0.1:9"
CHOSEN = (
    "from tasks.toolbox import TOOLS; from tasks.tools import Keywords, Vectors;"
    "print(*(type(TOOLS[tool].provide()).__name__ for tool in (Vectors, Keywords)))"
)


@pytest.mark.parametrize(
    ("named", "chosen"),
    [
        ({}, "PgVectors PgKeywords"),
        ({"QDRANT_URL": AWAY}, "QdrantVectors PgKeywords"),
        ({"TYPESENSE_URL": AWAY, "TYPESENSE_API_KEY": "key"}, "PgVectors TypesenseKeywords"),
    ],
)
def test_an_address_in_the_settings_chooses_the_store(named: dict[str, str], chosen: str) -> None:
    told = subprocess.run(
        [sys.executable, "-c", CHOSEN],
        cwd=ROOT,
        env=os.environ | named,
        capture_output=True,
        text=True,
        check=True,
    )
    assert told.stdout.strip() == chosen


def test_a_conversation_goes_on_while_both_stores_are_away() -> None:
    from qdrant_client import QdrantClient

    qdrant = QdrantClient(url=AWAY, check_compatibility=False)
    typesense = Client({"nodes": [node(AWAY)], "api_key": "key", "num_retries": 0})
    search = HybridSearch(
        FakeEmbedder(), QdrantVectors(qdrant), TypesenseKeywords(typesense), FakeReranker()
    )
    assert search.find("n", "k", collection="c_v1", model=None, top_k=3) == []
    qdrant.close()
    typesense.api_call.close()
