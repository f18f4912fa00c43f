"""PDF pages → lines of characters that know where they stand. With `rag.load.paper` the door of pypdfium2.

Positions are PDF points in the page's own space: x to the right, y upwards. An `at` is the index of a character in
pdfium's text page, by which its box is found again; -1 stands for a space that the page does not hold.
"""

from __future__ import annotations

import ctypes
import math
from array import array
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

import pypdfium2 as pdfium
import pypdfium2.raw as raw

from rag.load.paper import Box, Picture, shown

_INVISIBLE = 3  # text render mode: neither filled nor stroked
_TINY = 1.5  # points
_NEARLY_WHITE = 245  # of 255
_LINE_END_HYPHENS = (2, 0xFFFE)  # how pdfium writes them
_NARROW_GAP = 0.5  # of the font size: may part cells, if a column begins there
_CELL_GAP = 2.0  # of the font size: wider than a stretched space


@dataclass(slots=True)
class Line:
    """One printed line. `gaps` are positions in `text` (of a space) where a wide gap parts cells; `starts` those of all
    gaps that may, each with the x of what follows."""

    text: str
    at: array[int]
    box: Box
    base: float
    size: float
    bold: bool
    gaps: list[int]
    starts: list[tuple[int, float]]
    paragraph: int = 0  # the one it is of, from 1, where OCR says so


@dataclass(slots=True)
class Glyphs:
    """One page: its lines in the order of the file, and what was seen on the way."""

    lines: list[Line]
    box: Box
    label: str
    hidden: int = 0  # characters dropped because no reader sees them
    unmapped: int = 0  # characters that the font does not translate into Unicode
    layer: bool = False  # text recognised in a scan: invisible, over a picture
    scanned: bool = False  # a picture and no text
    confidence: float | None = None  # of OCR, 0 to 100, where the page was read so
    failed: bool = False  # OCR did, or took too long
    unsure: int = 0  # characters of lines that OCR is unsure of, left out


@dataclass(slots=True)
class _Style:
    """What the characters of one text object share."""

    size: float
    bold: bool
    invisible: bool
    white: bool


@dataclass(slots=True)
class _Open:
    """The line being read."""

    text: list[str] = field(default_factory=list)
    at: array[int] = field(default_factory=lambda: array("q"))
    boxes: list[Box] = field(default_factory=list)
    sizes: list[float] = field(default_factory=list)
    bold: int = 0
    gaps: list[int] = field(default_factory=list)
    starts: list[tuple[int, float]] = field(default_factory=list)
    base: float = 0.0


def outline(document: pdfium.PdfDocument) -> list[tuple[int, int, str]]:
    """(page index, level from 1, title) of every bookmark that leads to a page."""
    found = []
    for mark in document.get_toc(max_depth=6):
        target = mark.get_dest()
        index = target.get_index() if target else None
        if index is not None:
            found.append((index, mark.level + 1, mark.get_title()))
    return found


def information(document: pdfium.PdfDocument) -> dict[str, str]:
    """The document information: Title, Author, CreationDate …, and the Language of its catalogue."""
    language = b""
    if get := getattr(raw, "FPDFCatalog_GetLanguage", None):  # pdfium of 2025 and later
        buffer = ctypes.create_string_buffer(size := get(document.raw, None, 0))
        get(document.raw, ctypes.cast(buffer, ctypes.POINTER(ctypes.c_ushort)), size)
        language = buffer.raw
    named = {"Language": language.decode("utf-16-le", "replace").rstrip("\0")}
    return {**document.get_metadata_dict(skip_empty=True), **named}


def glyphs(document: pdfium.PdfDocument, index: int) -> Glyphs | None:
    """The lines of one page; None for a page that cannot be opened."""
    try:
        page = document[index]
    except pdfium.PdfiumError:
        return None
    with closing(page), closing(page.get_textpage()) as text:
        made = Glyphs([], page.get_cropbox(), document.get_page_label(index) or "")
        _Reader(page, text.raw, made).read()
    return made


