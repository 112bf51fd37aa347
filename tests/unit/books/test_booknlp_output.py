import json
from pathlib import Path

import pytest

from models.reading import CastList, CastMember, Reading
from models.text import find_chapters
from tasks.adapters.extractors.booknlp.adapter import assemble
from tasks.adapters.extractors.booknlp.output import Output, Person, parse_booknlp
from tasks.adapters.extractors.booknlp.people import merge_people
from tasks.refusals import BookNLPFailed

from .booknlp_outputs import unpack
from .novels import called, quote_with, speaker_of

VERSION = "booknlp-test"


@pytest.fixture(scope="module")
def emma(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Output]:
    folder = unpack("emma", tmp_path_factory.mktemp("emma"))
    return (folder / "emma.txt").read_text("utf-8"), parse_booknlp(folder)


@pytest.fixture(scope="module")
def reading(emma: tuple[str, Output]) -> Reading:
    text, output = emma
    return assemble(text, find_chapters(text), output, VERSION)


def test_every_list_of_the_files_is_read(emma: tuple[str, Output]) -> None:
    text, output = emma
    assert len(output.people) == 989
    assert (len(output.tokens), output.tokens[4].word) == (5960, "Emma")
    assert all(text[t.start : t.end] == t.word for t in output.tokens[:2000])
    heroine = output.people[0]
    assert (heroine.proper["Emma"], heroine.pronouns["she"]) == (799, 0.83)
    assert output.people[-1].pronouns == {} or output.people[-1].pronouns.keys() >= {"he", "she"}
    for entity in output.entities:
        words = [t.word for t in output.tokens[entity.first : entity.last + 1]]
        assert " ".join(words) == entity.text


def test_a_word_that_bookNLP_lists_twice_counts_once(emma: tuple[str, Output]) -> None:
    for person in emma[1].people:
        for refs in person.lists.values():
            places = [place for _, place in refs]
            assert places == sorted(set(places))


def test_an_output_without_anybody_is_read(tmp_path: Path) -> None:
    folder = unpack("mock", tmp_path)
    output = parse_booknlp(folder)
    text = (folder / "t.txt").read_text("utf-8")
    told = assemble(text, find_chapters(text), output, VERSION)
    assert output.people == []
    assert len(output.speeches) == len(told.quotes) == 24
    assert told.characters == []


def columns(folder: Path, name: str, header: str, *rows: str) -> None:
    (folder / f"b.{name}").write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """An output as other versions write it: fewer columns, in another order."""
    columns(
        tmp_path, "tokens", "word\tparagraph_ID\tbyte_onset\tbyte_offset\tPOS_tag",
        'a\u2028"\t0\t0\t3\tNOUN', "b\t0\t4\t5\tVERB\tEVENT",
    )  # fmt: skip
    columns(tmp_path, "entities", "COREF\tstart_token\tend_token\tprop\tcat\ttext")
    columns(
        tmp_path, "quotes",
        "quote_start\tquote_end\tmention_start\tmention_end\tmention_phrase\tchar_id\tquote",
        "0\t1\tNone\tNone\tNone\tNone\tx",
    )  # fmt: skip
    (tmp_path / "b.book").write_text('{"characters": []}')
    return tmp_path


def test_columns_are_found_by_their_names(small: Path) -> None:
    output = parse_booknlp(small)
    seen = [(token.word, token.end, token.pos) for token in output.tokens]
    assert seen == [('a\u2028"', 3, "NOUN"), ("b", 5, "VERB")]
    assert (output.speeches[0].mention, output.speeches[0].cluster) == (None, None)


def test_a_missing_or_broken_file_is_named(small: Path) -> None:
    columns(small, "entities", "COREF\tstart_token", "x\t1")
    with pytest.raises(BookNLPFailed, match="cannot be read"):
        parse_booknlp(small)
    (small / "b.book").unlink()
    with pytest.raises(BookNLPFailed, match="not written"):
        parse_booknlp(small)


