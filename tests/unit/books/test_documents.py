import os
import struct

import pytest

from models.documents import Document, Mark, stage
from models.errors import DomainError
from models.files import FileFormat, WrongFileType, format_of, format_of_url, safe_name
from models.pages import join_pages
from tasks.adapters.documents import DocumentReader
from tests.documents import epub, packed, pdf, rewritten

PROSE = "The morning was cold and nobody in the house had slept. " * 12
STORM = f"<h2>The Storm</h2><p>{PROSE}</p><p>&ldquo;Come in,&rdquo; said Ann&mdash;softly.</p>"
CALM = f"<h2>The Calm</h2><p>{PROSE}</p>"
NCX = '<navPoint><navLabel><text>{}</text></navLabel><content src="{}"/>{}</navPoint>'


def read(data: bytes, file_format: FileFormat) -> Document:
    return DocumentReader().read(data, file_format)


def chapters(data: bytes, file_format: FileFormat) -> list[tuple[str, str]]:
    """Return each chapter's title and the beginning of its prose."""
    text, found = stage(read(data, file_format))
    assert all(text[one.start : one.end].strip() for one in found)
    return [(one.title, text[one.body :].split(" ", 2)[1]) for one in found]


def test_the_contents_list_of_an_epub_names_its_chapters() -> None:
    nav = (
        '<ol><li><a href="p0.xhtml">The Storm</a></li><li><a href="p1.xhtml">The Calm</a></li></ol>'
    )

    found = chapters(epub([STORM, CALM], nav=nav), FileFormat.EPUB)

    assert found == [("The Storm", "morning"), ("The Calm", "morning")]


def test_an_older_epub_names_its_chapters_inside_of_pages_and_parts() -> None:
    inner = NCX.format("The Storm", "p1.xhtml#storm", "") + NCX.format("The Calm", "p1.xhtml#c", "")
    ncx = NCX.format("Title page", "p0.xhtml", "") + NCX.format("Part One", "p1.xhtml", inner)
    page = STORM.replace("<h2>", '<h1>Part One</h1><h2 id="storm">') + CALM.replace(
        "<h2>", '<h2><a id="c"/>'
    )

    found = chapters(epub(["<h1>A Book</h1><p>by Somebody</p>", page], ncx=ncx), FileFormat.EPUB)

    assert found == [("Part One, The Storm", "morning"), ("The Calm", "morning")]


def test_an_epub_without_a_contents_list_is_divided_at_its_headings() -> None:
    assert [title for title, _ in chapters(epub([STORM + CALM]), FileFormat.EPUB)] == [
        "The Storm",
        "The Calm",
    ]


def test_numbered_chapters_inside_of_one_listed_section_are_found() -> None:
    page = "".join(f"<p>CHAPTER {number}</p><p>{PROSE}</p>" for number in ("I", "II", "III"))
    nav = '<ol><li><a href="p0.xhtml">All</a></li><li><a href="p1.xhtml">Index</a></li></ol>'

    found = chapters(epub([page, "<p>Ann, 12</p>"], nav=nav), FileFormat.EPUB)

    assert [title for title, _ in found] == ["CHAPTER I", "CHAPTER II", "CHAPTER III"]


def test_markup_becomes_paragraphs() -> None:
    page = (
        "<h1>One<br/>Two</h1><p>A <i>word</i>,\n another&nbsp;&made_up;one.</p>"
        "<script>no()</script><!-- nor this --><div>Loose<p>Tight</p>end</div>"
        "<table><tr><td>a</td><td>b</td></tr></table>"
    )

    told = read(epub([page]), FileFormat.EPUB).text

    assert told.split("\n\n") == [
        "One\nTwo",
        "A word, another one.",
        "Loose",
        "Tight",
        "end",
        "a",
        "b",
    ]


def encryption(algorithm: str) -> dict[str, bytes]:
    return {
        "META-INF/encryption.xml": (
            '<encryption xmlns="urn:oasis:names:tc:opendocument:xmlns:container" '
            'xmlns:e="http://www.w3.org/2001/04/xmlenc#"><e:EncryptedData>'
            f'<e:EncryptionMethod Algorithm="{algorithm}"/></e:EncryptedData></encryption>'
        ).encode()
    }


