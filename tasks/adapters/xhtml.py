"""Pages of XHTML become paragraphs between blank lines, with marks where sections begin."""

from typing import Any, NamedTuple

from lxml import etree

from models.documents import Document, Mark

BLOCKS = {
    "address", "article", "aside", "blockquote", "body", "caption", "center", "dd", "div", "dl",
    "dt", "figcaption", "figure", "footer", "h1", "h2", "h3", "h4", "h5", "h6", "header", "hr",
    "li", "main", "nav", "ol", "p", "pre", "section", "table", "td", "th", "tr", "ul",
}  # fmt: skip
SILENT = {"head", "script", "style", "template", "svg", "math", "audio", "video", "object"}
HEADINGS = {"h1": 1, "h2": 2, "h3": 3}


class Heading(NamedTuple):
    """What a section is called; `level` counts from 1, the outermost."""

    title: str
    level: int


class PageWriter:
    """Takes pages in their order."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self._paragraphs: list[str] = []
        self._pieces: list[str] = []  # of the paragraph that is being read
        self._listed: list[tuple[int, Heading]] = []  # paragraph → what the contents list says
        self._printed: list[tuple[int, Heading]] = []  # paragraph → the heading it is

    def add(self, root: Any, targets: dict[str, Heading]) -> None:
        """Take a page. `targets`: what the contents list calls an id in it; "" is the page."""
        if "" in targets:
            self._listed.append((len(self._paragraphs), targets[""]))
        walk = etree.iterwalk(root, events=("start", "end"))
        for event, element in walk:
            # An entity that nobody has declared is a node without a name.
            named = isinstance(element.tag, str)
            name = etree.QName(element).localname.lower() if named else ""
            if event == "start":
                self._point(element, targets)
                self._open(name, element.text if named and name not in SILENT else None)
                if name in SILENT:
                    walk.skip_subtree()
            else:
                self._close(name, element.tail if element is not root else None)
        self._break()

    def document(self) -> Document:
        """Return all pages, with the sections of the contents list, else with the headings."""
        marks = self._listed if len(self._listed) > 1 else self._printed
        starts, at = [], 0
        for paragraph in self._paragraphs:
            starts.append(at)
            at += len(paragraph) + 2
        text = "\n\n".join(self._paragraphs)
        return Document(
            text=text,
            marks=[
                Mark(title=heading.title, level=heading.level, at=starts[place])
                for place, heading in marks
                if place < len(starts) and heading.title.strip()
            ],
        )

    def _point(self, element: Any, targets: dict[str, Heading]) -> None:
        for name in {element.get("id"), element.get("name")} & targets.keys():
            self._listed.append((len(self._paragraphs), targets[name]))

    def _open(self, name: str, text: str | None) -> None:
        if name in BLOCKS:
            self._break()
        if name == "br":
            self._pieces.append("\n")
        self._say(text)

    def _close(self, name: str, tail: str | None) -> None:
        if name in BLOCKS:
            place = len(self._paragraphs)
            self._break()
            if name in HEADINGS and len(self._paragraphs) > place:
                title = " ".join(self._paragraphs[-1].split())
                self._printed.append((place, Heading(title, HEADINGS[name])))
        self._say(tail)

    def _say(self, text: str | None) -> None:
        if text:
            self._pieces.append(text.replace("\n", " ").replace("\r", " "))

    def _break(self) -> None:
        lines = "".join(self._pieces).split("\n")
        paragraph = "\n".join(filter(None, (" ".join(line.split()) for line in lines)))
        self._pieces = []
        if paragraph:
            self._paragraphs.append(paragraph)
