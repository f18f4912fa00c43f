"""CSV and TSV → canonical text: a record is a row, its section names the header and the record's number."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence

from rag.errors import LoadError
from rag.load.build import Builder, File, Loaded, document
from rag.load.decode import text_of
from rag.load.table import Sheet

_FIGURE = re.compile(r"[\s$£€¥%(),.:/+\-\d]*\d[\s$£€¥%(),.:/+\-\d]*")
_WIDEST = 10 << 20  # characters of one field


def read(file: File) -> Loaded:
    """One document. Raises LoadError when the file is no text, shows none, or has a field without end."""
    text, notes = text_of(file)
    csv.field_size_limit(_WIDEST)
    builder = Builder()
    sheet = Sheet(builder)
    try:
        for number, cells in enumerate(csv.reader(io.StringIO(text, newline=""), delimiter=_delimiter(text)), 1):
            sheet.row(number, cells, words=not any(_FIGURE.fullmatch(cell) for cell in cells))
    except csv.Error as error:
        raise LoadError(f"{file.id}: not CSV ({error}); save it again, or name it .txt") from None
    made = document(file, "csv/3", builder.text, blocks=tuple(builder.blocks), sections=builder.sections())
    return Loaded((made,), notes)


def _delimiter(text: str) -> str:
    """The one of , ; tab | that parts the first lines most evenly."""
    lines = [line for line in text[:20_000].split("\n")[:20] if line.strip()]

    def evenness(sign: str) -> tuple[int, int]:
        counts: Sequence[int] = [line.count(sign) for line in lines]
        usual = max(set(counts), key=counts.count, default=0)
        return (counts.count(usual) if usual else 0, usual)

    return max(",;\t|", key=evenness)
