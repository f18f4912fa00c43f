"""Printed lines → the rows and cells of tables, found by the columns that their words begin in.

A table is printed cell by cell, each of one or more lines, or line by line across. What begins to the right of the cell
before and no lower than its row is the next cell; what begins to the left is the next row.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from rag.load.glyphs import Line

_SAME = 2.5  # points: how exactly the lines of a column begin
_LONGEST = 8  # lines of one cell


@dataclass(slots=True)
class Cell:
    """The lines of one cell; `at` is -1 for a line end."""

    left: float
    base: float  # of its last line
    text: str
    at: array[int] = field(repr=False)


@dataclass(slots=True)
class Row:
    """One row of a table, and the line that it ends with."""

    cells: list[Cell]
    last: Line
    top: float
    bottom: float
    bold: bool  # all of it


def tables(lines: Sequence[Line]) -> Iterator[tuple[int, int, list[Row]]]:
    """First line, end and rows of every table of a page."""
    seeds = [bool(line.gaps) or _beside(lines, at) is not None for at, line in enumerate(lines)]
    at = done = 0
    while at < len(lines):
        if not seeds[at]:
            at += 1
            continue
        beside = _beside(lines, at)
        first = max(done, at if beside is None else beside)
        end = _end(lines, seeds, first, at + 1)
        rows = _rows(lines[first:end])
        if sum(len(row.cells) > 1 for row in rows) > 1 or any(len(row.cells) > 2 for row in rows):
            yield first, end, rows
            done = end
        at = max(end if done == end else at + 1, at + 1)


def _beside(lines: Sequence[Line], at: int) -> int | None:
    """The line shortly before that this one stands to the right of."""
    line = lines[at]
    for before in range(at - 1, max(-1, at - 1 - _LONGEST), -1):
        other = lines[before]
        if abs(other.base - line.base) < 0.25 * line.size and other.box[2] + 0.5 * line.size < line.box[0]:
            return before
    return None


def _lefts(lines: Sequence[Line]) -> list[float]:
    """Where the columns begin: where lines do, and the words after wide gaps."""
    found = [line.box[0] for line in lines]
    return sorted(found + [x for line in lines for place, x in line.starts if place in line.gaps])


def _end(lines: Sequence[Line], seeds: Sequence[bool], first: int, end: int) -> int:
    """Where the table that begins with the lines `first:end` ends."""
    for at in range(end, len(lines)):
        if at - end > _LONGEST or lines[at - 1].base - lines[at].base > 4 * lines[at].size:
            break
        if seeds[at]:
            end = at + 1
        elif not _fits(lines[at], _lefts(lines[first : at + 2])):
            break
    lefts = _lefts(lines[first:end])
    while end < len(lines) and _continues(lines[end], lines[end - 1], lefts):
        end += 1
    return end


def _fits(line: Line, lefts: Sequence[float]) -> bool:
    """Whether a line keeps within a column, or is parted where one begins."""
    if any(abs(x - left) < _SAME for _, x in line.starts for left in lefts):
        return True
    beyond = next((left for left in lefts if left > line.box[0] + 2 * _SAME), None)
    return beyond is None or line.box[2] < beyond


def _continues(line: Line, before: Line, lefts: Sequence[float]) -> bool:
    """Whether a line is one more of the last cell, which is not in the first column."""
    return (
        0 < before.base - line.base < 1.6 * line.size
        and line.box[0] > lefts[0] + 2 * _SAME
        and any(abs(line.box[0] - left) < _SAME for left in lefts)
    )


def _rows(lines: Sequence[Line]) -> list[Row]:
    lefts = _lefts(lines)
    rows: list[Row] = []
    for line in lines:
        for piece in _pieces(line, lefts):
            row = rows[-1] if rows else None
            cell = row.cells[-1] if row else None
            if row is None or cell is None or piece.left < cell.left - _SAME:
                rows.append(Row([piece], line, piece.base, piece.base, line.bold))
                continue
            started, down = len(rows), cell.base - piece.base
            if piece.left <= cell.left + _SAME and down > 0:  # below the cell before
                if len(row.cells) > 1 or down < 1.5 * line.size:
                    cell.text += "\n" + piece.text
                    cell.at.append(-1)
                    cell.at.extend(piece.at)
                    cell.base, row.last = piece.base, line
                    row.bottom = min(row.bottom, piece.base)
                else:
                    rows.append(Row([piece], line, piece.base, piece.base, line.bold))
            elif row.bottom - 0.5 * line.size < piece.base < row.top + 3 * line.size:
                row.cells.append(piece)
                row.last, row.bottom = line, min(row.bottom, piece.base)
            else:
                rows.append(Row([piece], line, piece.base, piece.base, line.bold))
            if len(rows) == started:
                row.bold = row.bold and line.bold
    return rows


def _pieces(line: Line, lefts: Sequence[float]) -> Iterator[Cell]:
    """A line cut at wide gaps, and at narrower ones where a column begins."""
    cuts = [
        (place, x) for place, x in line.starts if place in line.gaps or sum(abs(x - left) < _SAME for left in lefts) > 1
    ]
    begin, left = 0, line.box[0]
    for place, x in [*cuts, (len(line.text), 0.0)]:
        yield Cell(left, line.base, line.text[begin:place], line.at[begin:place])
        begin, left = place + 1, x
