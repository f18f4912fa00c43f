"""XLSX → canonical text: sheets are sections, rows are blocks. The door of openpyxl."""

from __future__ import annotations

import datetime
import io
import re
import warnings
from collections import Counter
from contextlib import nullcontext
from typing import Any

import openpyxl

from rag.load.build import Builder, File, Loaded, document
from rag.load.ooxml import properties
from rag.load.table import FEW, Sheet, faint_cells
from rag.load.zipped import Members

_QUOTED = re.compile(r'"([^"]*)"|\\(.)|\[\$([^\]-]*)[^\]]*\]|_.|\*.|\[[^\]]*\]')
_PLACES = re.compile(r"[#0?,]*[0#?](?:\.([0#?]+))?")
_UNNAMED = re.compile(r"Sheet\d*")  # what programs call the only sheet: it says nothing, and every file would say it
_SIZE, _LARGER = 11.0, 1.12  # points of the usual font, when none is named; what a title is larger by
_NO_VALUE = re.compile(rb"</f>\s*(?:<v\s*/>|<v></v>)?\s*</c>")


def read(file: File) -> Loaded:
    """One document. Raises LoadError when the workbook is damaged, encrypted, or shows no text."""
    members = Members(file)
    unknown = 0
    for name in members.names:
        if name.endswith((".xml", ".rels")):
            data = members.read(name)
            members.check_xml(name, data)
            unknown += len(_NO_VALUE.findall(data)) if "worksheets/" in name else 0
    builder = Builder()
    hidden: list[str] = []
    left_out: Counter[str] = Counter()
    faint = 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # on styles and extensions, none of which we read
        book = openpyxl.load_workbook(io.BytesIO(file.data), read_only=True, data_only=True, keep_links=False)
        for sheet in book.worksheets:
            if sheet.sheet_state != "visible":
                hidden.append(sheet.title)
                left_out["hidden sheets"] += sum(len(str(v)) for r in sheet.values for v in r if v is not None)
            else:
                unnamed = len(book.worksheets) == 1 and _UNNAMED.fullmatch(sheet.title)
                with nullcontext() if unnamed else builder.under(f"Sheet {sheet.title}", 1):
                    faint += _sheet(builder, sheet)
        book.close()
    facts = properties(members)
    made = document(
        file,
        "xlsx/3",
        builder.text,
        blocks=tuple(builder.blocks),
        sections=builder.sections(),
        title=facts.title,
        date=facts.date,
        author=facts.author,
        language=facts.language,
    )
    problems = [f"hidden sheets left out: {', '.join(hidden)}"] if hidden else []
    if faint > FEW:
        problems.append(faint_cells(faint))
    if unknown:
        problems.append(f"{unknown} formulas without a stored value left out; open the file and save it again")
    return Loaded((made,), tuple(problems), left_out)


def _sheet(builder: Builder, sheet: Any) -> int:
    """How many characters stand in cells that show none."""
    faint, looks = 0, dict[int, bool]()
    sheet.reset_dimensions()  # what the file declares may be a million columns of nothing
    table = Sheet(builder)
    larger = _LARGER * (sheet.parent._fonts[0].sz or _SIZE)  # than the workbook's usual font
    for number, row in enumerate(sheet.iter_rows(), 1):
        cells = [(cell.value, cell) for cell in row]
        filled = [(value, cell) for value, cell in cells if value is not None]
        if filled:
            words = all(isinstance(value, str) for value, _ in filled)
            bold = words and all(cell.font and cell.font.b for _, cell in filled)
            size = (filled[0][1].font.sz or 0.0) if words and len(filled) == 1 else 0.0
            texts = [shown(v, c.number_format if v is not None else "") for v, c in cells]
            title = size if size > larger or (size and bold) else None
            table.row(number, texts, words=words, bold=bold, title=title)
            for text, (_, cell) in zip(texts, cells, strict=True):
                if text:
                    look = cell._style_id
                    if look not in looks:
                        looks[look] = _unseen(cell)
                    faint += len(text) * looks[look]
        else:
            table.row(number, (), words=False)
    return faint


def _unseen(cell: Any) -> bool:
    """Whether a cell's words are white on no ground, too small to be read, or shown by no format."""
    font, ground = cell.font, cell.fill.patternType in (None, "none")
    colour = font.color
    white = colour is not None and (colour.rgb == "FFFFFFFF" if colour.type == "rgb" else _paper(colour))
    return (white and ground) or (font.sz or _SIZE) < 1.5 or cell.number_format == ";;;"


def _paper(colour: Any) -> bool:
    return colour.type == "theme" and colour.theme == 0 and not colour.tint


def shown(value: object, pattern: str) -> str:
    """A cell's value as its number format shows it: percentages, decimals, thousands, currency, dates."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    if isinstance(value, datetime.datetime):
        return str(value.date()) if value.time() == datetime.time() else str(value)
    if not isinstance(value, int | float):
        return str(value)
    first = (pattern or "General").split(";")[0]
    bare = _QUOTED.sub("", first)
    places = _PLACES.search(bare)
    if places is None or re.search(r"[a-zA-Z/]", bare):
        return f"{value:.15g}" if isinstance(value, float) else str(value)  # as many places as the programs keep
    decimals = len(places[1] or "")
    figure = value * 100 if "%" in bare else value
    words = f"{abs(figure):{',' if ',' in places[0] else ''}.{decimals}f}"
    literal = _QUOTED.sub(lambda found: found[1] or found[2] or found[3] or "", first)
    before, _, after = literal.partition(places[0])
    return f"{'-' if figure < 0 else ''}{before.strip()}{words}{after.rstrip()}"
