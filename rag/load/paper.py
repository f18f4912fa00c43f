"""A PDF page as it is shown: its picture, what is drawn at a place, and the boxes of characters on it."""

from __future__ import annotations

import ctypes
import math
import struct
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from typing import Any

import pypdfium2 as pdfium
import pypdfium2.raw as raw

from rag.errors import LoadError

Box = tuple[float, float, float, float]  # x0, y0, x1, y1

_FINE = 16  # steps of a point
_PIXELS = 8_000_000  # of a picture: a large sheet is shown more coarsely


@contextmanager
def opened(data: bytes, name: str) -> Iterator[pdfium.PdfDocument]:
    """The document. Raises LoadError when it is encrypted, damaged or has no pages."""
    try:
        document = pdfium.PdfDocument(data)
    except pdfium.PdfiumError as error:
        # pdfium keeps its last error: a damaged file after an encrypted one would look encrypted too
        if getattr(error, "err_code", 0) == raw.FPDF_ERR_PASSWORD and b"/Encrypt" in data:
            raise LoadError(f"{name}: encrypted; save it without a password") from None
        raise LoadError(f"{name}: damaged PDF, or cut off; copy it again from where it came") from None
    with closing(document):
        if not len(document):
            raise LoadError(f"{name}: damaged PDF: it has no pages; save it again")
        yield document


class Picture:
    """A page in shades of grey."""

    def __init__(self, page: Any) -> None:
        self._scale = min(2.0, 2000 / max(*page.get_size(), 1))
        with closing(page.render(scale=self._scale, grayscale=True)) as bitmap:
            self._stride, self._height = bitmap.stride, bitmap.height
            self._pixels = bytes(bitmap.buffer)

    def contrast(self, box: Box) -> int:
        """The difference between the lightest and the darkest point of a box."""
        x0, y0, x1, y1 = (int(edge * self._scale) for edge in box)
        rows = range(max(0, y0 - 1), min(self._height, y1 + 2))
        part = b"".join(self._pixels[y * self._stride + max(0, x0 - 1) : y * self._stride + x1 + 2] for y in rows)
        return max(part) - min(part) if part else 0


def shown(page: Any, box: Box) -> Box:
    """A box in points from the top left of the page as it is shown, cropped and turned."""
    width, height = page.get_size()
    corners = []
    for x, y in (box[:2], box[2:]):
        across, down = ctypes.c_int(), ctypes.c_int()
        raw.FPDF_PageToDevice(page.raw, 0, 0, int(width * _FINE), int(height * _FINE), 0, x, y, across, down)
        corners.append((across.value / _FINE, down.value / _FINE))
    (x0, x1), (y0, y1) = (sorted(edges) for edges in zip(*corners, strict=True))
    return x0, y0, x1, y1


def _page(document: pdfium.PdfDocument, index: int) -> Any:
    try:
        return document[index if index >= 0 else len(document)]  # a page before the first is none
    except (pdfium.PdfiumError, IndexError):
        raise LoadError(f"this file: page {index + 1} cannot be opened; it has {len(document)}") from None


def character_boxes(data: bytes, index: int, characters: Sequence[int]) -> list[Box]:
    """The boxes of the given characters of one page, those of one printed line together, as the page is shown."""
    with (
        opened(data, "this file") as document,
        closing(_page(document, index)) as page,
        closing(page.get_textpage()) as text,
    ):
        edges = [ctypes.c_double() for _ in range(4)]
        every = []
        for character in characters:
            raw.FPDFText_GetCharBox(text.raw, character, edges[0], edges[2], edges[1], edges[3])
            every.append(shown(page, (edges[0].value, edges[1].value, edges[2].value, edges[3].value)))
    return merged(every)


def merged(boxes: Iterable[Box]) -> list[Box]:
    """The boxes of one printed line as one, in reading order."""
    made: list[Box] = []
    for x0, y0, x1, y1 in boxes:
        last = made[-1] if made else None
        if last and y0 < last[3] and last[1] < y1 and x0 > last[0] - 1:
            made[-1] = (last[0], min(last[1], y0), max(last[2], x1), max(last[3], y1))
        elif x1 > x0:
            made.append((x0, y0, x1, y1))
    return made


def size(data: bytes, index: int) -> tuple[float, float]:
    """Width and height of one page as it is shown, in points."""
    with opened(data, "this file") as document, closing(_page(document, index)) as page:
        width, height = page.get_size()
    return width, height


def image(data: bytes, index: int, scale: float) -> bytes:
    """One page as a PNG of `scale` pixels a point; of fewer where that would be more than `_PIXELS`."""
    with (
        opened(data, "this file") as document,
        closing(_page(document, index)) as page,
        closing(page.render(scale=_bounded(page, scale), rev_byteorder=True)) as bitmap,
    ):
        channels, stride = bitmap.n_channels, bitmap.stride
        pixels = bytes(bitmap.buffer)
        rows = b"".join(b"\0" + pixels[y * stride : y * stride + bitmap.width * channels] for y in range(bitmap.height))
        kind = {1: 0, 3: 2, 4: 6}[channels]
        head = struct.pack(">IIBBBBB", bitmap.width, bitmap.height, 8, kind, 0, 0, 0)
    chunks = ((b"IHDR", head), (b"IDAT", zlib.compress(rows, 6)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body)) for name, body in chunks
    )


def _bounded(page: Any, scale: float) -> float:
    width, height = page.get_size()
    return float(min(scale, math.sqrt(_PIXELS / max(width * height, 1.0))))
