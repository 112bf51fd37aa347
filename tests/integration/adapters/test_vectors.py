import random

import pytest
from sqlalchemy import text

from config.db import engine
from config.local import EmbeddedPostgres
from models.errors import Unavailable
from tasks.adapters import hnsw
from tasks.adapters.vectors import PgVectors, nearest_to
from tasks.tools import Passage
from tests.suites.search import PASSAGES, VECTORS, VectorsSuite


class TestPgVectors(VectorsSuite):
    @pytest.fixture
    def vectors(self, database_url: str) -> PgVectors:
        return PgVectors()


class TestLargePgVectors(VectorsSuite):
    """The same promises hold where every collection has an approximate index."""

    @pytest.fixture
    def vectors(self, database_url: str) -> PgVectors:
        return PgVectors(large=1)


def fill(vectors: PgVectors, collection: str, count: int) -> list[list[float]]:
    chance = random.Random(1)
    made = [[chance.gauss(0, 1) for _ in range(16)] for _ in range(count)]
    passages = [Passage(id=f"p{n}", text=f"text {n}", index=n) for n in range(count)]
    vectors.create(collection, 16)
    vectors.upsert(collection, passages, made)
    return made


def plan(vector: list[float], collection: str) -> str:
    query = nearest_to(vector, collection).limit(5)
    with engine().connect() as conn:
        statement = query.compile(engine(), compile_kwargs={"literal_binds": True})
        explained = conn.exec_driver_sql(f"EXPLAIN {statement}")
        return "\n".join(str(row[0]) for row in explained)


def test_a_large_collection_is_searched_through_its_index(database_url: str) -> None:
    vectors = PgVectors(large=2000)
    made = fill(vectors, "large", 2000)
    with engine().begin() as conn:
        conn.execute(text("ANALYZE vector_passage"))
    assert hnsw.index_name("large") in plan(made[0], "large")
    found = [vectors.search("large", made[n], top_k=1)[0].passage.index for n in range(50)]
    assert found == list(range(50))


def test_a_search_up_to_a_place_finds_enough_in_a_large_collection(database_url: str) -> None:
    vectors = PgVectors(large=2000)
    made = fill(vectors, "large", 2000)
    assert len(vectors.search("large", made[1999], top_k=10, up_to_index=30)) == 10


def test_a_small_collection_has_no_index_of_its_own(database_url: str) -> None:
    fill(PgVectors(large=2000), "small", 100)
    assert indexes() == []


def test_the_index_goes_with_its_collection(database_url: str) -> None:
    vectors = PgVectors(large=50)
    fill(vectors, "large", 50)
    assert indexes() == [hnsw.index_name("large")]
    vectors.drop("large")
    assert indexes() == []


def test_a_half_built_index_is_built_again(database_url: str) -> None:
    vectors = PgVectors(large=50)
    fill(vectors, "large", 50)
    with engine().begin() as conn:
        name = {"name": hnsw.index_name("large")}
        broken = "UPDATE pg_index SET indisvalid = false WHERE indexrelid = to_regclass(:name)"
        conn.execute(text(broken), name)
    hnsw.ensure("large", 16)
    with engine().begin() as conn:
        valid = "SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass(:name)"
        assert conn.scalar(text(valid), name) is True


def test_a_store_that_is_away_is_unavailable(postgres: EmbeddedPostgres) -> None:
    vectors = PgVectors()
    vectors.create("c", 3)
    postgres.stop()
    with pytest.raises(Unavailable):
        vectors.upsert("c", PASSAGES, VECTORS)
    with pytest.raises(Unavailable):
        vectors.search("c", VECTORS[0], top_k=1)


def indexes() -> list[str]:
    found = text("SELECT indexname FROM pg_indexes WHERE indexname LIKE 'ix_vector_passage_hnsw%'")
    with engine().connect() as conn:
        return list(conn.scalars(found))
