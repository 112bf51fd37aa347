"""Small EPUB and PDF files, made for tests."""

import io
import zipfile
from collections.abc import Sequence

from pypdf import PdfReader, PdfWriter

PAGE_HEIGHT, MARGIN, LEADING = 792, 72, 14
CONTAINER = (
    '<container xmlns="urn:oasis:names:tc:opendocument:xmlns:container"><rootfiles>'
    '<rootfile full-path="OEBPS/book.opf" media-type="application/oebps-package+xml"/>'
    "</rootfiles></container>"
)
XHTML = (
    '<?xml version="1.0" encoding="utf-8"?>\n<!DOCTYPE html>\n'
    '<html xmlns="http://www.w3.org/1999/xhtml"><head><title>A page</title></head>'
    "<body>{}</body></html>"
)
OPF = (
    '<package xmlns="http://www.idpf.org/2007/opf" version="{version}"><metadata/>'
    "<manifest>{items}</manifest><spine{toc}>{spine}</spine></package>"
)


def pdf(pages: Sequence[Sequence[str]]) -> bytes:
    """A PDF of these pages; a line's leading spaces are its indentation, "" leaves a line free."""
    objects = [b"<< /Type /Font /Subtype /Type1 /BaseFont /Courier >>"]
    kids = []
    for lines in pages:
        stream = "\n".join(_printed(place, line) for place, line in enumerate(lines) if line)
        data = stream.encode("cp1252")
        objects.append(b"<< /Length %d >>\nstream\n%s\nendstream" % (len(data), data))
        objects.append(
            b"<< /Type /Page /Parent 0 0 R /MediaBox [0 0 612 792] /Contents %d 0 R "
            b"/Resources << /Font << /F1 1 0 R >> >> >>" % len(objects)
        )
        kids.append(b"%d 0 R" % len(objects))
    tree = len(objects) + 1
    objects = [one.replace(b"/Parent 0 0", b"/Parent %d 0" % tree) for one in objects]
    objects.append(b"<< /Type /Pages /Kids [%s] /Count %d >>" % (b" ".join(kids), len(kids)))
    objects.append(b"<< /Type /Catalog /Pages %d 0 R >>" % tree)
    return _file(objects)


def _printed(place: int, line: str) -> str:
    text = line.lstrip(" ")
    x = MARGIN + 6 * (len(line) - len(text))
    safe = text.replace("\\", r"\\").replace("(", r"\(").replace(")", r"\)")
    y = PAGE_HEIGHT - MARGIN - LEADING * place
    return f"BT /F1 10 Tf 1 0 0 1 {x} {y} Tm ({safe}) Tj ET"


def _file(objects: list[bytes]) -> bytes:
    out, places = b"%PDF-1.4\n", []
    for number, body in enumerate(objects, start=1):
        places.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    return out + (
        b"xref\n0 %d\n0000000000 65535 f \n%strailer\n<< /Size %d /Root %d 0 R >>\n"
        b"startxref\n%d\n%%%%EOF\n"
        % (len(objects) + 1, table, len(objects) + 1, len(objects), len(out))
    )


def rewritten(data: bytes, *, bookmarks: dict[str, int] | None = None, password: str = "") -> bytes:
    """The same PDF with bookmarks (title → page from 0), or encrypted."""
    writer = PdfWriter(clone_from=PdfReader(io.BytesIO(data)))
    for title, page in (bookmarks or {}).items():
        writer.add_outline_item(title=title, page_number=page)
    if password:
        writer.encrypt(password, algorithm="AES-256")
    out = io.BytesIO()
    writer.write(out)
    return out.getvalue()


def epub(
    pages: Sequence[str], *, nav: str = "", ncx: str = "", more: dict[str, bytes] | None = None
) -> bytes:
    """An EPUB of these bodies (`p0.xhtml` …), with a contents list of version 3 or 2, or none."""
    files = {"META-INF/container.xml": CONTAINER}
    items = [
        f'<item id="p{n}" href="p{n}.xhtml" media-type="application/xhtml+xml"/>'
        for n in range(len(pages))
    ]
    files |= {f"OEBPS/p{n}.xhtml": XHTML.format(page) for n, page in enumerate(pages)}
    if nav:
        items.append(
            '<item id="nav" href="nav.xhtml" properties="nav" media-type="application/xhtml+xml"/>'
        )
        kind = 'xmlns:epub="http://www.idpf.org/2007/ops" epub:type="toc"'
        files["OEBPS/nav.xhtml"] = XHTML.format(f"<nav {kind}>{nav}</nav>")
    if ncx:
        items.append('<item id="ncx" href="toc.ncx" media-type="application/x-dtbncx+xml"/>')
        files["OEBPS/toc.ncx"] = (
            f'<ncx xmlns="http://www.daisy.org/z3986/2005/ncx/"><navMap>{ncx}</navMap></ncx>'
        )
    spine = "".join(f'<itemref idref="p{n}"/>' for n in range(len(pages)))
    files["OEBPS/book.opf"] = OPF.format(
        version="3.0" if nav else "2.0",
        items="".join(items),
        toc=' toc="ncx"' if ncx else "",
        spine=spine,
    )
    return packed({name: text.encode() for name, text in files.items()} | (more or {}))


def packed(files: dict[str, bytes]) -> bytes:
    """An archive as EPUB wants it: the media type first, unpacked."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("mimetype", "application/epub+zip")
        for name, data in files.items():
            archive.writestr(name, data, zipfile.ZIP_DEFLATED)
    return out.getvalue()
