"""Cutting text by a model's tokens, with the encodings that LiteLLM's package carries."""

import os
from collections.abc import Iterable
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import tiktoken

ENCODING = "o200k_base"


class TiktokenTokenizer:
    """Counts and cuts by the tokens of `o200k_base`."""

    def cut(self, text: str, *, tokens: int, overlap: int) -> list[tuple[int, int]]:
        """Return spans (start, end) of `text` of at most `tokens` tokens, in order.

        Neighbours share `overlap` tokens. Spans begin and end on whole characters.
        """
        ids = _encoding().encode_ordinary(text)
        _, offsets = _encoding().decode_with_offsets(ids)
        offsets.append(len(text))
        step = tokens - overlap
        starts = range(0, max(1, len(ids) - overlap), step)
        return [(offsets[at], offsets[min(at + tokens, len(ids))]) for at in starts if ids]


def count_tokens(texts: Iterable[str]) -> int:
    """Return how many tokens texts have together, as near as this encoding is to their model's."""
    return sum(len(_encoding().encode_ordinary(text)) for text in texts)


@cache
def _encoding() -> tiktoken.Encoding:
    spec = find_spec("litellm")
    assert spec is not None
    assert spec.origin is not None
    carried = Path(spec.origin).parent / "litellm_core_utils" / "tokenizers"
    os.environ.setdefault("TIKTOKEN_CACHE_DIR", str(carried))
    return tiktoken.get_encoding(ENCODING)