class _Reader:
    """Reads one page, character by character."""

    def __init__(self, page: Any, text: Any, made: Glyphs) -> None:
        self._page, self._text, self._made = page, text, made
        self._styles: dict[int, _Style] = {}
        self._open = _Open()
        self._picture: Picture | None = None
        self._covered = _pictures(page, made.box)
        self._box = [ctypes.c_double() for _ in range(4)]
        self._high = ""  # half of a pair of surrogates

    def read(self) -> None:
        count = raw.FPDFText_CountChars(self._text)
        for index in range(count):
            code = raw.FPDFText_GetUnicode(self._text, index)
            if code in (10, 13):
                self._close()
            elif code <= 32 and code not in (2, 9, 32):
                self._made.unmapped += code != 0 or not raw.FPDFText_IsGenerated(self._text, index)
            elif code == 32 or code == 9 or code == 0xA0:
                self._space(index, code)
            else:
                self._character(index, code)
                if code in _LINE_END_HYPHENS:  # pdfium leaves out the line end that follows
                    self._close()
        self._close()
        self._made.scanned = not self._made.lines and bool(self._covered)

    def _space(self, index: int, code: int) -> None:
        line = self._open
        if line.text and line.text[-1] not in " \xa0":
            line.text.append("\xa0" if code == 0xA0 else " ")
            line.at.append(-1 if raw.FPDFText_IsGenerated(self._text, index) else index)

    def _character(self, index: int, code: int) -> None:
        made, line = self._made, self._open
        left, bottom, right, top = self._box
        raw.FPDFText_GetCharBox(self._text, index, left, right, bottom, top)
        box = (left.value, bottom.value, right.value, top.value)
        style = self._style(index)
        if self._unseen(style, box):
            made.hidden += 1
            return
        if raw.FPDFText_HasUnicodeMapError(self._text, index) == 1:
            made.unmapped += 1
        character = self._decoded(index, code)
        if not character:
            return
        if not line.boxes:
            x, y = ctypes.c_double(), ctypes.c_double()
            raw.FPDFText_GetCharOrigin(self._text, index, x, y)
            line.base = y.value
        elif (gap := box[0] - line.boxes[-1][2]) > _NARROW_GAP * style.size:
            wide = gap > _CELL_GAP * style.size
            if wide and line.text[-1] not in " \xa0":
                line.text.append(" ")
                line.at.append(-1)
            if line.text[-1] in " \xa0":
                line.starts.append((len(line.text) - 1, box[0]))
                line.gaps += [len(line.text) - 1] if wide else []
        line.text.append(character)
        line.at.append(index)
        line.boxes.append(box)
        line.sizes.append(style.size)
        line.bold += style.bold

    def _decoded(self, index: int, code: int) -> str:
        if code in _LINE_END_HYPHENS:
            return "-"
        if code == 0xAD:  # a soft hyphen: shown at the end of a line only
            return "-" if raw.FPDFText_IsHyphen(self._text, index) == 1 else ""
        if 0xD800 <= code < 0xDC00:
            self._high = chr(code)
            return ""
        if 0xDC00 <= code < 0xE000:
            pair, self._high = self._high + chr(code), ""
            return pair.encode("utf-16", "surrogatepass").decode("utf-16", "replace")[:1]
        if code in (0x200B, 0x200C, 0x2060, 0xFEFF):  # zero width
            self._made.hidden += 1
            return ""
        return chr(code)

    def _style(self, index: int) -> _Style:
        thing = raw.FPDFText_GetTextObject(self._text, index)
        key = ctypes.cast(thing, ctypes.c_void_p).value or 0
        if key not in self._styles:
            matrix = raw.FS_MATRIX()
            raw.FPDFText_GetMatrix(self._text, index, matrix)
            size = raw.FPDFText_GetFontSize(self._text, index) * math.hypot(matrix.c, matrix.d)
            name, flags = ctypes.create_string_buffer(256), ctypes.c_int()
            raw.FPDFText_GetFontInfo(self._text, index, name, 256, flags)
            font = name.value.decode("utf-8", "replace").lower()
            colour = [ctypes.c_uint() for _ in range(4)]
            raw.FPDFText_GetFillColor(self._text, index, *colour)
            faint = min(c.value for c in colour[:3]) >= _NEARLY_WHITE or colour[3].value < 8
            mode = raw.FPDFTextObj_GetTextRenderMode(thing) if thing else 0
            self._styles[key] = _Style(size, "bold" in font or "black" in font, mode == _INVISIBLE, faint)
        return self._styles[key]

    def _unseen(self, style: _Style, box: Box) -> bool:
        x0, y0, x1, y1 = self._made.box
        if box[2] < x0 or box[0] > x1 or box[3] < y0 or box[1] > y1 or style.size < _TINY:
            return True
        if style.invisible:
            if self._covered > 0.3:  # text that was recognised in a scan lies invisibly over its picture
                self._made.layer = True
                return False
            return True
        return style.white and not self._drawn(box)

    def _drawn(self, box: Box) -> bool:
        """Whether the page as a picture shows anything there: white text on a dark ground is seen."""
        if self._picture is None:
            self._picture = Picture(self._page)
        return self._picture.contrast(shown(self._page, box)) > 24

    def _close(self) -> None:
        line, self._open = self._open, _Open()
        while line.text and line.text[-1] in " \xa0":
            line.text.pop()
            line.at.pop()
        if not line.boxes:
            return
        lefts, bottoms, rights, tops = zip(*line.boxes, strict=True)
        box = (min(lefts), min(bottoms), max(rights), max(tops))
        size = sorted(line.sizes)[len(line.sizes) // 2]
        text = "".join(line.text)
        bold = 2 * line.bold > len(line.boxes)
        self._made.lines.append(Line(text, line.at, box, line.base, size, bold, line.gaps, line.starts))


def _pictures(page: Any, box: Box) -> float:
    """The share of the page that its largest picture covers."""
    area = max((box[2] - box[0]) * (box[3] - box[1]), 1.0)
    largest = 0.0
    for thing in page.get_objects(filter=(raw.FPDF_PAGEOBJ_IMAGE,), max_depth=3):
        x0, y0, x1, y1 = thing.get_bounds()
        largest = max(largest, abs(x1 - x0) * abs(y1 - y0) / area)
    return largest
