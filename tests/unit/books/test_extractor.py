import pytest

from models.reading import CastList, ChapterReading, ChapterScan, Reading
from models.text import find_chapters, normalise
from tasks.adapters.extractors.builtin import BuiltinExtractor
from tasks.adapters.extractors.quotes import find_spans, quote_style

from .novels import called, quote_with, read_novel, speaker_of, text_of

STORY = """CHAPTER I

Mary Brown met Mr. Smith in the garden. Mary smiled. Mr. Smith bowed and took off his hat.

"Good morning, Mr. Smith," said Mary. "Have you seen my brother Tom?"

"I have not," he answered.

"Then I must look for him," she said.

Mr. Smith laughed. Mary opened the gate and walked to London with her sister Anne Brown.

"Where is Tom?" asked Mr. Smith.

"I am here!" cried Tom.
"""


def read(text: str) -> Reading:
    return BuiltinExtractor().read(normalise(text))


def test_a_small_story_is_read() -> None:
    reading = read(STORY)
    mary, smith = called(reading, "Mary"), called(reading, "Mr. Smith")
    assert (mary.gender, smith.gender) == ("she", "he")
    assert speaker_of(reading, "Good morning") == mary.name
    assert speaker_of(reading, "I have not") == smith.name
    assert speaker_of(reading, "Then I must") == mary.name
    assert quote_with(reading, "Good morning").type == "explicit"
    assert quote_with(reading, "Good morning").cue == "said"
    assert quote_with(reading, "Good morning").addressees == [smith.id]
    assert quote_with(reading, "I have not").type == "anaphoric"
    assert "London" not in [c.name for c in reading.characters]
    assert "opened" in [ref.word for ref in mary.actions.agent]
    assert "hat" in [ref.word for ref in smith.actions.poss]


def test_offsets_point_into_the_text() -> None:
    text, reading = text_of("DaisyMiller"), read_novel("DaisyMiller")
    assert all(text[q.start : q.end] == q.text for q in reading.quotes)
    names = {c.id: c.aliases for c in reading.characters}
    for mention in reading.mentions:
        words = text[mention.start : mention.end]
        if mention.kind == "name":
            assert words.split()[-1].rstrip(".") in " ".join(names[mention.character])
    for character in reading.characters:
        for ref in character.actions.agent:
            assert text[ref.start :].lower().startswith(ref.word)


def test_totals_agree_with_the_lists() -> None:
    reading = read_novel("DaisyMiller")
    for character in reading.characters:
        mine = [q for q in reading.quotes if q.speaker == character.id]
        assert character.quotes == len(mine)
        assert character.words_spoken == sum(len(q.text.split()) for q in mine)
        named = [m for m in reading.mentions if m.character == character.id]
        assert character.mentions + character.pronoun_mentions == len(named)
    assert reading.characters[0].importance == 1.0
    assert all(0 <= q.confidence <= 1 and len(q.candidates) <= 3 for q in reading.quotes)


def test_relations_name_who_belongs_together() -> None:
    reading = read_novel("PrideAndPrejudice")
    heroine = called(reading, "Elizabeth").id
    closest = [tie for tie in reading.relations if heroine in (tie.a, tie.b)][:2]
    others = {tie.a + tie.b - heroine for tie in closest}
    assert others == {called(reading, "Mr. Darcy").id, called(reading, "Jane").id}
    assert all(tie.turns > 50 for tie in closest)
    assert all(len(tie.chapters) > 10 for tie in closest)
    assert all(tie.chapters == sorted(set(tie.chapters)) for tie in reading.relations)
    assert {chapter for tie in closest for chapter in tie.chapters} <= set(range(61))


def test_two_who_talk_are_told_apart_however_long_it_goes_on() -> None:
    turns = "\n\n".join(f'"And what of number {n}?"' for n in range(30))
    opening = '"Shall we count?" said Ann.\n\n"Let us," said Ben.\n\n'
    reading = read(f"CHAPTER I\n\nAnn met Ben in the hall. Ann and Ben sat.\n\n{opening}{turns}\n")
    ann, ben = called(reading, "Ann").id, called(reading, "Ben").id
    assert [quote.speaker for quote in reading.quotes][-4:] == [ann, ben] * 2