def test_scrambled_fonts_do_not_lock_a_book() -> None:
    fonts = encryption("http://www.idpf.org/2008/embedding")
    assert "Storm" in read(epub([STORM], more=fonts), FileFormat.EPUB).text


def locked(data: bytes) -> bytes:
    """Set the flag "encrypted" of the archive's last entry."""
    at = data.rfind(b"PK\x01\x02") + 8
    return data[:at] + struct.pack("<H", 1) + data[at + 2 :]


def lying(data: bytes) -> bytes:
    """Let the archive's list say that its last entry unpacks to ten bytes."""
    at = data.rfind(b"PK\x01\x02") + 24
    return data[:at] + struct.pack("<L", 10) + data[at + 4 :]


HUGE = b"<p>" + b"a" * (33 * 1024 * 1024) + b"</p>"
BOMB = {"OEBPS/p0.xhtml": HUGE}
LIE = lying(packed({"META-INF/container.xml": HUGE}))
LAUGHS = (
    b'<!DOCTYPE html [<!ENTITY a "haha"><!ENTITY b "&a;&a;&a;&a;">]>'
    b'<html xmlns="http://www.w3.org/1999/xhtml"><body><p>&b;</p></body></html>'
)
OUTSIDE = (
    b'<!DOCTYPE html [<!ENTITY a SYSTEM "file:///etc/passwd">]>'
    b'<html xmlns="http://www.w3.org/1999/xhtml"><body><p>&a;</p></body></html>'
)
SCAN = pdf([["12"], ["13"], ["14"]])
GOOD = pdf([["It was a dark and stormy night."]])


