"""DOCX → canonical text: headings by style, lists with their numbers, tables by rows. Macros and comments stay out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from xml.etree.ElementTree import Element

from rag.load.build import Builder, File, Loaded, document
from rag.load.numbering import Numbering
from rag.load.ooxml import Relation, main_part, properties, relations
from rag.load.table import Cell, write_table
from rag.load.zipped import Members, attribute, child, local

_INSIDE = frozenset("sdt sdtContent customXml smartTag ins moveTo hyperlink fldSimple r dir bdo Choice".split())
_NOTES: tuple[str, ...] = ("footnotes", "endnotes")
_SKIPPED = frozenset("pPr rPr del moveFrom instrText sdtPr".split())
_OFF = ("0", "false", "off")
_PLAIN_TABLES = frozenset({"", "normal table", "table grid", "table normal"})
_INDENT = 16  # characters before a nested item, at most
_TINY = 3  # half points


@dataclass(slots=True)
class _Words:
    """The text of one paragraph and what hangs on it."""

    parts: list[str] = field(default_factory=list)
    bold: bool = True
    notes: list[Element] = field(default_factory=list)
    boxes: list[Element] = field(default_factory=list)

    @property
    def text(self) -> str:
        lines = "".join(self.parts).split("\n")
        return "\n".join(" ".join(line.split(" ")).strip() for line in lines).strip()


def read(file: File) -> Loaded:
    """One document. Raises LoadError when the file is damaged, encrypted, or shows no text."""
    members = Members(file)
    part = main_part(file, members)
    writer = _Writer(members, relations(members, part))
    root = members.xml(part)
    writer.on_paper = child(root, "background") is None
    writer.container(child(root, "body") or root)
    builder = writer.builder
    facts = properties(members)
    made = document(
        file,
        "docx/2",
        builder.text,
        blocks=tuple(builder.blocks),
        sections=builder.sections(),
        title=facts.title or (builder.headings[0][1] if builder.headings else ""),
        date=facts.date,
        author=facts.author,
        language=facts.language,
    )
    hidden = writer.left_out["hidden text"]
    problems = (f"{hidden} characters of hidden text left out",) if hidden > 20 else ()
    return Loaded((made,), problems, +writer.left_out)


class _Writer:
    """Walks the body. Elements are told by local names, so that strict files read like the usual ones."""

    def __init__(self, members: Members, parts: dict[str, Relation]) -> None:
        self.builder = Builder()
        self.left_out: Counter[str] = Counter()
        self.on_paper = True  # nothing but white lies behind the text
        self._list: object = None
        by_kind = {relation.kind: relation.target for relation in parts.values() if relation.target in members}
        self._styles = (
            {attribute(s, "styleId") or "": s for s in members.xml(by_kind["styles"]) if local(s) == "style"}
            if "styles" in by_kind
            else {}
        )
        self._numbering = Numbering(members.xml(by_kind["numbering"]) if "numbering" in by_kind else None)
        self._notes = {
            (kind, attribute(note, "id") or ""): note
            for kind in _NOTES
            if kind in by_kind
            for note in members.xml(by_kind[kind])
            if attribute(note, "type") not in ("separator", "continuationSeparator", "continuationNotice")
        }
        for relation in parts.values():
            if relation.kind in ("header", "footer") and relation.target in members:
                words = (e.text or "" for e in members.xml(relation.target).iter() if local(e) == "t")
                self.left_out["running heads and feet"] += sum(map(len, words))

    def container(self, element: Element) -> None:
        """Write the paragraphs and tables of a body, a text box or a note."""
        stack = [iter(element)]
        while stack:
            inner = next(stack[-1], None)
            if inner is None:
                stack.pop()
            elif local(inner) == "p":
                self._paragraph(inner)
            elif local(inner) == "tbl":
                self._table(inner)
            elif local(inner) in _INSIDE:
                stack.append(iter(inner))

    def _paragraph(self, paragraph: Element) -> None:
        styles = list(self._chain(paragraph))
        shaded = any(child(style, "pPr", "shd") is not None or child(style, "shd") is not None for style in styles)
        words = self._words(paragraph, self.on_paper and not shaded)
        if words.text:
            level = self._level(styles)
            number = self._number(styles)
            if level is not None:
                marker = number[1] if number else ""
                self.builder.write("heading", f"{marker} {words.text}" if marker else words.text, level=level)
                self._list = None
            elif number:
                self._list = self._list or object()
                indent = ("  " * number[0])[:_INDENT]
                self.builder.write("item", words.text, marker=f"{indent}{number[1] or '-'} ", group=self._list)
            else:
                self.builder.write("paragraph", words.text)
                self._list = None
        for inner in words.notes:
            self.container(inner)
        for inner in words.boxes:
            self._coloured(inner)

    def _coloured(self, element: Element) -> None:
        """Write a container whose ground may have any colour."""
        before, self.on_paper = self.on_paper, False
        self.container(element)
        self.on_paper = before

    def _words(self, paragraph: Element, on_paper: bool = False) -> _Words:
        words = _Words()
        stack = [(inner, False) for inner in reversed(paragraph)]
        while stack:
            element, bold = stack.pop()
            name = local(element)
            if name == "t":
                text = (element.text or "").replace("\n", " ")
                words.parts.append(text)
                words.bold = words.bold and (bold or not text.strip())
            elif name in ("tab", "ptab"):
                words.parts.append(" ")
            elif name in ("br", "cr"):
                words.parts.append("\n")
            elif name == "noBreakHyphen":
                words.parts.append("\u2011")
            elif name in ("footnoteReference", "endnoteReference"):
                note = self._notes.get((name.replace("Reference", "s"), attribute(element, "id") or ""))
                words.notes += [note] if note is not None else []
            elif name == "r":
                look = child(element, "rPr")
                if _on(look, "vanish") or _unseen(look, on_paper):
                    self.left_out["hidden text"] += sum(len(e.text or "") for e in element.iter() if local(e) == "t")
                    continue
                stack += [(inner, _on(look, "b")) for inner in reversed(element)]
            elif name == "txbxContent":
                words.boxes.append(element)
            elif name == "AlternateContent":  # the same thing twice, for newer and for older readers
                chosen = (
                    child(element, "Choice") if child(element, "Choice") is not None else child(element, "Fallback")
                )
                stack += [(inner, bold) for inner in reversed(chosen)] if chosen is not None else []
            elif name not in _SKIPPED:
                stack += [(inner, bold) for inner in reversed(element)]
        return words

    def _table(self, table: Element) -> None:
        self._list = None
        style = self._styles.get(attribute(child(table, "tblPr", "tblStyle"), "val") or "")
        styled = (attribute(child(style, "name"), "val") or "").lower() not in _PLAIN_TABLES
        look = child(table, "tblPr", "tblLook")
        first_row = styled and (
            attribute(look, "firstRow") not in (None, *_OFF) or int(attribute(look, "val") or "0", 16) & 0x20 != 0
        )
        rows = [
            (list(_below(row, "tc")), _on(child(row, "trPr"), "tblHeader") or (first_row and not number))
            for number, row in enumerate(_below(table, "tr"))
        ]
        if len(rows) == 1 and len(rows[0][0]) == 1:  # a frame around text
            self._coloured(rows[0][0][0])
        else:
            write_table(self.builder, (([self._cell(cell) for cell in cells], head) for cells, head in rows))

    def _cell(self, cell: Element) -> Cell:
        return Cell.of(self._words(paragraph) for paragraph in cell.iter() if local(paragraph) == "p")

    def _chain(self, paragraph: Element) -> Iterator[Element]:
        """The paragraph's own properties, then those of its style and of the styles that it is based on."""
        own = child(paragraph, "pPr")
        if own is not None:
            yield own
        name, seen = attribute(child(own, "pStyle"), "val") or "", set[str]()
        while name in self._styles and name not in seen:
            seen.add(name)
            style = self._styles[name]
            yield style
            name = attribute(child(style, "basedOn"), "val") or ""

    def _level(self, styles: list[Element]) -> int | None:
        """The level of a heading, 0 being the document's title; None for other paragraphs."""
        for element in styles:
            name = (attribute(child(element, "name"), "val") or "").lower()
            if name == "title":
                return 0
            if name.startswith("heading ") and name[8:].isdigit():
                return min(9, int(name[8:]))
            properties = child(element, "pPr") if local(element) == "style" else element
            level = attribute(child(properties, "outlineLvl"), "val") or ""
            if level.isdigit():
                return int(level) + 1 if int(level) < 9 else None
        return None

    def _number(self, styles: list[Element]) -> tuple[int, str] | None:
        """How deep an item lies, and the number that is printed before it ("" for a bullet)."""
        depth = ""
        for element in styles:
            properties = child(element, "pPr") if local(element) == "style" else element
            numbered = child(properties, "numPr")
            depth = depth or attribute(child(numbered, "ilvl"), "val") or ""
            if name := attribute(child(numbered, "numId"), "val"):
                return self._numbering.next(name, int(depth) if depth.isdigit() else 0)
        return None


def _unseen(look: Element | None, on_paper: bool) -> bool:
    """Whether a run is too small to be read, or white on nothing."""
    half_points = attribute(child(look, "sz"), "val") or ""
    if half_points.isdigit() and int(half_points) < _TINY:
        return True
    white = (attribute(child(look, "color"), "val") or "").upper() == "FFFFFF"
    return on_paper and white and child(look, "shd") is None and child(look, "highlight") is None


def _on(properties: Element | None, name: str) -> bool:
    switch = child(properties, name)
    return switch is not None and attribute(switch, "val") not in _OFF


def _below(element: Element, name: str) -> Iterator[Element]:
    """The rows of a table or the cells of a row, also inside content controls."""
    for inner in element:
        if local(inner) == name:
            yield inner
        elif local(inner) in _INSIDE:
            yield from _below(inner, name)
