"""The offline model: deterministic, from the facts it is given, and nothing else."""

import json
import os
import subprocess
import sys

import pytest
from pydantic import BaseModel

from pipelines.books.personas import CharacterAnalysis
from tasks.adapters.embeddings import LiteLLMEmbedder
from tasks.adapters.llm import LiteLLM
from tasks.adapters.offline.answers import answer
from tasks.adapters.offline.hashing import DIMENSION, hashed
from tasks.adapters.offline.reply import bm25, reply
from tasks.adapters.offline.words import sentences, stem
from tasks.tools import Message
from tests.suites.models import EmbedderSuite, LLMSuite, StructuredSuite

QUOTES = [
    "I could easily forgive his pride, if he had not mortified mine.",
    "My courage always rises with every attempt to intimidate me.",
    "“You could not have made me the offer of your hand in any way that would have tempted me,”",
]
ELIZABETH: dict[str, object] = {
    "name": "Elizabeth Bennet",
    "aliases": ["Lizzy", "Eliza"],
    "mentions": 1200,
    "quote_count": 500,
    "first_chapter": 0,
    "last_chapter": 60,
    "does": ["walk", "laugh"],
    "has": ["eyes"],
    "described_as": ["lively", "playful"],
    "relations": [{"name": "Darcy", "kin": []}, {"name": "Jane", "kin": ["sister"]}],
    "quotes": QUOTES,
}
ASKED = [Message(role="user", content="Who are you?")]


class TestOfflineModel(LLMSuite, StructuredSuite):
    @pytest.fixture
    def llm(self) -> LiteLLM:
        return LiteLLM()

    @pytest.fixture
    def forms(self) -> LiteLLM:
        return LiteLLM()


class TestOfflineEmbedder(EmbedderSuite):
    @pytest.fixture
    def embedder(self) -> LiteLLMEmbedder:
        return LiteLLMEmbedder()


def say(message: str, passages: list[dict[str, object]] | None = None) -> str:
    told = {"message": message, "quotes": QUOTES, "passages": passages or []}
    return reply({"task": "character_reply", "name": "Elizabeth Bennet", **told})


def test_its_answers_say_that_they_are_offline() -> None:
    answer = LiteLLM().complete(ASKED, purpose="chat")
    assert answer.offline
    assert answer.model == "offline/own-words"
    assert answer.tokens_in > 0
    assert answer.tokens_out > 0


def test_an_analysis_is_made_of_the_extracted_facts() -> None:
    extra: dict[str, object] = {"task": "character_analysis", "facts": ELIZABETH}
    found = LiteLLM().fill(CharacterAnalysis, ASKED, purpose="analysis", extra=extra)
    assert found.summary.startswith("Elizabeth Bennet is mentioned 1200 times")
    assert "from chapter 1 to chapter 61" in found.summary
    assert found.personality_traits == ["lively", "playful"]
    assert found.relationships == ["Darcy", "Jane (sister)"]
    assert QUOTES[1] in found.signature_phrases


def test_an_analysis_of_somebody_unknown_is_honest() -> None:
    extra: dict[str, object] = {"task": "character_analysis", "facts": {"name": "Nobody"}}
    found = LiteLLM().fill(CharacterAnalysis, ASKED, purpose="analysis", extra=extra)
    assert found.speech_style == "Is never heard in their own words."
    assert found.personality_traits == []


def test_a_persona_speaks_for_the_character_and_quotes_them() -> None:
    extra: dict[str, object] = {"task": "system_prompt", "facts": ELIZABETH}
    prompt = LiteLLM().complete(ASKED, purpose="analysis", extra=extra).text
    assert prompt.startswith("You are Elizabeth Bennet. You are also called Lizzy and Eliza.")
    assert QUOTES[0] in prompt


def test_a_message_is_rewritten_for_both_searches() -> None:
    extra = {"task": "query_rewrite", "message": "Do you forgive Darcy?", "name": "Elizabeth"}
    queries = json.loads(answer(extra, []))
    assert queries["narrative"] == "Elizabeth: Do you forgive Darcy?"
    assert queries["keywords"] == "forgive darcy Elizabeth"


