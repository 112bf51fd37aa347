"""Pictures: the portrait of a character card with the card inside of it, and covers of books."""

import base64
import colorsys
import hashlib
import io
import unicodedata

from PIL import Image, ImageDraw, ImageFont, ImageOps, UnidentifiedImageError
from PIL.PngImagePlugin import PngInfo

from models.errors import Unprocessable

SIZE = (512, 768)  # what card readers show: 2 to 3
CARD_CHUNK = "chara"  # where they look for the card, as base64 in a tEXt chunk
CENTRE, RADIUS = (256, 300), 170
LINE_CHARS = 24  # of a name in the size below
KINDS = ("JPEG", "PNG", "WEBP")
SIDE = 1200  # pixels; what a screen shows of a cover
MOST_PIXELS = 40_000_000  # a small file may unpack to any size
QUALITY = 88  # of the JPEG: no difference is seen beyond
Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


class NotAPicture(Unprocessable):
    """The file is no picture that can be a cover: JPEG, PNG or WebP, of 40 megapixels at most."""

    code = "not_a_picture"


def redrawn(data: bytes) -> bytes:
    """Return a picture as a JPEG that holds nothing but the picture. Raises NotAPicture."""
    try:
        with Image.open(io.BytesIO(data), formats=KINDS) as opened:
            if opened.width * opened.height > MOST_PIXELS:
                raise NotAPicture()
            upright = ImageOps.exif_transpose(opened).convert("RGB")
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        raise NotAPicture() from None  # Pillow's ways to say that a file is damaged
    upright.thumbnail((SIDE, SIDE))
    out = io.BytesIO()
    upright.save(out, "JPEG", quality=QUALITY)
    return out.getvalue()


def portrait(name: str, subtitle: str, card: bytes) -> bytes:
    """Return a PNG that shows a name and holds the JSON of a card. The same input, the same file.

    Pillow's own font has no letters beyond Latin: others are left out of the picture.
    """
    dark, light = _colours(name)
    image = Image.new("RGB", SIZE, dark)
    draw = ImageDraw.Draw(image)
    (x, y), r = CENTRE, RADIUS
    draw.ellipse((x - r, y - r, x + r, y + r), fill=light)
    _centred(draw, (x, y), initials(name), 150, dark)
    for place, line in enumerate(_lines(_latin(name))):
        _centred(draw, (x, 560 + 46 * place), line, 38, light)
    _centred(draw, (x, 720), _latin(subtitle)[:48], 20, light)
    held = PngInfo()
    held.add_text(CARD_CHUNK, base64.b64encode(card).decode())
    out = io.BytesIO()
    image.save(out, "PNG", pnginfo=held)
    return out.getvalue()


def initials(name: str) -> str:
    """Return the first letters of the first and the last part of a name; "" if it has no Latin."""
    words = [word for word in _latin(name).split() if word[0].isalpha()]
    return "".join(word[0].upper() for word in ([words[0], *words[1:][-1:]] if words else []))


def _latin(text: str) -> str:
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    return " ".join(plain.split())


def _lines(name: str) -> list[str]:
    lines = [""]
    for word in name.split():
        if lines[-1] and len(lines[-1]) + len(word) >= LINE_CHARS:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    return [line[:LINE_CHARS] for line in lines[:3]]


def _centred(
    draw: ImageDraw.ImageDraw, at: tuple[int, int], text: str, size: int, colour: tuple[int, ...]
) -> None:
    font: Font = ImageFont.load_default(size)
    left, top, right, bottom = draw.textbbox((0, 0), text, font=font)
    place = at[0] - (left + right) / 2, at[1] - (top + bottom) / 2
    draw.text(place, text, font=font, fill=colour)


def _colours(name: str) -> tuple[tuple[int, int, int], tuple[int, int, int]]:
    """Return a dark and a light colour that belong to a name."""
    hue = hashlib.sha256(name.encode()).digest()[0] / 256
    return _rgb(hue, 0.24, 0.35), _rgb(hue, 0.86, 0.45)


def _rgb(hue: float, lightness: float, saturation: float) -> tuple[int, int, int]:
    red, green, blue = colorsys.hls_to_rgb(hue, lightness, saturation)
    return round(255 * red), round(255 * green), round(255 * blue)
