"""A page of a PDF as a picture, and where a quote stands on it; both made in the parser's own process."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import Any

from rag.load import worker
from rag.load.build import File
from rag.load.ocr import language_of
from rag.types import Document

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
    return _marks(reply)


def marks_of(document: Document, data: bytes, page: int, start: int, end: int) -> Marks:
    """`marks` of a range of this document. Of one that OCR read, the page is read again: a few seconds, or no boxes."""
    languages = language_of(document.loader)
    if not languages:
        return marks(data, page, start, end, document.revision)
    first, last = next(((p.start, p.end) for p in document.pages if p.number == page), (0, 0))
    start, end, file = max(start, first) - first, min(end, last) - first, File(data, "this file", ocr=languages)
    return _marks(worker.call("retrace", file, page=page, start=start, end=end, text=document.text[first:last]))


def _marks(reply: dict[str, Any]) -> Marks:
    width, height = reply["size"]
    return Marks(width, height, tuple((x0, y0, x1, y1) for x0, y0, x1, y1 in reply["boxes"]))


def page_image(data: bytes, page: int, scale: float = 1.5) -> bytes:
    """Page `page` (from 1) as a PNG of `scale` pixels a point, or less for a huge one. LoadError as loading does."""
    reply = worker.call("image", File(data, "this file"), page=page, scale=scale)
    return base64.b64decode(reply["png"])