@pytest.mark.parametrize(
    ("message", "words"),
    [
        ("Are you ever intimidated?", "My courage always rises"),
        ("Would you have taken his hand?", "offer of your hand"),
        ("Was he too proud? Can you forgive him?", "forgive his pride"),
    ],
)
def test_a_character_answers_with_the_words_that_fit(message: str, words: str) -> None:
    assert words in say(message)


def test_a_character_says_so_when_nothing_fits() -> None:
    said = say("What is quantum chromodynamics?")
    assert said.startswith("Of that I never spoke.")
    assert QUOTES[0] in said


def test_words_from_a_passage_that_was_found_come_before_others() -> None:
    twins = ["The rain is cold today.", "The rain is warm today."]
    passages = [{"id": "p", "text": "…", "quotes_by_character": [twins[1]]}]
    said = reply({"message": "How is the rain?", "quotes": twins, "passages": passages})
    assert said.startswith(twins[1])


def test_a_quotation_is_told_as_a_sentence() -> None:
    assert say("Your hand!").endswith("that would have tempted me.")


def test_of_a_long_quotation_the_best_part_is_told() -> None:
    long = "One. Two. Three. Mr. Darcy danced four dances. Five. Six. Seven."
    said = reply({"message": "How often did Darcy dance?", "quotes": [long]})
    assert said == "Three. Mr. Darcy danced four dances. Five."


def test_a_character_without_words_is_silent() -> None:
    assert "silent" in reply({"message": "Hello?", "quotes": [], "passages": []})


def test_what_is_no_task_is_answered_plainly() -> None:
    said = LiteLLM().complete(ASKED, purpose="plan").text
    assert said == "No model is configured, so there is no answer to this: Who are you?"


class Odd(BaseModel):
    count: int
    share: float
    sure: bool
    maybe: str | None
    parts: list[str]
    inner: CharacterAnalysis
    by_name: dict[str, int]


def test_any_form_can_be_filled_in() -> None:
    filled = LiteLLM().fill(Odd, ASKED, purpose="analysis")
    assert (filled.count, filled.sure, filled.maybe, filled.parts) == (0, False, None, [])


def test_a_stream_is_the_whole_answer_in_pieces() -> None:
    extra: dict[str, object] = {"task": "character_reply", "message": "Hand", "quotes": QUOTES}
    llm = LiteLLM()
    whole = llm.complete(ASKED, purpose="chat", extra=extra).text
    pieces = [piece for piece in llm.stream(ASKED, purpose="chat", extra=extra) if piece]
    assert "".join(pieces) == whole
    assert len(pieces) == len(whole.split())


def test_texts_about_the_same_are_near_each_other() -> None:
    def near(one: str, other: str) -> float:
        return sum(a * b for a, b in zip(hashed(one), hashed(other), strict=True))

    letter = "Darcy handed her the letter"
    assert near(letter, "the letters that Darcy wrote") > 0.3
    assert near(letter, "officers in Brighton") < 0.2


def test_vectors_are_the_same_in_every_process() -> None:
    code = "from tasks.adapters.offline.hashing import hashed; print(hashed('A letter.')[:64])"
    here = str(hashed("A letter.")[:64])
    for seed in ("0", "1"):
        told = subprocess.run(
            [sys.executable, "-c", code],
            env=os.environ | {"PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        )
        assert told.stdout.strip() == here


@pytest.mark.parametrize("text", ["", "?!", "the of and", "北京", "a" * 10_000])
def test_any_text_has_a_vector(text: str) -> None:
    assert len(hashed(text)) == DIMENSION


@pytest.mark.parametrize(
    "words", [("marry", "married", "marries", "marrying"), ("love", "loved", "loves"), ("bless",)]
)
def test_forms_of_a_word_have_one_stem(words: tuple[str, ...]) -> None:
    assert len({stem(word) for word in words}) == 1


def test_a_title_ends_no_sentence() -> None:
    assert sentences("Mr. Darcy came. He left!") == ["Mr. Darcy came.", "He left!"]


def test_rare_words_weigh_more() -> None:
    scores = bm25([stem("letter"), stem("Brighton".lower())], ["letter", "letter", "brighton"])
    assert scores[2] > scores[0]
    assert bm25(["x"], [""]) == [0.0]