@pytest.mark.parametrize(
    ("data", "file_format", "code"),
    [
        (b"", FileFormat.EPUB, "empty_file"),
        (b"no archive", FileFormat.EPUB, "document_broken"),
        (b"PK\x03\x04 cut off", FileFormat.EPUB, "document_broken"),
        (epub([STORM])[:-200], FileFormat.EPUB, "document_broken"),
        (packed({"word/document.xml": b"<w/>"}), FileFormat.EPUB, "document_broken"),
        (epub(["<img src='p.jpg'/>"]), FileFormat.EPUB, "document_without_text"),
        (epub([STORM], more=encryption("urn:a-lock")), FileFormat.EPUB, "document_protected"),
        (locked(epub([STORM])), FileFormat.EPUB, "document_protected"),
        (epub(["<p/>"], more=BOMB), FileFormat.EPUB, "document_too_large"),
        (LIE, FileFormat.EPUB, "document_broken"),
        (packed({f"{n:0>240}": b"" for n in range(20_000)}), FileFormat.EPUB, "document_too_large"),
        (epub([], more={"OEBPS/p0.xhtml": LAUGHS}), FileFormat.EPUB, "document_without_text"),
        (b"no pages", FileFormat.PDF, "document_broken"),
        (b"%PDF-1.7\n" + os.urandom(500), FileFormat.PDF, "document_broken"),
        (GOOD[: len(GOOD) // 3], FileFormat.PDF, "document_broken"),
        (SCAN, FileFormat.PDF, "document_without_text"),
        (rewritten(GOOD, password="open sesame"), FileFormat.PDF, "document_protected"),
    ],
)  # fmt: skip
@pytest.mark.filterwarnings("ignore:Duplicate name:UserWarning")
def test_a_file_that_cannot_be_read_says_why(
    data: bytes, file_format: FileFormat, code: str
) -> None:
    with pytest.raises(DomainError) as refused:
        read(data, file_format)
    assert (refused.value.code, refused.value.status) == (code, 422)


def test_entities_of_a_page_are_neither_multiplied_nor_fetched() -> None:
    for entity in (LAUGHS, OUTSIDE):
        told = read(epub([CALM, "<p/>"], more={"OEBPS/p1.xhtml": entity}), FileFormat.EPUB).text
        assert "haha" not in told
        assert "root:" not in told


NOVEL = [
    ["        CHAPTER I", "", "Ann came in out of the rain and shook the water from",
     "her hat, for it had been a wet and most unplea-", "sant morning.",
     '    "Good day," said Bob.', '    "Is it?"', "                 1"],
    ["     A Wet Book", "She sat down by the fire and said no more, but looked", "at her",
     "                 2"],
    ["     A Wet Book", "gloves.", "", "", "        CHAPTER II", "",
     "Nothing happened for a week.", "                 3"],
    ["     A Wet Book", "Then Bob went home.", "                 4"],
]  # fmt: skip


def test_the_pages_of_a_pdf_become_paragraphs_and_chapters() -> None:
    text, found = stage(read(pdf(NOVEL), FileFormat.PDF))

    assert [one.title for one in found] == ["CHAPTER I", "CHAPTER II"]
    assert text.split("\n\n") == [
        "CHAPTER I",
        "Ann came in out of the rain and shook the water from\n"
        "her hat, for it had been a wet and most unpleasant morning.",
        '"Good day," said Bob.',
        '"Is it?"',
        "She sat down by the fire and said no more, but looked\nat her\ngloves.",
        "CHAPTER II",
        "Nothing happened for a week.",
        "Then Bob went home.\n",
    ]


def test_the_bookmarks_of_a_pdf_name_its_chapters() -> None:
    pages = [
        ["The Storm", "", *[PROSE[:70]] * 4],
        [PROSE[:70]],
        ["The end.", "", "The Calm", "", PROSE],
    ]
    data = rewritten(pdf(pages), bookmarks={"Cover": 0, "The Storm": 0, "The Calm": 2})

    assert chapters(data, FileFormat.PDF) == [("The Storm", "morning"), ("The Calm", "morning")]


def test_double_spaced_lines_are_one_paragraph() -> None:
    page = ["It was late when", "", "they came home and", "", "nobody spoke.", "",
            "     Then Ann said:", "", "good night."]  # fmt: skip

    assert join_pages(["\n".join(page)] * 2)[0].split("\n\n")[:2] == [
        "It was late when\nthey came home and\nnobody spoke.",
        "Then Ann said:\ngood night.",
    ]


def test_marks_move_along_when_a_licence_is_cut_off() -> None:
    parts = [
        "Front\n\n*** START OF THE PROJECT GUTENBERG EBOOK X ***",
        f"The Storm\n\n{PROSE}",
        f"The Calm\n\n{PROSE}",
        "*** END OF THE PROJECT GUTENBERG EBOOK X ***\n\nlicence",
    ]
    places = [sum(len(one) + 2 for one in parts[:count]) for count in (1, 2, 3)]
    titles = ["The Storm", "The Calm", "The Full Project Gutenberg License"]
    marks = [Mark(title=title, at=at) for title, at in zip(titles, places, strict=True)]

    text, found = stage(Document(text="\n\n".join(parts), marks=marks))

    assert [(one.title, text[one.start :][:8]) for one in found] == [
        ("The Storm", "The Stor"),
        ("The Calm", "The Calm"),
    ]
    assert "Front" not in text
    assert "licence" not in text


def test_only_files_of_the_allowed_types_have_a_format() -> None:
    allowed = (".txt", ".md", ".epub", ".pdf")
    assert format_of("A book.EPUB", allowed) is FileFormat.EPUB
    assert format_of_url("https://files.example/a.pdf?name=x.txt", allowed) is FileFormat.PDF
    with pytest.raises(WrongFileType, match=r"Only \.txt and \.md files"):
        format_of("a.pdf")


def test_a_name_becomes_a_file_name_whatever_it_holds() -> None:
    assert safe_name("Mrs. Zoë D. Arcy") == "Mrs_Zoe_D_Arcy"
    assert safe_name("../../etc\r\n") == "etc"
    assert safe_name("Раскольников") == "character"
