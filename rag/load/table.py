"""Rows of a sheet → canonical text: each row is one block, and its section names the header and the row.

A sheet may hold prose as well: a row of one cell that is set as a title is a heading, and one that holds sentences and
stands outside of a table is a paragraph.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from rag.load.build import Builder

_LONGEST_HEADING = 200  # characters
_LONGEST_NAME = 80  # characters: what is longer is prose
_SENTENCE = re.compile(r"[.!?…:][\"'”’»)\]]*(?:\s|$)")


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
        prose = filled == 1 and (len(cells[-1]) > _LONGEST_NAME or _SENTENCE.search(cells[-1]))
        if prose and self._blank:
            self._header, self._table = "", None
        begins = filled > 1 and words and (self._table is None or (self._blank and bold))
        if begins:
            self._header, self._table = "", object()
        if prose and self._table is None:
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
