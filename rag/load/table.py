"""Rows → canonical text: each row of a table is one block, and its section names the header; in a sheet also the row.

A sheet may hold prose as well: a row of one cell that is set as a title is a heading, and outside of a table one that
begins with the sign or the number of a list is an item, and one that holds sentences a paragraph.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple, Protocol, Self

from rag.load.build import Builder
from rag.load.numbering import BULLET, marker_of

_LONGEST_HEADING = 200  # characters
FEW = 20  # characters in faint type that are not worth a line
_LONGEST_NAME = 80  # characters: what is longer is prose
_SENTENCE = re.compile(r"[.!?…:][\"'”’»)\]]*(?:\s|$)")


class Words(Protocol):
    """A paragraph as a loader reads it: its text, and whether all of it is bold."""

    bold: bool

    @property
    def text(self) -> str: ...


class Cell(NamedTuple):
    """A cell of a table in one line."""

    words: str
    bold: bool = False

    @classmethod
    def of(cls, paragraphs: Iterable[Words]) -> Self:
        filled = [paragraph for paragraph in paragraphs if paragraph.text]
        words = " ".join(" ".join(paragraph.text.split()) for paragraph in filled)
        return cls(words, all(paragraph.bold for paragraph in filled))


def write_table(builder: Builder, rows: Iterable[tuple[Sequence[Cell], bool]]) -> None:
    """Write a table: the cells of each row, and whether the file marks it as a head. Before other rows, one of several
    cells that are all bold is a head too."""
    group, header, body = object(), "", (0, 0)
    for cells, head in rows:
        if not any(cell.words for cell in cells):
            continue
        words = " | ".join(cell.words for cell in cells)
        block = builder.write("row", words, group=group)
        if not body[1] and (head or (len(cells) > 1 and all(cell.bold for cell in cells if cell.words))):
            header = words
        else:
            body = (body[0] if body[1] else block.start, block.end)
    if header and body[1]:
        builder.section(header, *body)


def faint_cells(characters: int) -> str:
    """What is said of cells whose words a reader of the sheet may not see. They are kept: a filter or a rule of the
    sheet may colour the cell."""
    return f"{characters} characters stand in white, tiny or unshown type; they are kept, compare with the sheet"


class Sheet:
    """Writes the rows of one sheet. The header is the first row of several cells that are all words.

    Titles part a table without ending it; a blank row or a title, and then prose, ends it.
    """

    def __init__(self, builder: Builder) -> None:
        self._builder = builder
        self._header = ""
        self._table: object = None
        self._blank = True
        self._titles: list[float] = []  # sizes of the headings that hold here
        self._list = object()  # what the items of one list share

    def row(
        self, number: int, cells: Sequence[str], *, words: bool, bold: bool = False, title: float | None = None
    ) -> None:
        """Write row `number` (from 1, as the sheet counts). `words`: no cell is a number or date. `title`: the size, in
        points, in which a row of one cell is set, when that marks it as a heading."""
        cells = [" ".join(cell.split()) for cell in cells]
        while cells and not cells[-1]:
            cells.pop()
        filled = sum(map(bool, cells))
        if not filled:
            self._blank = True
            return
        if filled == 1 and title is not None and len(cells[-1]) <= _LONGEST_HEADING:
            self._heading(cells[-1], title)
            return
        item = BULLET.match(cells[-1]) if filled == 1 and words else None
        prose = filled == 1 and (item or len(cells[-1]) > _LONGEST_NAME or _SENTENCE.search(cells[-1]))
        if prose and self._blank:
            self._header, self._table = "", None
        begins = filled > 1 and words and (self._table is None or (self._blank and bold))
        if begins:
            self._header, self._table = "", object()
        if item and self._table is None:
            self._list = object() if self._blank else self._list
            marker = marker_of(item.group())
            block = self._builder.write("item", cells[-1][item.end() :], marker=marker, group=self._list)
        elif prose and self._table is None:
            block = self._builder.write("paragraph", cells[-1])
        else:
            block = self._builder.write("row", " | ".join(cells), group=self._table or self)
        if begins:
            self._header = " | ".join(cells)
        place = f"row {number}"
        if self._header and not begins:
            self._builder.section(self._header, block.start, block.end, place)
        else:
            self._builder.section(place, block.start, block.end)
        if filled > 1 and self._table is None:
            self._table = self  # a table that begins with figures has no header
        self._blank = False

    def _heading(self, words: str, size: float) -> None:
        """Below the larger ones that hold here; the sheet itself is at level 1."""
        while self._titles and self._titles[-1] <= size:
            self._titles.pop()
        self._builder.write("heading", words, level=min(6, 2 + len(self._titles)))
        self._titles.append(size)
        self._blank = True
