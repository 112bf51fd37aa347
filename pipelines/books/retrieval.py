"""Find passages by meaning and by words, and put the two rankings together."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from models.errors import DomainError
from tasks.tools import Embedder, Hit, Keywords, Reranker, Vectors

DEPTH = 3  # candidates of each search, in multiples of what is wanted: what both find rises
RANK_CONSTANT = 60  # of reciprocal rank fusion; damps the lead of the first places

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class HybridSearch:
    """Both searches and what orders their findings. Whichever fails, the others go on."""

    embedder: Embedder
    vectors: Vectors
    keywords: Keywords
    reranker: Reranker

    def find(
        self,
        narrative: str,
        words: str,
        *,
        collection: str,
        model: str | None,
        top_k: int,
        up_to_index: int | None = None,
    ) -> list[Hit]:
        """Return the best `top_k` passages, best first; none when everything fails.

        `narrative` is what the text might say, `words` what to look for in it, `model` what made
        the vectors. Nothing after `up_to_index` is searched.
        """
        depth = DEPTH * top_k

        def near() -> list[Hit]:
            (vector,) = self.embedder.embed([narrative], model=model)
            return self.vectors.search(collection, vector, top_k=depth, up_to_index=up_to_index)

        def worded() -> list[Hit]:
            return self.keywords.search(collection, words, top_k=depth, up_to_index=up_to_index)

        near_ones = _unless_it_fails("semantic search", near, [])
        fused = fuse(near_ones, _unless_it_fails("keyword search", worded, []))
        reranked = partial(self.reranker.rerank, narrative, fused, top_k=top_k)
        return _unless_it_fails("reranking", reranked, fused[:top_k])


def fuse(*rankings: list[Hit]) -> list[Hit]:
    """Interleave rankings by reciprocal rank, best first; what several have found rises.

    A passage counts once per ranking and is kept as the first one has it. Source: Cormack, Clarke
    and Büttcher, "Reciprocal Rank Fusion", SIGIR 2009.
    """
    scores: dict[str, float] = {}
    found: dict[str, Hit] = {}
    for hits in rankings:
        for rank, id_ in enumerate(dict.fromkeys(hit.passage.id for hit in hits)):
            scores[id_] = scores.get(id_, 0.0) + 1 / (RANK_CONSTANT + rank)
        for hit in hits:
            found.setdefault(hit.passage.id, hit)
    best = sorted(scores, key=lambda id_: -scores[id_])
    return [Hit(passage=found[id_].passage, score=scores[id_]) for id_ in best]


def _unless_it_fails(what: str, act: Callable[[], list[Hit]], otherwise: list[Hit]) -> list[Hit]:
    try:
        return act()
    except DomainError as error:
        logger.warning("A conversation goes on without %s: %s", what, error)
        return otherwise
