"""ODT → canonical text: headings, lists with their numbers, tables by rows. Comments, deletions and macros stay out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from xml.etree.ElementTree import Element

from rag.load.build import Builder, File, Loaded, document
from rag.load.numbering import figure
from rag.load.odf import BOXES, Odf, level_of, paragraphs
from rag.load.table import Cell, write_table
from rag.load.zipped import attribute, local

_INSIDE = BOXES | frozenset(
    "numbered-paragraph index-body alphabetical-index bibliography illustration-index object-index table-index "
    "user-index a".split()
)
_FIGURES = {"a": "lowerLetter", "A": "upperLetter", "i": "lowerRoman", "I": "upperRoman"}
_INDENT = 16  # characters before a nested item, at most


def read(file: File) -> Loaded:
    """One document. Raises LoadError when the file is damaged, encrypted, or shows no text."""
    odf = Odf(file)
    writer = Writer(odf)
    writer.container(odf.body if odf.body is not None else (), odf.on_paper)
    builder, facts = writer.builder, odf.facts()
    made = document(
        file,
        "odt/1",
        builder.text,
        blocks=tuple(builder.blocks),
        sections=builder.sections(),
        **{**facts, "title": facts["title"] or (builder.headings[0][1] if builder.headings else "")},
    )
    return Loaded((made,), (*odf.problems(), *writer.problems()), +writer.left_out)


@dataclass(slots=True)
class _Counts:
    """The numbers of a list, by depth from 1."""

    style: str = ""
    at: dict[int, int] = field(default_factory=dict)

    def next(self, depth: int, start: int) -> None:
        self.at[depth] = self.at[depth] + 1 if depth in self.at else start
        self.at = {level: count for level, count in self.at.items() if level <= depth}


class Writer:
    """Walks a body, a text box or a note. Elements are told by local names."""

    def __init__(self, odf: Odf) -> None:
        self.odf = odf
        self.builder = Builder()
        self.left_out: Counter[str] = Counter()
        self._group: object = None  # of the list at hand
        self._outline = _Counts()
        self._counts: dict[str, _Counts] = {}  # by style and by id of a list

    def container(self, elements: Iterable[Element], on_paper: bool) -> None:
        """Write the paragraphs, lists and tables among `elements`."""
        for inner in elements:
            name = local(inner)
            if name in ("p", "h"):
                self._paragraph(inner, on_paper)
            elif name == "list":
                self._list(inner, on_paper)
            elif name == "table":
                self._table(inner, on_paper)
            elif name == "section" and attribute(inner, "display") == "none":
                self.left_out["hidden text"] += sum(map(len, inner.itertext()))
            elif name == "table-of-content":
                self.left_out["table of contents"] += sum(map(len, inner.itertext()))
            elif name in _INSIDE or name == "section":
                self.container(inner, on_paper and name not in BOXES)

    def problems(self) -> tuple[str, ...]:
        hidden = self.left_out["hidden text"]
        return (f"{hidden} characters of hidden text left out",) if hidden > 20 else ()

    def _paragraph(self, paragraph: Element, on_paper: bool, depth: int = 0, marker: str = "") -> None:
        """Write a paragraph, a heading, or with a `marker` an item."""
        words = self.odf.words(paragraph, on_paper)
        self.left_out["hidden text"] += words.hidden
        if words.text:
            style = attribute(paragraph, "style-name") or ""
            if local(paragraph) == "h":
                level = max(1, min(9, _whole(attribute(paragraph, "outline-level"))))
                number = marker.strip("- ") or self._heading_number(paragraph, level)
                title = " ".join(words.text.split())
                self.builder.write("heading", f"{number} {title}" if number else title, level=level)
                self._group = None
            elif any(attribute(s, "name") == "Title" for s in self.odf.chain("paragraph", style)):
                self.builder.write("heading", " ".join(words.text.split()), level=0)
                self._group = None
            elif marker:
                self._group = self._group or object()
                indent = ("  " * (depth - 1))[:_INDENT]
                self.builder.write("item", words.text, marker=f"{indent}{marker} ", group=self._group)
            else:
                self.builder.write("paragraph", words.text)
                self._group = None
        for inner in words.apart:
            self.container(inner, on_paper and local(inner) == "note-body")

    def _heading_number(self, heading: Element, level: int) -> str:
        part = level_of(self.odf.outline, level)
        if part is None or not attribute(part, "num-format") or attribute(heading, "is-list-header") == "true":
            return ""
        self._outline.next(level, _whole(attribute(part, "start-value")))
        return self._number(self._outline, part, level)

    def _list(self, element: Element, on_paper: bool) -> None:
        style = attribute(element, "style-name") or ""
        earlier = attribute(element, "continue-list") or (
            style if attribute(element, "continue-numbering") == "true" else None
        )
        counts = self._counts.get(earlier or "") or _Counts()
        self._counts[style] = self._counts[attribute(element, "id") or style] = counts
        self._items(element, on_paper, counts, style, 1)

    def _items(self, element: Element, on_paper: bool, counts: _Counts, style: str, depth: int) -> None:
        style = attribute(element, "style-name") or style
        level = self.odf.level(style, depth)
        for item in element:
            marked = local(item) != "list-item"  # a header of the list has no number
            for inner in item:
                if local(inner) == "list":
                    self._items(inner, on_paper, counts, style, depth + 1)
                elif local(inner) in ("p", "h") and not marked:
                    marked = True
                    if start := attribute(item, "start-value"):
                        counts.at.pop(depth, None)
                    counts.next(depth, _whole(start or attribute(level, "start-value")))
                    self._paragraph(inner, on_paper, depth, self._number(counts, level, depth) or "-")
                else:
                    self.container((inner,), on_paper)

    def _number(self, counts: _Counts, level: Element | None, depth: int) -> str:
        """The number as it is printed; "" for a bullet."""
        pattern = attribute(level, "num-format")
        if not pattern:
            return ""
        shown = _whole(attribute(level, "display-levels"))
        figures = (
            figure(counts.at.get(at, 1), _FIGURES.get(pattern, "")) for at in range(depth - shown + 1, depth + 1)
        )
        number = ".".join(figures)
        return f"{attribute(level, 'num-prefix') or ''}{number}{attribute(level, 'num-suffix') or ''}".strip()

    def _table(self, table: Element, on_paper: bool) -> None:
        self._group = None
        rows = [([cell for cell in row if local(cell) == "table-cell"], heads) for row, heads in rows_of(table)]
        if len(rows) == 1 and len(rows[0][0]) == 1:  # a frame around text
            self.container(rows[0][0][0], False)
        else:
            write_table(self.builder, (([self._cell(cell) for cell in cells], heads) for cells, heads in rows))

    def _cell(self, cell: Element) -> Cell:
        found = [self.odf.words(paragraph, False) for paragraph in paragraphs(cell)]
        self.left_out["hidden text"] += sum(words.hidden for words in found)
        return Cell.of(found)


def rows_of(table: Element, heads: bool = False) -> Iterator[tuple[Element, bool]]:
    """The rows of a table, and whether each is a head that is printed again on every page."""
    for inner in table:
        if local(inner) == "table-row":
            yield inner, heads
        elif local(inner) in ("table-header-rows", "table-rows", "table-row-group"):
            yield from rows_of(inner, local(inner) == "table-header-rows" or heads)


def _whole(value: str | None) -> int:
    return int(value) if value and value.isdecimal() and len(value) < 7 else 1
