import base64
import io
import json
from uuid import UUID, uuid4

import jsonschema
import pytest
from PIL import Image

from api.books.portraits import initials, portrait
from models.books.library import Book, Character
from pipelines.books.backups import back_up_personas
from pipelines.books.cards import Card, NoPersona, card
from pipelines.books.evidence import sentence_at
from pipelines.books.personas import CharacterAnalysis, Persona, profiles
from pipelines.books.staging import Edition
from tests.fakes import FakeBlobs
from tests.unit.books.novels import read_novel, text_of

NOVEL = "TheSignOfTheFour"
BOOK = Book(
    id=uuid4(), title="The Sign of the Four", author="A. C. Doyle", slug="sign", owner_id=uuid4(),
    index_version=2,
)  # fmt: skip
TEXTS = (
    "name", "description", "personality", "scenario", "first_mes", "mes_example", "creator_notes",
    "system_prompt", "post_history_instructions", "creator", "character_version",
)  # fmt: skip
TEXT, LIST, OBJECT = {"type": "string"}, {"type": "array", "items": {"type": "string"}}, "object"
ENTRY = {
    "type": OBJECT,
    "required": ["keys", "content", "extensions", "enabled", "insertion_order"],
    "properties": {
        "keys": LIST | {"minItems": 1}, "content": TEXT, "extensions": {"type": OBJECT},
        "enabled": {"type": "boolean"}, "insertion_order": {"type": "number"},
        "case_sensitive": {"type": "boolean"}, "name": TEXT, "priority": {"type": "number"},
        "id": {"type": "number"},
    },
}  # fmt: skip
V2 = {  # the specification's TypeScript, as JSON Schema
    "type": OBJECT,
    "required": ["spec", "spec_version", "data"],
    "properties": {
        "spec": {"const": "chara_card_v2"},
        "spec_version": {"const": "2.0"},
        "data": {
            "type": OBJECT,
            "required": [*TEXTS, "alternate_greetings", "tags", "extensions"],
            "properties": {
                **dict.fromkeys(TEXTS, TEXT),
                "alternate_greetings": LIST,
                "tags": LIST,
                "extensions": {"type": OBJECT},
                "character_book": {
                    "type": OBJECT,
                    "required": ["extensions", "entries"],
                    "properties": {"entries": {"type": "array", "items": ENTRY}},
                },
            },
        },
    },
}


def holmes() -> Character:
    profile = next(
        one for one in profiles(read_novel(NOVEL), text_of(NOVEL)) if "Holmes" in one.name
    )
    analysis = CharacterAnalysis(
        summary="A detective.",
        personality_traits=[*profile.described_as[:3], "unfathomable"],
        speech_style="Brisk.",
        signature_phrases=[profile.quotes[3][1:20]],
    )
    return Character(
        id=UUID(int=1), book_id=BOOK.id, name=profile.name, description=analysis.summary,
        aliases=profile.aliases, analysis=analysis.model_dump(),
        profile=profile.model_dump(mode="json"), system_prompt="You are Sherlock Holmes.",
        processing_version="test",
    )  # fmt: skip


def card_of_holmes() -> Card:
    watson = Character(
        id=UUID(int=2),
        book_id=BOOK.id,
        name="Watson",
        aliases=["the doctor"],
        description="Doctor.",
    )
    row = holmes()
    assert row.profile
    watson.name = row.profile["relations"][0]["name"]
    return card(row, BOOK, [watson])


def test_a_card_is_what_the_specification_says() -> None:
    told = json.loads(card_of_holmes().model_dump_json())

    jsonschema.validate(told, V2)
    assert told["data"]["first_mes"]
    assert "<START>\n{{char}}: " in told["data"]["mes_example"]
    assert told["data"]["tags"][:2] == ["The Sign of the Four", "A. C. Doyle"]


def test_every_quotation_of_a_card_stands_where_it_says() -> None:
    text, data = text_of(NOVEL), card_of_holmes().data
    witness = data.extensions["longrun"]
    chapters = read_novel(NOVEL).chapters

    assert len(witness["quotes"]) > 20
    for one in [*witness["quotes"], *witness["phrases"][0]["evidence"]]:
        assert " ".join(text[one["start"] : one["end"]].split()) == one["text"]
        assert chapters[one["chapter"]].start <= one["start"] < chapters[one["chapter"]].end
    said = {one["text"] for one in witness["quotes"]}
    assert {data.first_mes, *data.alternate_greetings} <= said


