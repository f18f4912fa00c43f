"""ODS → canonical text: sheets are sections, rows are blocks, cells as the file shows them."""

from __future__ import annotations

from collections import Counter
from xml.etree.ElementTree import Element

from rag.errors import LoadError
from rag.load.build import Builder, File, Loaded, document
from rag.load.odf import Odf, paragraphs, unseen
from rag.load.odt import rows_of
from rag.load.table import FEW, Sheet, faint_cells
from rag.load.zipped import attribute, local

CELLS = 2_000_000  # of all sheets; a file may say that a cell or row is there a million times
REPEATS = 1_000  # of one row; more would make a large document of a small file
_CELL = ("table-cell", "covered-table-cell")


def read(file: File) -> Loaded:
    """One document. Raises LoadError when the file is damaged, encrypted, shows no text, or more than CELLS."""
    odf = Odf(file)
    builder = Builder()
    hidden: list[str] = []
    problems = list(odf.problems())
    left_out: Counter[str] = Counter()
    room, faint = CELLS, 0
    for sheet in odf.body if odf.body is not None else ():
        if local(sheet) != "table":
            continue
        name = attribute(sheet, "name") or ""
        if odf.look("table", attribute(sheet, "style-name")).get("display") == "false":
            hidden.append(name)
            left_out["hidden sheets"] += sum(map(len, sheet.itertext()))
            continue
        with builder.under(f"Sheet {name}", 1):
            room, unread = _sheet(builder, odf, sheet, room, file.id, problems)
            faint += unread
    made = document(
        file, "ods/2", builder.text, blocks=tuple(builder.blocks), sections=builder.sections(), **odf.facts()
    )
    if faint > FEW:
        problems.append(faint_cells(faint))
    if hidden:
        problems.append(f"hidden sheets left out: {', '.join(hidden)}")
    return Loaded((made,), tuple(problems), left_out)


def _sheet(builder: Builder, odf: Odf, sheet: Element, room: int, name: str, problems: list[str]) -> tuple[int, int]:
    """How many cells may follow, and how many characters stand in cells that show none."""
    table, number, faint = Sheet(builder), 1, 0
    for row, _ in rows_of(sheet):
        cells: list[str] = []
        kinds, bold, blank = set[str](), True, 0
        for cell in (cell for cell in row if local(cell) in _CELL):
            text = _shown(odf, cell)
            if not text:
                blank += _times(cell, "number-columns-repeated")
                continue
            times = _times(cell, "number-columns-repeated")
            if len(cells) + blank + times > room:
                raise LoadError(f"{name}: more than {CELLS} cells; cut it into parts")
            cells += [*[""] * blank, *[text] * times]
            blank = 0
            kinds.add(attribute(cell, "value-type") or "string")
            look = odf.look("table-cell", attribute(cell, "style-name"))
            bold = bold and look.get("font-weight") == "bold"
            faint += len(text) if unseen(look, True) else 0
        times = _times(row, "number-rows-repeated")
        if cells and times > REPEATS:
            problems.append(f"row {number} stands there {times} times; it is written {REPEATS} times")
        written = min(times, REPEATS) if cells else 1
        room -= len(cells) * written
        if room < 0:
            raise LoadError(f"{name}: more than {CELLS} cells; cut it into parts")
        for at in range(number, number + written):
            table.row(at, cells, words=kinds == {"string"}, bold=bold)
        number += times
    return room, faint


def _shown(odf: Odf, cell: Element) -> str:
    """The words of a cell; its value where a program stored no words."""
    words = " ".join(filter(None, (odf.words(paragraph, False).text for paragraph in paragraphs(cell))))
    return words or attribute(cell, "string-value") or attribute(cell, "date-value") or attribute(cell, "value") or ""


def _times(element: Element, name: str) -> int:
    value = attribute(element, name) or "1"
    return int(value) if value.isdecimal() and len(value) < 10 else 1
