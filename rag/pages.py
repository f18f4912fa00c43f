"""A page of a PDF as a picture, and where a quote stands on it; both made in the parser's own process."""

from __future__ import annotations

import base64
from dataclasses import dataclass

from rag.load import worker
from rag.load.build import File

Box = tuple[float, float, float, float]  # x0, y0, x1, y1 in points from the top left of the page as it is shown


@dataclass(frozen=True, slots=True)
class Marks:
    """Where a range of the text stands on one page: a box for each printed line. `width` and `height` in points."""

    width: float
    height: float
    boxes: tuple[Box, ...]


def marks(data: bytes, page: int, start: int, end: int, revision: str = "") -> Marks:
    """Where `text[start:end]` stands on page `page` (from 1), for the bytes that were loaded: see `rag.load.pdf.boxes`.

    Raises LoadError as loading does, and when the text that is read now is not the one of `revision`.
    """
    reply = worker.call("boxes", File(data, "this file"), page=page, start=start, end=end, revision=revision)
    width, height = reply["size"]
    return Marks(width, height, tuple((x0, y0, x1, y1) for x0, y0, x1, y1 in reply["boxes"]))


def page_image(data: bytes, page: int, scale: float = 1.5) -> bytes:
    """Page `page` (from 1) as a PNG of `scale` pixels a point, or less for a huge one. LoadError as loading does."""
    reply = worker.call("image", File(data, "this file"), page=page, scale=scale)
    return base64.b64decode(reply["png"])