def test_989_clusters_become_the_few_people_of_two_chapters(reading: Reading) -> None:
    seen = [c for c in reading.characters if c.mentions]
    assert len(seen) < 25
    heroine = called(reading, "Emma")
    assert heroine.id == called(reading, "Miss Woodhouse").id
    assert (heroine.gender, called(reading, "Mr. Knightley").gender) == ("she", "he")
    assert reading.book.backend == "booknlp"
    assert reading.book.version == VERSION


def test_offsets_point_into_the_text(reading: Reading, emma: tuple[str, Output]) -> None:
    text = emma[0]
    assert all(text[q.start : q.end] == q.text for q in reading.quotes)
    for character in reading.characters:
        for ref in character.actions.agent:
            assert text[ref.start :].lower().startswith(ref.word)
    assert "liked" in [ref.word for ref in called(reading, "Emma").actions.agent]


def test_speakers_and_their_kind_are_bookNLPs(reading: Reading) -> None:
    said = quote_with(reading, "Poor Miss Taylor")
    assert (said.speaker, said.speaker_name, said.confidence) == (None, None, 0)  # an unnamed "he"
    kind = quote_with(reading, "It is very kind of you")
    assert (kind.type, speaker_of(reading, "It is very kind of you")) == (
        "explicit",
        "Mr. Woodhouse",
    )
    assert {q.type for q in reading.quotes} == {"explicit", "anaphoric", "implicit"}


def person(id: int, mentions: int = 20, **told: object) -> Person:
    empty: dict[str, object] = {"pronouns": {}, "proper": {}, "common": {}, "lists": {}}
    return Person(id=id, mentions=mentions, **(empty | told))  # type: ignore[arg-type]


def known(*members: CastMember, **told: object) -> CastList:
    plain: dict[str, object] = {
        "surfaces": {n.lower(): m.id for m in members for n in m.aliases}, "blocked": ["paris"],
        "ambiguous": [], "narration": "first", "quote_style": "double",
    }  # fmt: skip
    return CastList.model_validate({"members": [m.model_dump() for m in members], **(plain | told)})


def member(id: int, name: str, **told: object) -> CastMember:
    plain = {"id": id, "name": name, "aliases": {name: 9}, "gender": "unknown", "pronouns": {}}
    return CastMember.model_validate(plain | told)


def test_clusters_are_merged_by_names_and_strangers_kept_if_often_named() -> None:
    he = {"he": 0.9, "she": 0.1}
    people = [
        person(0, common={"I": 3}),
        person(5, proper={"dear Ann": 4}),
        person(6, proper={"Ann": 2, "Mrs. Nobody": 1}),
        person(7, proper={"Bob": 12}, pronouns=he),
        person(8, proper={"Bob": 3}),
        person(9, proper={"Paris": 30}, pronouns=he),
        person(10, proper={"Rare": 3}, pronouns=he),
        person(11, proper={"Hall": 30}),
        person(12, common={"a boy": 40}),
    ]
    me = member(0, "Narrator", is_narrator=True, aliases={})
    cast, member_of = merge_people(
        Output([], [], [], people), known(me, member(1, "Ann"), member(2, "Unseen"))
    )
    assert member_of == {0: 0, 5: 1, 6: 1, 7: 3, 8: 3}
    assert [(m.name, m.gender) for m in cast.members] == [
        ("Narrator", "unknown"), ("Ann", "unknown"), ("Bob", "he"),
    ]  # fmt: skip
    assert cast.surfaces == {"ann": 1}


def test_the_form_is_that_of_every_extractor(reading: Reading) -> None:
    again = Reading.model_validate_json(reading.model_dump_json())
    assert again == reading
    assert json.loads(reading.model_dump_json())["book"]["tokens"] > 5_000
    assert reading.relations[0].turns + reading.relations[0].co_paragraph > 5
