"""The provider `offline/…`: serves where no model is configured, and says so everywhere.

It writes nothing new. Analyses and prompts are put together from the facts that were extracted, and
a character answers with their own words from the book. It is deterministic and streams like a real
provider, so that everything around it is exercised for real.
"""

import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

from litellm.llms.custom_llm import CustomLLM
from litellm.types.utils import (
    Choices,
    Embedding,
    EmbeddingResponse,
    GenericStreamingChunk,
    Message,
    ModelResponse,
    Usage,
)  # fmt: skip

DIMENSION = 512  # of the hashing embedder
REPLY_QUOTES = 3
_WORD = re.compile(r"[a-z][a-z']+")
_PIECE = re.compile(r"\s*\S+")
_STOP = frozenset(
    [
        "a",
        "an",
        "and",
        "are",
        "as",
        "at",
        "be",
        "but",
        "by",
        "do",
        "does",
        "for",
        "from",
        "had",
        "has",
        "have",
        "he",
        "her",
        "him",
        "his",
        "how",
        "i",
        "if",
        "in",
        "is",
        "it",
        "its",
        "me",
        "my",
        "no",
        "not",
        "of",
        "on",
        "or",
        "our",
        "she",
        "so",
        "that",
        "the",
        "their",
        "them",
        "they",
        "this",
        "to",
        "was",
        "we",
        "were",
        "what",
        "when",
        "which",
        "who",
        "whom",
        "why",
        "will",
        "with",
        "would",
        "you",
        "your",
        "yes",
        "did",
        "am",
        "been",
        "can",
        "could",
        "shall",
        "should",
        "about",
        "think",
        "tell",
        "feel",
    ]
)

Facts = dict[str, Any]


class OfflineProvider(CustomLLM):  # type: ignore[misc]
    """LiteLLM's way to a provider that lives in this process."""

    def completion(self, *args: Any, **kwargs: Any) -> ModelResponse:
        """Answer at once."""
        text = answer(_facts(kwargs), kwargs["messages"])
        response: ModelResponse = kwargs["model_response"]
        message = Message(content=text, role="assistant")
        response.choices = [Choices(finish_reason="stop", index=0, message=message)]
        response.model = kwargs["model"]
        counts = len(str(kwargs["messages"]).split()), len(text.split())
        usage = Usage(
            prompt_tokens=counts[0], completion_tokens=counts[1], total_tokens=sum(counts)
        )
        response.usage = usage
        return response

    def streaming(self, *args: Any, **kwargs: Any) -> Iterator[GenericStreamingChunk]:
        """Answer word by word."""
        for piece in _PIECE.findall(answer(_facts(kwargs), kwargs["messages"])):
            yield _chunk(piece)
        yield _chunk("", last=True)

    def embedding(self, *args: Any, **kwargs: Any) -> EmbeddingResponse:
        """Hash the words of each text into a vector."""
        response: EmbeddingResponse = kwargs["model_response"]
        response.data = [
            Embedding(embedding=hashed(text), index=place, object="embedding")
            for place, text in enumerate(kwargs["input"])
        ]
        return response


def _facts(kwargs: dict[str, Any]) -> Facts:
    given = kwargs.get("optional_params") or {}
    facts: Facts = given.get("facts") or {}
    return facts


def _chunk(text: str, *, last: bool = False) -> GenericStreamingChunk:
    return {
        "text": text,
        "is_finished": last,
        "finish_reason": "stop" if last else "",
        "usage": None,
        "index": 0,
        "tool_use": None,
    }


def answer(facts: Facts, messages: list[dict[str, Any]]) -> str:
    """Return the answer to a task of ours, or, to anything else, what was asked."""
    tasks = {
        "character_analysis": _analysis,
        "system_prompt": _system_prompt,
        "query_rewrite": _rewrite,
        "character_reply": _reply,
    }
    task = tasks.get(str(facts.get("task")))
    return task(facts) if task else f"(offline) {messages[-1].get('content', '')}"


