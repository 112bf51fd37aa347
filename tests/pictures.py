"""Pictures that tests upload."""

import io

from PIL import Image


def picture(kind: str = "PNG", *, width: int = 8, height: int = 12) -> bytes:
    """Return a plain picture as a file."""
    out = io.BytesIO()
    Image.new("RGB", (width, height), "navy").save(out, kind)
    return out.getvalue()
