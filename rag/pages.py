"""A page of a PDF as a picture, and where a quote stands on it; both made in the parser's own process."""

from __future__ import annotations

import base64

from rag.load import worker
from rag.load.build import File

Box = tuple[float, float, float, float]  # x0, y0, x1, y1 in points from the top left of the page as it is shown


def boxes(data: bytes, page: int, start: int, end: int) -> list[Box]:
    """The boxes of `text[start:end]` on page `page` (from 1), one a printed line; see `rag.load.pdf.boxes`.

    `data` must be the bytes that were loaded: compare their sha256 first. Raises LoadError as loading does.
    """
    reply = worker.call("boxes", File(data, "this file"), page=page, start=start, end=end)
    return [(x0, y0, x1, y1) for x0, y0, x1, y1 in reply["boxes"]]


def page_image(data: bytes, page: int, scale: float = 1.5) -> bytes:
    """Page `page` (from 1) as a PNG of `scale` pixels a point. Raises LoadError as loading does."""
    reply = worker.call("image", File(data, "this file"), page=page, scale=scale)
    return base64.b64decode(reply["png"])
