"""EPUB 2 and 3, by zipfile and lxml: the spine's pages in order, the contents list as sections.

Source of the rules: EPUB 3.3, https://www.w3.org/TR/epub-33/, and OPF 2.0.1 for the older NCX.
"""

import io
import posixpath
import re
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from html.entities import html5
from typing import Any
from urllib.parse import unquote, urlsplit

from lxml import etree

from models.documents import Document
from models.files import DocumentBroken, DocumentProtected, DocumentTooLarge
from tasks.adapters.xhtml import Heading, PageWriter

MAX_UNPACKED_BYTES = 32 * 1024 * 1024  # of what is read, which is text; the longest novels have 10
MAX_DIRECTORY_BYTES = 4 * 1024 * 1024  # of the archive's list of files: some 40,000 names
# These scramble embedded fonts only (EPUB 3.3, 4.4); everything else locks the text.
FONT_ALGORITHMS = {"http://www.idpf.org/2008/embedding", "http://ns.adobe.com/pdf/enc#RC"}
# What a damaged archive raises, and an archive of something else, whose parts are not there.
BREAKS = (
    zipfile.BadZipFile, zlib.error, etree.XMLSyntaxError, struct.error, EOFError, RuntimeError,
    LookupError, ValueError, AttributeError, TypeError,
)  # fmt: skip
_ENCRYPTED_BIT = 0x1  # of an archive entry's flags
_XML_ENTITIES = {b"amp", b"lt", b"gt", b"quot", b"apos"}
_ENTITY = re.compile(rb"&([A-Za-z][A-Za-z0-9]{0,31});")

Targets = dict[str, dict[str, Heading]]  # page → fragment, or "" → what the contents list says


def read(data: bytes, progress: Callable[[int, int], None] | None) -> Document:
    """Return the text of an EPUB and its sections; `progress(done, total)` counts its pages.

    Raises DocumentBroken, DocumentProtected, DocumentTooLarge.
    """
    try:
        return _Package(data).read(progress)
    except BREAKS as error:
        raise DocumentBroken() from error


class _Package:
    """One EPUB, unpacked as far as it is read."""

    def __init__(self, data: bytes) -> None:
        _check_directory(data)
        self._zip = zipfile.ZipFile(io.BytesIO(data))
        self._left = MAX_UNPACKED_BYTES
        self._check_locks()
        container = self._xml("META-INF/container.xml")
        self._opf = str(container.find(".//{*}rootfile").get("full-path"))
        package = self._xml(self._opf)
        self._items = {item.get("id"): item for item in package.iterfind(".//{*}manifest/{*}item")}
        spine = package.find(".//{*}spine")
        listed = [self._items.get(one.get("idref")) for one in spine.iterfind("{*}itemref")]
        self._ncx = self._items.get(spine.get("toc"))
        nav = [one for one in self._items.values() if "nav" in _words(one.get("properties"))]
        self._nav = nav[0] if nav else None
        self._spine = [one for one in listed if one is not None and one is not self._nav]

    def read(self, progress: Callable[[int, int], None] | None) -> Document:
        targets = self._targets()
        writer = PageWriter()
        for done, item in enumerate(self._spine, start=1):
            path = self._path(self._opf, item.get("href"))[0]
            if path in self._zip.NameToInfo and "html" in (item.get("media-type") or ""):
                writer.add(self._xml(path), targets.get(path, {}))
            if progress is not None:
                progress(done, len(self._spine))
        return writer.document()

    def _check_locks(self) -> None:
        """Raise DocumentProtected where anything but fonts is encrypted."""
        names = self._zip.NameToInfo
        if any(info.flag_bits & _ENCRYPTED_BIT for info in names.values()):
            raise DocumentProtected()
        if "META-INF/encryption.xml" not in names:
            return
        methods = self._xml("META-INF/encryption.xml").iterfind(".//{*}EncryptionMethod")
        if {method.get("Algorithm") for method in methods} - FONT_ALGORITHMS:
            raise DocumentProtected()

    def _targets(self) -> Targets:
        """Return where the contents list points: EPUB 3's nav, else EPUB 2's NCX."""
        if self._nav is not None:
            base = self._path(self._opf, self._nav.get("href"))[0]
            entries = _nav_entries(self._xml(base))
        elif self._ncx is not None:
            base = self._path(self._opf, self._ncx.get("href"))[0]
            entries = _ncx_entries(self._xml(base))
        else:
            return {}
        targets: Targets = {}
        for heading, href in entries:
            path, fragment = self._path(base, href)
            targets.setdefault(path, {}).setdefault(fragment, heading)
        return targets

    def _path(self, base: str, href: str) -> tuple[str, str]:
        """Return the archive's name of what `href` means in `base`, and its fragment."""
        parts = urlsplit(href)
        path = posixpath.join(posixpath.dirname(base), unquote(parts.path))
        return posixpath.normpath(path), unquote(parts.fragment)

    def _xml(self, name: str) -> Any:
        """Return the root of a file, whose markup may be sloppy. Nothing else is ever loaded."""
        data = self._unpacked(name)
        parser = etree.XMLParser(
            recover=True, resolve_entities=False, no_network=True, huge_tree=False,
            remove_comments=True, remove_pis=True,
        )  # fmt: skip
        root = etree.fromstring(_ENTITY.sub(_numbered, data), parser)
        if root is None:
            raise DocumentBroken(file=name)
        return root

    def _unpacked(self, name: str) -> bytes:
        """Return a file, never more of it than is left: its stated size may be a lie."""
        with self._zip.open(name) as file:
            data = file.read(self._left + 1)
        self._left -= len(data)
        if self._left < 0:
            raise DocumentTooLarge(max_bytes=MAX_UNPACKED_BYTES)
        return data


def _check_directory(data: bytes) -> None:
    """Look at the length of the archive's list of files before it is taken into memory."""
    at = data.rfind(b"PK\x05\x06")
    if at < 0 or len(data) < at + 22:
        raise DocumentBroken()
    (length,) = struct.unpack_from("<L", data, at + 12)
    if length > MAX_DIRECTORY_BYTES:
        raise DocumentTooLarge(max_bytes=MAX_DIRECTORY_BYTES)


def _numbered(match: re.Match[bytes]) -> bytes:
    """Return HTML's names of characters as numbers, which XML knows without a DTD."""
    if match[1] in _XML_ENTITIES:
        return match[0]
    named = html5.get(f"{match[1].decode()};", "")
    return "".join(f"&#{ord(char)};" for char in named).encode()


def _words(value: str | None) -> list[str]:
    return (value or "").split()


def _nav_entries(root: Any) -> Iterator[tuple[Heading, str]]:
    """Yield what EPUB 3's contents list names, and where that is."""
    kind = "{http://www.idpf.org/2007/ops}type"
    lists = [nav for nav in root.iterfind(".//{*}nav") if "toc" in _words(nav.get(kind))]
    for nav in lists[:1]:
        for link in nav.iterfind(".//{*}a[@href]"):
            level = sum(etree.QName(one).localname == "ol" for one in link.iterancestors())
            yield Heading("".join(link.itertext()), max(1, level)), link.get("href")


def _ncx_entries(root: Any) -> Iterator[tuple[Heading, str]]:
    """Yield what EPUB 2's contents list names, and where that is."""
    for point in root.iterfind(".//{*}navPoint"):
        label, content = point.find("{*}navLabel/{*}text"), point.find("{*}content")
        if label is not None and content is not None:
            level = sum(etree.QName(one).localname == "navPoint" for one in point.iterancestors())
            yield Heading(label.text or "", level + 1), content.get("src") or ""
