"""Tables that run over the end of a page of a PDF, and which row is their head."""

from __future__ import annotations

import re
from array import array
from collections.abc import Sequence

from rag.load.lines import Part

_SAME = 2.5  # points: how exactly the cells of a column begin
_FIGURE = re.compile(r"\d")


def table_goes_on(before: Part, part: Part, head: Part) -> bool:
    """Whether a row, the first of its page, is one more of the table that the page before ends with: it prints the
    head again, or has the same columns."""
    return part.page == before.page + 1 and (part.words.split() == head.words.split() or _within(part, head))


def row_goes_on(before: Part, part: Part) -> bool:
    """Whether a row, the first of a page but for the head, is the rest of the last row of the page before.

    It has fewer cells, in the same columns, and begins in the midst of a sentence where it begins in the first one.
    """
    return (
        part.page == before.page + 1
        and len(part.cells) < len(before.cells)
        and _within(part, before)
        and (abs(part.cells[0][0] - before.cells[0][0]) >= _SAME or part.words[:1].islower())
    )


def join_row(before: Part, part: Part) -> None:
    """Append each cell to the one above it."""
    for left, words, at in part.cells:
        column = min(range(len(before.cells)), key=lambda number: abs(before.cells[number][0] - left))
        place, above, there = before.cells[column]
        before.cells[column] = place, f"{above}\n{words}", array("q", [*there, -1, *at])
    before.set_row(before.cells)
    before.page, before.last = part.page, part.last


def is_head(first: Part, body: Sequence[Part]) -> bool:
    """Whether the first row of a table names the columns: it is printed again on a later page, alone in bold, or words
    above a column of figures."""
    width = len(first.cells)
    if not body or width < 2 or any(len(row.cells) > width for row in body):
        return False
    if first.repeated or (first.bold and not any(row.bold for row in body)):
        return True
    full = [row for row in body if len(row.cells) == width]
    return (
        len(full) > 1
        and not _FIGURE.search(first.words)
        and any(all(_FIGURE.search(row.cells[column][1]) for row in full) for column in range(1, width))
    )


def _within(part: Part, other: Part) -> bool:
    """Whether every cell begins where one of the other row does."""
    return all(any(abs(left - there) < _SAME for there, _, _ in other.cells) for left, _, _ in part.cells)
