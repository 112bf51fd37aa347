"""What every implementation of a tool promises: the fakes and the real adapters run the same."""

import math
from itertools import pairwise

import pytest
from pydantic import BaseModel

from models.errors import NotFound
from tasks.refusals import FetchFailed, FetchRefused
from tasks.tools import (
    LLM,
    Blobs,
    Cache,
    Embedder,
    Fetch,
    Hit,
    Keywords,
    Message,
    Passage,
    Reranker,
    Structured,
    Vectors,
)  # fmt: skip

ASKED = [Message(role="user", content="What is universally acknowledged?")]
TEXTS = [
    "Elizabeth walked to Netherfield through the mud.",
    "Darcy wrote a letter about Wickham.",
    "Lydia danced with the officers in Brighton.",
    "Elizabeth read the letter of Darcy again and again.",
]
PASSAGES = [
    Passage(id=f"p{place}", text=text, index=place, meta={"chapter": place // 2})
    for place, text in enumerate(TEXTS)
]
VECTORS = [[1.0, 0.0, 0.0], [0.6, 0.8, 0.0], [0.0, 0.0, 1.0], [-1.0, 0.0, 0.0]]


class Sketch(BaseModel):
    """A form."""

    summary: str
    personality_traits: list[str]


class LLMSuite:
    """For `llm`: any model that answers in more than one word."""

    def test_an_answer_names_the_model_of_its_purpose(self, llm: LLM) -> None:
        answer = llm.complete(ASKED, purpose="chat")
        assert answer.text
        assert answer.model == llm.name("chat")

    def test_a_stream_comes_in_pieces_that_are_text(self, llm: LLM) -> None:
        pieces = [piece for piece in llm.stream(ASKED, purpose="chat") if piece]
        assert len(pieces) > 1
        assert "".join(pieces).strip()

    def test_the_same_question_gets_the_same_answer(self, llm: LLM) -> None:
        first, second = (llm.complete(ASKED, purpose="chat") for _ in range(2))
        assert first == second

    def test_a_stream_may_be_left(self, llm: LLM) -> None:
        stream = llm.stream(ASKED, purpose="chat")
        next(stream)
        stream.close()  # type: ignore[attr-defined]
        assert list(stream) == []


class StructuredSuite:
    """For `forms`: any model that fills in forms."""

    def test_a_form_comes_back_filled_in(self, forms: Structured) -> None:
        filled = forms.fill(Sketch, ASKED, purpose="analysis")
        assert isinstance(filled, Sketch)


class EmbedderSuite:
    """For `embedder`."""

    def test_every_text_gets_a_vector_of_unit_length_and_the_said_dimension(
        self, embedder: Embedder
    ) -> None:
        vectors = embedder.embed([*TEXTS, ""])
        assert len(vectors) == len(TEXTS) + 1
        assert {len(vector) for vector in vectors} == {embedder.model().dimension}
        assert all(math.isclose(math.hypot(*vector), 1.0, rel_tol=1e-6) for vector in vectors)

    def test_vectors_come_in_the_order_of_their_texts(self, embedder: Embedder) -> None:
        alone = [embedder.embed([text])[0] for text in TEXTS]
        assert embedder.embed(TEXTS) == alone

    def test_no_texts_have_no_vectors(self, embedder: Embedder) -> None:
        assert embedder.embed([]) == []

    def test_more_texts_than_one_request_holds_are_embedded(self, embedder: Embedder) -> None:
        assert len(embedder.embed([f"text {number}" for number in range(250)])) == 250


class VectorsSuite:
    """For `vectors`, empty."""

    def test_the_nearest_passages_come_first(self, vectors: Vectors) -> None:
        vectors.create("c", 3)
        vectors.upsert("c", PASSAGES, VECTORS)
        hits = vectors.search("c", [1.0, 0.0, 0.0], top_k=3)
        assert [hit.passage for hit in hits] == [PASSAGES[0], PASSAGES[1], PASSAGES[2]]
        assert [round(hit.score, 3) for hit in hits] == [1.0, 0.6, 0.0]

    def test_a_score_is_the_cosine_whatever_the_length(self, vectors: Vectors) -> None:
        vectors.create("c", 3)
        vectors.upsert("c", PASSAGES, VECTORS)
        (hit,) = vectors.search("c", [0.0, 0.0, 20.0], top_k=1)
        assert math.isclose(hit.score, 1.0, abs_tol=1e-3)

    def test_nothing_beyond_the_horizon_is_found(self, vectors: Vectors) -> None:
        vectors.create("c", 3)
        vectors.upsert("c", PASSAGES, VECTORS)
        hits = vectors.search("c", VECTORS[2], top_k=4, up_to_index=1)
        assert {hit.passage.id for hit in hits} == {"p0", "p1"}

    def test_storing_twice_is_storing_once(self, vectors: Vectors) -> None:
        vectors.create("c", 3)
        vectors.upsert("c", PASSAGES, VECTORS)
        changed = PASSAGES[0].model_copy(update={"text": "again"})
        vectors.upsert("c", [changed], [[0.0, 1.0, 0.0]])
        assert vectors.count("c") == len(PASSAGES)
        assert vectors.search("c", [0.0, 1.0, 0.0], top_k=1)[0].passage == changed

    def test_collections_do_not_mix(self, vectors: Vectors) -> None:
        for name in ("c", "d'; --"):
            vectors.create(name, 3)
        vectors.upsert("c", PASSAGES[:2], VECTORS[:2])
        vectors.upsert("d'; --", PASSAGES[2:], VECTORS[2:])
        found = vectors.search("d'; --", VECTORS[0], top_k=9)
        assert {hit.passage.id for hit in found} == {"p2", "p3"}

    def test_collections_of_different_models_live_side_by_side(self, vectors: Vectors) -> None:
        vectors.create("c", 3)
        vectors.create("d", 2)
        vectors.upsert("c", PASSAGES, VECTORS)
        vectors.upsert("d", PASSAGES[:1], [[0.0, 1.0]])
        assert vectors.search("d", [0.0, 1.0], top_k=1)[0].passage == PASSAGES[0]

    def test_creating_again_empties(self, vectors: Vectors) -> None:
        vectors.create("c", 3)
        vectors.upsert("c", PASSAGES, VECTORS)
        vectors.create("c", 3)
        assert vectors.count("c") == 0

    def test_a_version_is_built_beside_the_live_one_which_stays_until_dropped(
        self, vectors: Vectors
    ) -> None:
        vectors.create("c", 3)
        vectors.upsert("c", PASSAGES, VECTORS)
        vectors.create("d", 3)
        vectors.upsert("d", PASSAGES[:2], VECTORS[:2])
        assert (vectors.count("c"), vectors.count("d")) == (4, 2)
        vectors.drop("c")
        assert vectors.search("c", VECTORS[0], top_k=1) == []
        assert vectors.search("d", VECTORS[0], top_k=1)[0].passage == PASSAGES[0]

    def test_what_is_missing_holds_nothing(self, vectors: Vectors) -> None:
        vectors.drop("nowhere")
        assert vectors.count("nowhere") == 0
        assert vectors.search("nowhere", [1.0, 0.0, 0.0], top_k=5) == []
        vectors.create("c", 3)
        vectors.upsert("c", [], [])
        assert vectors.count("c") == 0


class KeywordsSuite:
    """For `keywords`, empty."""

    def test_a_passage_with_more_of_the_words_comes_first(self, keywords: Keywords) -> None:
        keywords.create("c")
        keywords.upsert("c", PASSAGES)
        hits = keywords.search("c", "the letter of Darcy to Elizabeth", top_k=3)
        assert hits[0].passage == PASSAGES[3]
        assert all(one.score >= other.score for one, other in pairwise(hits))

    def test_one_word_of_many_is_enough(self, keywords: Keywords) -> None:
        keywords.create("c")
        keywords.upsert("c", PASSAGES)
        found = keywords.search("c", "Brighton zeppelin automobile", top_k=3)
        assert [hit.passage for hit in found] == [PASSAGES[2]]

    def test_a_rare_word_counts_more_than_a_common_one(self, keywords: Keywords) -> None:
        keywords.create("c")
        keywords.upsert("c", PASSAGES)
        hits = keywords.search("c", "Elizabeth Wickham", top_k=4)
        assert hits[0].passage == PASSAGES[1]

    def test_nothing_beyond_the_horizon_is_found(self, keywords: Keywords) -> None:
        keywords.create("c")
        keywords.upsert("c", PASSAGES)
        found = keywords.search("c", "Elizabeth letter", top_k=4, up_to_index=1)
        assert {hit.passage.id for hit in found} == {"p0", "p1"}

    def test_storing_twice_is_storing_once(self, keywords: Keywords) -> None:
        keywords.create("c")
        keywords.upsert("c", PASSAGES)
        changed = PASSAGES[0].model_copy(update={"text": "Pemberley"})
        keywords.upsert("c", [changed])
        assert keywords.count("c") == len(PASSAGES)
        assert keywords.search("c", "pemberley", top_k=1)[0].passage == changed
        assert keywords.search("c", "mud", top_k=1) == []

    def test_all_passages_are_listed_in_the_order_of_the_text(self, keywords: Keywords) -> None:
        keywords.create("c")
        keywords.upsert("c", PASSAGES[::-1])
        assert keywords.passages("c") == sorted(PASSAGES, key=lambda one: one.index)
        assert keywords.passages("d") == []

    def test_collections_do_not_mix(self, keywords: Keywords) -> None:
        keywords.create("c")
        keywords.create("d")
        keywords.upsert("c", PASSAGES[:2])
        keywords.upsert("d", PASSAGES[2:])
        assert keywords.search("d", "Netherfield", top_k=3) == []
        assert keywords.count("c") == 2

    def test_creating_again_empties(self, keywords: Keywords) -> None:
        keywords.create("c")
        keywords.upsert("c", PASSAGES)
        keywords.create("c")
        assert keywords.count("c") == 0

    def test_a_version_is_built_beside_the_live_one_which_stays_until_dropped(
        self, keywords: Keywords
    ) -> None:
        keywords.create("c")
        keywords.upsert("c", PASSAGES)
        keywords.create("d")
        keywords.upsert("d", PASSAGES[:2])
        assert (keywords.count("c"), keywords.count("d")) == (4, 2)
        keywords.drop("c")
        assert keywords.search("c", "Netherfield", top_k=1) == []
        assert keywords.search("d", "Netherfield", top_k=1)[0].passage == PASSAGES[0]

    def test_what_is_missing_holds_nothing(self, keywords: Keywords) -> None:
        keywords.drop("nowhere")
        assert keywords.count("nowhere") == 0
        assert keywords.search("nowhere", "Darcy", top_k=5) == []

    @pytest.mark.parametrize("query", ["", "   ", "?!", "&|!:*()<->'\"\\", "-", '""', "\x00"])
    def test_a_query_without_words_finds_nothing(self, keywords: Keywords, query: str) -> None:
        keywords.create("c")
        keywords.upsert("c", PASSAGES)
        assert keywords.search("c", query, top_k=3) == []


class RerankerSuite:
    """For `reranker`: one that looks at the words."""

    def test_the_best_come_first_whatever_the_order_before(self, reranker: Reranker) -> None:
        hits = [Hit(passage=one, score=float(one.index)) for one in PASSAGES]
        best = reranker.rerank("Darcy wrote a letter about Wickham.", hits, top_k=2)
        assert [hit.passage for hit in best] == [PASSAGES[1], PASSAGES[3]]
        assert best[0].score > best[1].score

    def test_nothing_has_no_order(self, reranker: Reranker) -> None:
        assert reranker.rerank("Darcy", [], top_k=3) == []

    def test_a_few_may_be_all_there_are(self, reranker: Reranker) -> None:
        hits = [Hit(passage=PASSAGES[0], score=0.5)]
        assert [hit.passage for hit in reranker.rerank("mud", hits, top_k=9)] == [PASSAGES[0]]


class BlobsSuite:
    """For `blobs`."""

    def test_bytes_come_back_as_they_were(self, blobs: Blobs) -> None:
        data = bytes(range(256)) * 1000
        stored = blobs.put(data)
        assert stored.size_bytes == len(data)
        assert blobs.get(stored.key) == data

    def test_the_same_bytes_have_the_same_key(self, blobs: Blobs) -> None:
        assert blobs.put(b"same") == blobs.put(b"same")
        assert blobs.put(b"same") != blobs.put(b"other")

    def test_nothing_is_something_to_store(self, blobs: Blobs) -> None:
        assert blobs.get(blobs.put(b"").key) == b""

    @pytest.mark.parametrize("key", ["ab/cd/abcd", "../../etc/passwd", "/etc/passwd"])
    def test_a_key_that_was_never_given_is_not_found(self, blobs: Blobs, key: str) -> None:
        with pytest.raises(NotFound):
            blobs.get(key)


class FetchSuite:
    """For `fetch` and `base`, where `/book.txt` is b"text" * 1000 and nothing else is."""

    def test_a_file_is_downloaded_with_its_progress(self, fetch: Fetch, base: str) -> None:
        told: list[tuple[int, int]] = []
        body = fetch.download(f"{base}/book.txt", progress=lambda *at: told.append(at))
        assert body == b"text" * 1000
        assert told[-1] == (4000, 4000)

    def test_a_file_that_is_not_there_is_final(self, fetch: Fetch, base: str) -> None:
        with pytest.raises(FetchFailed) as caught:
            fetch.download(f"{base}/nothing.txt")
        assert caught.value.details["status"] == 404

    def test_a_private_address_is_refused(self, fetch: Fetch) -> None:
        with pytest.raises(FetchRefused) as caught:
            fetch.download("http://10.0.0.1/book.txt")
        assert caught.value.details["reason"] == "address"


class CacheSuite:
    """For `cache`: an empty one."""

    def test_what_was_put_there_is_found(self, cache: Cache) -> None:
        cache.put("key", "välue", ttl_s=60)
        assert cache.get("key") == "välue"
        assert cache.get("another") is None

    def test_the_last_value_counts(self, cache: Cache) -> None:
        cache.put("key", "first", ttl_s=60)
        cache.put("key", "second", ttl_s=60)
        assert cache.get("key") == "second"
