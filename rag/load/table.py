"""Rows of a sheet → canonical text: each row is one block, and its section names the header and the row."""

from __future__ import annotations

from collections.abc import Sequence

from rag.load.build import Builder


class Sheet:
    """Writes the rows of one sheet. The header is the first row of several cells that are all words."""

    def __init__(self, builder: Builder) -> None:
        self._builder = builder
        self._header = ""
        self._table: object = None
        self._blank = True

    def row(self, number: int, cells: Sequence[str], *, words: bool, bold: bool = False) -> None:
        """Write row `number` (from 1, as the sheet counts). `words`: no cell is a number or date."""
        cells = [" ".join(cell.split()) for cell in cells]
        while cells and not cells[-1]:
            cells.pop()
        filled = sum(map(bool, cells))
        if not filled:
            self._blank = True
            return
        begins = filled > 1 and words and (self._table is None or (self._blank and bold))
        if begins:
            self._header, self._table = "", object()
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
