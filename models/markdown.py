"""Markdown as authors use it for novels: headings are kept, the other marks are taken away."""

import re
from typing import NamedTuple

_HEADING = re.compile(r"^ {0,3}(?P<marks>#{1,6})[ \t]+(?P<title>\S[^\n]*?)[ \t#]*$", re.MULTILINE)
_FRONT_MATTER = re.compile(r"\A\s*---[ \t]*\n(?:[\w-]+:[^\n]*\n|[ \t-][^\n]*\n)*---[ \t]*\n")
_MARKS = (
    (re.compile(r"!\[[^\]\n]*\]\([^)\n]*\)"), ""),  # a picture
    (re.compile(r"\[(?P<kept>[^\]\n]+)\]\([^)\n]*\)"), r"\g<kept>"),  # a link
    (re.compile(r"^ {0,3}(?:>[ \t]?)+", re.MULTILINE), ""),
    (re.compile(r"^ {0,3}(?:[*_-][ \t]*){3,}$", re.MULTILINE), ""),  # a rule
    (re.compile(r"(?<!\\)\*{1,3}(?=\S)(?P<kept>[^*]+?)(?<=\S)\*{1,3}"), r"\g<kept>"),
    (re.compile(r"(?<![\w\\])_{1,2}(?=\S)(?P<kept>[^_\n]+?)(?<=\S)_{1,2}(?!\w)"), r"\g<kept>"),
    (re.compile(r"\\(?P<kept>[*_#>\[\]()\"'.!-])"), r"\g<kept>"),
)


class Marked(NamedTuple):
    """A heading: its level (1 is the highest), its words, and where its line stands."""

    level: int
    title: str
    start: int
    end: int


def find_marked(text: str) -> list[Marked]:
    """Return the headings with number signs before them, in order."""
    return [
        Marked(len(match["marks"]), match["title"].strip("*_ "), match.start(), match.end())
        for match in _HEADING.finditer(text)
    ]


def without_marks(text: str) -> str:
    """Return the text of Markdown without its marks; one without headings stays as it is.

    Plain text writes _emphasis_ and rules like Markdown does, so headings alone tell them apart.
    """
    if not _HEADING.search(text):
        return text
    text = _HEADING.sub(lambda match: f"\n{match['marks']} {match['title']}\n", text)
    text = _FRONT_MATTER.sub("", text)
    for pattern, kept in _MARKS:
        text = pattern.sub(kept, text)
    return text
