"""For what finds passages, by meaning or by words, and puts them in order."""

import math
from itertools import pairwise

import pytest

from tasks.tools import Hit, Keywords, Passage, Reranker, Vectors

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

    def test_what_is_made_again_keeps_what_it_holds(self, vectors: Vectors) -> None:
        vectors.create("c", 3)
        vectors.upsert("c", PASSAGES, VECTORS)
        vectors.create("c", 3)
        assert vectors.count("c") == len(PASSAGES)

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

    def test_what_is_made_again_keeps_what_it_holds(self, keywords: Keywords) -> None:
        keywords.create("c")
        keywords.upsert("c", PASSAGES)
        keywords.create("c")
        assert keywords.count("c") == len(PASSAGES)

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
