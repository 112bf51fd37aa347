"""For what answers: models of language, embeddings."""

import math

from pydantic import BaseModel

from tasks.tools import LLM, Embedder, Message, Structured
from tests.suites.search import TEXTS

ASKED = [Message(role="user", content="What is universally acknowledged?")]


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
