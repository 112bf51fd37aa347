import itertools

from models.text import find_chapters, normalise

PARAGRAPH = "It was a quiet morning and nobody came. " * 12 + "\n\n"
BODY = PARAGRAPH * 3


def titles(text: str) -> list[str]:
    return [chapter.title for chapter in find_chapters(text)]


def test_line_ends_marks_and_hidden_characters_are_normalised() -> None:
    raw = "\ufeffOne\r\ntwo\rthree\u200b\x00 four\xa0five\n\n\n"
    assert normalise(raw) == "One\ntwo\nthree four five\n"


def test_letters_are_composed() -> None:
    assert normalise("cafe\u0301") == "caf\u00e9\n"


def test_the_licence_around_a_book_is_cut() -> None:
    raw = (
        "The Project Gutenberg EBook of X\n\n*** START OF THIS PROJECT GUTENBERG EBOOK X ***\n\n"
        "Produced by Somebody\nand others\n\nCHAPTER I\n\n" + BODY + "The end.\n\n"
        "*** END OF THIS PROJECT GUTENBERG EBOOK X ***\n\nLicence " * 3
    )
    text = normalise(raw)
    assert text.startswith("CHAPTER I")
    assert text.endswith("The end.\n")


def test_a_book_without_a_licence_keeps_its_last_words() -> None:
    assert normalise(BODY + "End of Project Apollo.\n").endswith("End of Project Apollo.\n")


def test_chapters_cover_the_text_from_the_first_heading_on() -> None:
    text = f"A NOVEL\n\nby Nobody\n\nCHAPTER I.\n\n{BODY}CHAPTER II. The Return\n\n{BODY}"
    chapters = find_chapters(text)
    assert [c.title for c in chapters] == ["CHAPTER I", "CHAPTER II. The Return"]
    assert [c.index for c in chapters] == [0, 1]
    assert chapters[0].end == chapters[1].start
    assert chapters[-1].end == len(text)
    assert text[chapters[1].start :].startswith("CHAPTER II")
    assert text[chapters[1].body :].lstrip().startswith("It was")


def test_a_line_below_a_heading_is_the_name_of_the_chapter() -> None:
    text = f"Chapter 1\nThe Science of Deduction\n\n{BODY}Chapter 2\n\nIN THE FOG\n\n{BODY}"
    assert titles(text) == ["Chapter 1: The Science of Deduction", "Chapter 2: IN THE FOG"]


def test_speech_below_a_heading_is_not_its_name() -> None:
    text = f'CHAPTER I\n\n"Come here," he said.\n\n{BODY}CHAPTER II\n\n{BODY}'
    assert titles(text) == ["CHAPTER I", "CHAPTER II"]


def test_a_table_of_contents_makes_no_chapters() -> None:
    text = f"CONTENTS\n\nChapter I\n\nChapter II\n\n\nChapter I\n\n{BODY}Chapter II\n\n{BODY}"
    chapters = find_chapters(text)
    assert [c.title for c in chapters] == ["Chapter I", "Chapter II"]
    assert chapters[0].end - chapters[0].start > len(BODY)


def test_a_volume_is_joined_with_its_first_chapter() -> None:
    text = f"VOLUME I\n\nCHAPTER I\n\n{BODY}CHAPTER II\n\n{BODY}VOLUME II\n\nCHAPTER I\n\n{BODY}"
    assert titles(text) == ["VOLUME I, CHAPTER I", "CHAPTER II", "VOLUME II, CHAPTER I"]


def test_numbers_that_count_up_are_headings() -> None:
    text = f"I\n\n{BODY}II\n\n{BODY}III. The Storm\n\n{BODY}"
    assert titles(text) == ["I", "II", "III. The Storm"]


def test_a_sentence_that_begins_like_a_heading_is_none() -> None:
    text = f"Chapter one\n\n{BODY}Part of me wondered.\n\n{BODY}Chapter two\n\n{BODY}"
    assert titles(text) == ["Chapter one", "Chapter two"]


def test_prologue_and_epilogue_are_chapters() -> None:
    text = f"PROLOGUE\n\n{BODY}CHAPTER 1\n\n{BODY}EPILOGUE\n\n{BODY}"
    assert titles(text) == ["PROLOGUE", "CHAPTER 1", "EPILOGUE"]


def test_a_long_text_before_the_first_heading_is_kept() -> None:
    text = f"{BODY * 4}CHAPTER I\n\n{BODY}"
    assert titles(text) == ["Opening 1", "CHAPTER I"]


def test_a_text_without_headings_is_divided_at_paragraphs() -> None:
    text = PARAGRAPH * 200
    chapters = find_chapters(text)
    assert len(chapters) > 2
    assert chapters[0].start == 0
    assert chapters[-1].end == len(text)
    assert all(a.end == b.start for a, b in itertools.pairwise(chapters))
    assert all(text[c.end : c.end + 2] == "\n\n" for c in chapters[:-1])


def test_a_short_text_is_one_chapter() -> None:
    assert titles("Once upon a time.\n") == ["Part 1"]


MARKDOWN = """---
title: Storm
---
# The Storm

## One: Morning

*Anna* came in. "I am **very** glad," said [Anna](http://example.org/anna).

> "So am I," said Tom\\.

***

## Two

She sat by the _window_.
"""


def test_headings_of_markdown_are_chapters() -> None:
    text = normalise(MARKDOWN)
    assert [c.title for c in find_chapters(text)] == ["The Storm, One: Morning", "Two"]


def test_other_marks_of_markdown_are_taken_away() -> None:
    text = normalise(MARKDOWN)
    assert 'Anna came in. "I am very glad," said Anna.' in text
    assert '\n"So am I," said Tom.\n' in text
    assert "She sat by the window." in text
    assert "***" not in text


def test_plain_text_keeps_its_marks() -> None:
    plain = "CHAPTER I\n\nHe said _no_.\n\n* * *\n\nThe end * of it *.\n"
    assert normalise(plain) == plain