def _analysis(facts: Facts) -> str:
    who: Facts = facts["facts"]
    name, others = who["name"], [one["name"] for one in who["relations"][:5]]
    spoken, mentions = who["quote_count"], who["mentions"]
    words = Counter(word for quote in who["quotes"] for word in _words(quote))
    favourite = [word for word, _ in words.most_common(6)]
    length = sum(len(quote.split()) for quote in who["quotes"]) / max(1, len(who["quotes"]))
    manner = "at length" if length > 30 else "in measured sentences" if length > 14 else "briefly"
    summary = f"{name} is mentioned {mentions} times and speaks {spoken} times in this book."
    if others:
        summary += f" Closest to {name} are {_list(others[:3])}."
    return json.dumps(
        {
            "summary": summary,
            "personality_traits": who["described_as"][:8],
            "speech_style": f"Speaks {manner}; often of {_list(favourite[:4]) or 'little'}.",
            "motivations": [f"is seen to {verb}" for verb in who["does"][:4]],
            "relationships": [
                f"{one['name']}" + (f" ({', '.join(one['kin'])})" if one["kin"] else "")
                for one in who["relations"][:6]
            ],
            "themes": favourite,
            "signature_phrases": sorted(who["quotes"], key=len)[:3],
        }
    )


def _system_prompt(facts: Facts) -> str:
    who, found = facts["facts"], facts["analysis"]
    lines = [
        f"You are {who['name']}. {found['summary']}",
        f"Traits: {_list(found['personality_traits'])}." if found["personality_traits"] else "",
        found["speech_style"],
        f"You know {_list(found['relationships'][:5])}." if found["relationships"] else "",
        "Your own words:",
        *(f"- {quote}" for quote in who["quotes"][:8]),
        "You know nothing beyond your book.",
    ]
    return "\n".join(line for line in lines if line)


def _rewrite(facts: Facts) -> str:
    message = str(facts["message"])
    words = list(dict.fromkeys(_words(message)))
    names = [facts["name"], *facts.get("aliases", [])[:2]]
    return json.dumps(
        {"narrative": f"{facts['name']}: {message}", "keywords": " ".join([*words, *names])}
    )


def _reply(facts: Facts) -> str:
    """Stitch together the character's own sentences that bear on the message most."""
    asked = set(_words(str(facts["message"])))
    near = [quote for one in facts["passages"] for quote in one["quotes_by_character"]]
    quotes = list(dict.fromkeys([*near, *facts["quotes"]]))
    if not quotes:
        return "I have nothing to say that my book does not say for me."
    found = [
        (len(asked & set(_words(quote))) + (0.5 if quote in near else 0.0), -place, quote)
        for place, quote in enumerate(quotes)
    ]
    best = sorted(found, reverse=True)[:REPLY_QUOTES]
    return " ".join(_bare(quote) for _, _, quote in sorted(best, key=lambda one: -one[1]))


def _bare(quote: str) -> str:
    text = quote.strip(" \"'“”‘’«»—-_")  # noqa: RUF001 — quotation marks of all kinds
    text = re.sub(r",$", ".", text)
    return text if text.endswith((".", "!", "?")) else f"{text}."


def _words(text: str) -> list[str]:
    return [word for word in _WORD.findall(text.lower()) if word not in _STOP]


def _list(words: list[str]) -> str:
    return ", ".join(words[:-1]) + f" and {words[-1]}" if len(words) > 1 else "".join(words)


def hashed(text: str) -> list[float]:
    """Return a vector `(512,)`, unit length: signed hashes of words, word pairs and stems.

    Source: Weinberger et al., "Feature Hashing for Large Scale Multitask Learning", ICML 2009.
    """
    words = _words(text)
    features = Counter([*words, *map(" ".join, pairwise(words))])
    features.update(f"^{word[:4]}" for word in words if len(word) > 4)
    vector = [0.0] * DIMENSION
    for feature, count in features.items():
        digest = hashlib.blake2b(feature.encode(), digest_size=8).digest()
        sign = 1.0 if digest[7] & 1 else -1.0
        vector[int.from_bytes(digest[:4], "big") % DIMENSION] += sign * (1.0 + count) ** 0.5
    length = sum(value * value for value in vector) ** 0.5 or 1.0
    return [value / length for value in vector]
