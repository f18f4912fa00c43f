"""A window of a document's canonical text around a range, in the units that a browser counts."""

from __future__ import annotations

from bisect import bisect_left
from typing import Any

from rag.errors import BadInput
from rag.types import Block, Document, Page

AROUND = 6_000  # code points shown on each side of a citation at first
LARGEST = 400_000  # code points in one window: what a browser lays out without a pause
STEP = 1_000_000
SNAP = 400  # how far an edge moves to begin or end at a line break


def window(
    document: Document, start: int, end: int, first: int | None = None, last: int | None = None
) -> dict[str, Any]:
    """The text around `start:end` as JSON values.

    `first` and `last` widen the window (code points; default: AROUND on each side). `from`, `to` and `size` are code
    points of the document; `utf16_from` is where the window begins in UTF-16 units of the document; all ranges under
    `range`, `blocks` and `pages` are UTF-16 units of the window. Raises BadInput when the range leaves the text or is
    larger than a window.
    """
    text, size = document.text, len(document.text)
    if not 0 <= start <= end <= size:
        raise BadInput(f"{document.id}: {start}:{end} leaves the text of {size} characters; ask the question again")
    if end - start > LARGEST:
        raise BadInput(f"{document.id}: {start}:{end} is more than {LARGEST} characters; ask for a smaller range")
    low = _line_start(text, min(start, max(0, start - AROUND if first is None else first, end - LARGEST)))
    high = _line_end(text, max(end, min(size, end + AROUND if last is None else last, low + LARGEST)))
    part = text[low:high]
    astral = [position for position, character in enumerate(part) if character > "\uffff"]  # two UTF-16 units each

    def units(position: int) -> int:
        within = min(max(position, low), high) - low
        return within + bisect_left(astral, within)

    def placed(part: Block | Page) -> dict[str, int]:
        return {"start": units(part.start), "end": units(part.end)}

    full = high - low >= LARGEST
    return {
        "document_id": document.id,
        "title": document.title,
        "source": document.source,
        "collection": document.collection,
        "date": document.date,
        "revision": document.revision,
        "section": document.section_at(start),
        "on_pages": document.pages_of(start, end),
        "paper": document.loader.startswith("pdf/"),  # its pages can be shown: see rag.web.paper
        "text": part,
        "from": low,
        "to": high,
        "size": size,
        "utf16_from": utf16_length(text, low),
        "range": {"start": units(start), "end": units(end)},
        "blocks": [
            {"kind": block.kind, **placed(block)}
            for block in document.blocks
            if block.kind != "paragraph" and block.start < high and low < block.end
        ],
        "pages": [
            {"label": page.label or str(page.number), **placed(page)}
            for page in document.pages
            if low <= page.start < high
        ],
        "more_before": low > 0 and not full,
        "more_after": high < size and not full,
    }


def utf16_length(text: str, end: int) -> int:
    """The UTF-16 units of `text[:end]`, as JavaScript counts them; in steps, so that a large text is not copied."""
    steps = range(0, end, STEP)
    return sum(len(text[step : min(step + STEP, end)].encode("utf-16-le")) // 2 for step in steps)


def _line_start(text: str, position: int) -> int:
    """`position`, or the beginning of its line when that is near."""
    found = text.rfind("\n", max(0, position - SNAP), position)
    return position if found < 0 else found + 1


def _line_end(text: str, position: int) -> int:
    """`position`, or the end of its line when that is near."""
    found = text.find("\n", position, position + SNAP)
    return position if found < 0 else found
