"""Tables that run over the end of a page of a PDF, and which row is their head."""

from __future__ import annotations

import re
from array import array
from collections.abc import Sequence

from rag.load.lines import Part, Placed

_SAME = 2.5  # points: how exactly the cells of a column begin
_FIGURE = re.compile(r"\d")


def table_goes_on(before: Part, part: Part, head: Part) -> bool:
    """Whether a row right after another one, perhaps the first of the next page, is one more of its table: it prints
    the head again, or has the same columns."""
    again = part.page == before.page + 1 and _beneath(part, head) is not None
    return again or (part.page in (before.page, before.page + 1) and _within(part, head))


def without_head(part: Part, head: Part) -> bool:
    """Take the head, printed again, out of a row, whose cells may go on below it. Whether it was there."""
    rest = _beneath(part, head)
    if rest is None:
        return False
    part.set_row([cell for cell in rest if cell.words])
    head.repeated = True
    return True


def row_goes_on(before: Part, part: Part) -> bool:
    """Whether a row, the first of a page but for the head, is the rest of the last row of the page before.

    It has fewer cells, in the same columns, and begins in the midst of a sentence where it begins in the first one.
    """
    return (
        part.page == before.page + 1
        and len(part.cells) < len(before.cells)
        and _within(part, before)
        and (abs(part.cells[0].left - before.cells[0].left) >= _SAME or part.words[:1].islower())
    )


def join_row(before: Part, part: Part) -> None:
    """Append each cell to the one above it."""
    for cell in part.cells:
        column = min(range(len(before.cells)), key=lambda number: abs(before.cells[number].left - cell.left))
        above = before.cells[column]
        at = array("q", [*above.at, -1, *cell.at])
        before.cells[column] = Placed(above.left, f"{above.words}\n{cell.words}", at)
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
        and any(all(_FIGURE.search(row.cells[column].words) for row in full) for column in range(1, width))
    )


def _within(part: Part, other: Part) -> bool:
    """Whether every cell begins where one of the other row does."""
    return all(any(abs(mine.left - cell.left) < _SAME for cell in other.cells) for mine in part.cells)


def _beneath(part: Part, head: Part) -> list[Placed] | None:
    """What the cells of a row hold below the words of the head; None when they do not begin with these."""
    if len(part.cells) != len(head.cells):
        return None
    rest: list[Placed] = []
    for cell, name in zip(part.cells, (cell.words for cell in head.cells), strict=True):
        if f"{cell.words}\n"[: len(name) + 1] != f"{name}\n":
            return None
        rest.append(Placed(cell.left, cell.words[len(name) + 1 :], cell.at[len(name) + 1 :]))
    return rest