def test_chapters_read_one_by_one_and_stored_between_give_the_same() -> None:
    text, extractor = text_of("DaisyMiller"), BuiltinExtractor()
    chapters = find_chapters(text)
    scans = [extractor.scan(text, c).model_dump_json() for c in chapters]
    cast = extractor.cast([ChapterScan.model_validate_json(s) for s in scans]).model_dump_json()
    known = CastList.model_validate_json(cast)
    done = [extractor.extract(text, c, known).model_dump_json() for c in reversed(chapters)]
    readings = [ChapterReading.model_validate_json(r) for r in done]
    whole = BuiltinExtractor().finish(text, chapters, known, readings)
    assert whole == read_novel("DaisyMiller")


def test_a_reading_survives_json_and_stays_small() -> None:
    reading = read_novel("PrideAndPrejudice")
    data = reading.model_dump_json()
    assert Reading.model_validate_json(data) == reading
    assert len(data) < 3_000_000


def test_a_text_without_people_has_an_empty_cast() -> None:
    reading = read("The rain fell on the roofs of the town. It did not stop.\n")
    assert reading.characters == []
    assert reading.quotes == []


def test_who_claims_a_name_is_joined_with_it() -> None:
    story = (
        '"I am Jack Harper," said the Captain. Jack Harper smiled. Mary Brown bowed.\n\n'
        '"Sit down," said the Captain. The crew obeyed the Captain at once.\n\n'
        '"Thank you," said Mary. She looked at the Captain, and the Captain laughed.\n\n'
    )
    reading = read(story * 4)
    assert called(reading, "Captain") == called(reading, "Jack Harper")
    assert called(reading, "Captain") != called(reading, "Mary")


def test_his_wife_is_the_lady_of_that_surname() -> None:
    story = (
        "Mr. Dale came in. Mrs. Dale sat by the fire with Miss Crane.\n\n"
        '"You are late, Mr. Dale," said his wife.\n\n'
        "Mr. Dale sat down next to Miss Crane. Mrs. Dale sighed.\n\n"
    )
    assert speaker_of(read(story), "You are late") == "Mrs. Dale"


def test_somebody_known_by_what_they_are_is_a_character() -> None:
    story = 'The mariner sat down. "Well," said the mariner. Anne Grey looked at the mariner.\n\n'
    reading = read(story * 4)
    mariner = called(reading, "the mariner")
    assert mariner.gender == "he"
    assert speaker_of(reading, "Well") == "the mariner"


def test_places_peoples_and_days_are_no_persons() -> None:
    story = "Anne Grey left London on Monday with an Englishman. Anne saw Hyde Park in May.\n\n"
    assert [c.name for c in read(story * 5).characters] == ["Anne Grey"]


def test_an_unnamed_narrator_is_a_character() -> None:
    reading = read("I walked to the sea. I sat down, and I thought of what I had lost. " * 20)
    assert [(c.id, c.name, c.is_narrator) for c in reading.characters] == [(0, "Narrator", True)]


@pytest.mark.parametrize(
    ("style", "text", "speech"),
    [
        ("double", 'He rose. "Go," said Tom, "at once!"', ['"Go,"', '"at once!"']),
        ("double", "\u201cGo,\u201d said Tom.", ["\u201cGo,\u201d"]),
        ("double", "\u201cIt goes on\n\u201cand on", ["\u201cIt goes on\n", "\u201cand on"]),
        ("double", 'They stayed at the "Blue Lion" for a week.', []),
        ("double", 'He was what is called "a masher" by them.', []),
        ("double", 'The sign said "Stop" to him.', ['"Stop"']),
        ("single", "'It's Tom's,' said Ann. 'Don't!'", ["'It's Tom's,'", "'Don't!'"]),
        ("single", "\u2018I\u2019ll go,\u2019 said he.", ["\u2018I\u2019ll go,\u2019"]),
        ("dash", "--Yes, said Stephen. I know.", ["--Yes,", "I know."]),
        ("dash", "\u2014 What is your name?", ["\u2014 What is your name?"]),
        ("dash", "Stephen walked on.", []),
    ],
)
def test_direct_speech_is_found(style: str, text: str, speech: list[str]) -> None:
    spans = find_spans(text, 0, len(text), style)  # type: ignore[arg-type]
    assert [text[s.start : s.end].strip() for s in spans] == [s.strip() for s in speech]


@pytest.mark.parametrize(
    ("text", "style"),
    [
        ('"Yes," he said.\n\n"No," she said.\n', "double"),
        ("'Yes,' he said. 'It's so.'\n\n'No,' she said.\n", "single"),
        ("\u2014Yes.\n\n\u2014No.\n\n" * 4, "dash"),
        ("Nobody spoke.\n", "none"),
    ],
)
def test_the_style_of_quotation_is_told(text: str, style: str) -> None:
    assert quote_style(text) == style