def test_traits_cite_the_passages_that_say_them_and_nothing_where_none_does() -> None:
    text, witness = text_of(NOVEL), card_of_holmes().data.extensions["longrun"]

    *described, inferred = witness["traits"]

    assert inferred == {"trait": "unfathomable", "evidence": []}
    for trait in described:
        assert trait["evidence"]
        for one in trait["evidence"]:
            passage = " ".join(text[one["start"] : one["end"]].split())
            assert passage == one["text"]
            assert trait["trait"] in passage


def test_relations_become_entries_that_other_names_find_too() -> None:
    entries = card_of_holmes().data.character_book.entries

    assert entries[0].keys == [entries[0].name, "the doctor"]
    assert entries[0].content.endswith("Doctor.")
    assert [one.insertion_order for one in entries] == list(range(len(entries)))
    assert entries[0].priority >= entries[-1].priority


def test_a_character_without_a_persona_has_no_card() -> None:
    row = holmes()
    row.system_prompt = None
    with pytest.raises(NoPersona) as refused:
        card(row, BOOK, [])
    assert (refused.value.status, refused.value.code) == (409, "no_persona")


def test_a_character_of_an_older_reading_has_a_card_without_places() -> None:
    row = holmes()
    assert row.profile
    row.profile = {key: value for key, value in row.profile.items() if key[:6] != "quote_"}
    del row.profile["described_at"]
    row.profile |= {"quote_count": 3, "quotes": []}

    data = card(row, BOOK, []).data

    assert data.extensions["longrun"]["quotes"] == []
    assert data.first_mes == "*{{char}} looks up as {{user}} comes near.*"


@pytest.mark.parametrize("name", ["Sherlock Holmes", "Zoë", "Раскольников", "A" * 90, "the Hatter"])
def test_a_card_is_read_back_from_its_picture(name: str) -> None:
    data = json.dumps({"name": name, "text": "“Good day”"}, ensure_ascii=False).encode()

    picture = portrait(name, "A Book", data)

    with Image.open(io.BytesIO(picture)) as image:
        image.load()
        assert (image.format, image.size) == ("PNG", (512, 768))
        assert base64.b64decode(image.text["chara"]) == data  # type: ignore[attr-defined]
    assert b"tEXtchara\0" in picture
    assert portrait(name, "A Book", data) == picture


def test_initials_are_those_of_the_first_and_last_name() -> None:
    assert [initials(one) for one in ("Mrs. Cecil Forrester", "Holmes", "Éva", "Раскольников")] == [
        "MF",
        "H",
        "E",
        "",
    ]


def test_evidence_is_the_sentence_around_a_place() -> None:
    text = "He came. The tall\nman said: “No.” And left."
    shown = sentence_at(text, read_novel(NOVEL).chapters[:1], text.index("tall"))

    assert shown.text == "The tall man said: “No.”"
    assert text[shown.start : shown.end] == "The tall\nman said: “No.”"


def test_a_persona_is_kept_as_a_file_with_a_safe_name() -> None:
    row, blobs = holmes(), FakeBlobs()
    edition = Edition(book_id=BOOK.id, version=3, file_url=None, file_blob=None)
    persona = Persona(
        name='Mrs. "X": a/b', analysis=CharacterAnalysis.model_validate(row.analysis),
        system_prompt="You are X.\n", model="fake", offline=True,
    )  # fmt: skip

    (kept,) = back_up_personas(edition, [persona], blobs).files

    told = blobs.get(kept.blob.key).decode()
    assert kept.path == f"{BOOK.id}/Mrs_X_a_b.md"
    assert '\nname: "Mrs. \\"X\\": a/b"\n' in told
    assert "\n\nYou are X.\n\n## Analysis\n\n```json\n" in told
    analysis = told.split("```json\n")[1].split("\n```")[0]
    assert CharacterAnalysis.model_validate_json(analysis) == persona.analysis
