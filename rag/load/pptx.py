"""PPTX → canonical text: slides are pages, titles are headings, tables are rows, notes stand after their slide."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from xml.etree.ElementTree import Element

from rag.load.build import Builder, File, Loaded, document
from rag.load.numbering import figure
from rag.load.ooxml import main_part, properties, relations
from rag.load.table import FEW, Cell, write_table
from rag.load.zipped import Members, attribute, child, local

_MARGINS = frozenset({"dt", "ftr", "sldNum", "hdr"})
_TITLES = frozenset({"title", "ctrTitle"})
_INDENT = 16
_LONGEST_HEADING = 80  # characters
_TINY = 150  # hundredths of a point


def read(file: File) -> Loaded:
    """One document, one page a slide. Raises LoadError when the file is damaged, encrypted, or shows no text."""
    members = Members(file)
    part = main_part(file, members)
    parts = relations(members, part)
    writer = _Writer()
    hidden = []
    order = child(members.xml(part), "sldIdLst")
    for number, entry in enumerate(order if order is not None else (), 1):
        keys = [value for key, value in entry.attrib.items() if key.startswith("{")]  # r:id, beside a plain id
        relation = next((parts[key] for key in keys if key in parts), None)
        slide = members.xml(relation.target) if relation and relation.target in members else None
        with writer.builder.page(str(number)):
            if slide is None or not relation:
                continue
            if attribute(slide, "show") in ("0", "false"):
                hidden.append(str(number))
                writer.left_out["hidden slides"] += sum(len(e.text or "") for e in slide.iter() if local(e) == "t")
                continue
            writer.slide(slide, number)
            for other in relations(members, relation.target).values():
                if other.kind == "notesSlide" and other.target in members:
                    writer.notes(members.xml(other.target))
    builder = writer.builder
    facts = properties(members)
    named = facts.title.lower() not in ("powerpoint presentation", "presentation")  # what the program itself writes
    made = document(
        file,
        "pptx/4",
        builder.text,
        blocks=tuple(builder.blocks),
        pages=tuple(builder.pages),
        sections=builder.sections(),
        title=(named and facts.title) or (builder.headings[0][1] if builder.headings else ""),
        date=facts.date,
        author=facts.author,
        language=facts.language,
    )
    problems = [f"hidden slides left out: {', '.join(hidden)}"] if hidden else []
    if (tiny := writer.left_out["hidden text"]) > FEW:
        problems.append(f"{tiny} characters of hidden text left out")
    return Loaded((made,), tuple(problems), +writer.left_out)


_KINDS = {"alpha": "Letter", "roman": "Roman"}  # anything else is decimal


class _Writer:
    def __init__(self) -> None:
        self.builder = Builder()
        self.left_out: Counter[str] = Counter()

    def slide(self, slide: Element, number: int) -> None:
        """The title first, then the shapes from back to front, as they were laid out."""
        shapes = list(_shapes(slide))
        titles = [shape for shape in shapes if _role(shape) in _TITLES and _text(shape)]
        tiny = [run for shape in shapes for run in shape.iter() if local(run) == "r" and _tiny(run)]
        self.left_out["hidden text"] += sum(len(e.text or "") for run in tiny for e in run if local(e) == "t")
        title = " ".join(" ".join(_text(shape).split()) for shape in titles)
        if title:
            self.builder.write("heading", title, level=1)
        for shape, after in zip(shapes, [*shapes[1:], None], strict=False):
            if _role(shape) in _MARGINS:
                self.left_out["running heads and feet"] += len(_text(shape))
            elif shape not in titles:
                self._shape(shape, above_table=after is not None and local(after) == "graphicFrame")

    def notes(self, notes: Element) -> None:
        """What the speaker says, below a section of that name."""
        bodies = [shape for shape in _shapes(notes) if _role(shape) == "body" and _text(shape)]
        with self.builder.under("Speaker notes", 2):
            for shape in bodies:
                self._shape(shape)

    def _shape(self, shape: Element, above_table: bool = False) -> None:
        if local(shape) == "graphicFrame":
            for table in (element for element in shape.iter() if local(element) == "tbl"):
                self._table(table)
            return
        role, group = _role(shape), object()
        counts: dict[int, int] = {}
        paragraphs = [element for element in shape.iter() if local(element) == "p" and _words(element)]
        for paragraph, after in zip(paragraphs, [*paragraphs[1:], None], strict=False):
            words = _words(paragraph)
            look = child(paragraph, "pPr")
            depth = int(attribute(look, "lvl") or 0)
            counts = {level: count for level, count in counts.items() if level <= depth}
            if (number := child(look, "buAutoNum")) is not None:
                first = int(attribute(number, "startAt") or 1)
                counts[depth] = counts[depth] + 1 if depth in counts else first
                marker = _numbered(counts[depth], attribute(number, "type") or "")
            else:
                counts.pop(depth, None)
                listed = child(look, "buChar") is not None or role in ("", "obj")
                marker = "-" if listed and child(look, "buNone") is None else ""
            if marker:
                indent = ("  " * depth)[:_INDENT]
                self.builder.write("item", words, marker=f"{indent}{marker} ", group=group)
            elif _heads(paragraph, words) and (above_table if after is None else not _bold(after)):
                self.builder.write("heading", words, level=2)
            else:
                self.builder.write("paragraph", words)

    def _table(self, table: Element) -> None:
        has_header = attribute(child(table, "tblPr"), "firstRow") in ("1", "true")
        rows = [
            [Cell(" ".join(_text(c).split())) for c in row if local(c) == "tc"] for row in table if local(row) == "tr"
        ]
        write_table(self.builder, ((cells, has_header and not number) for number, cells in enumerate(rows)))


def _numbered(count: int, style: str) -> str:
    """`arabicPeriod` → "1.", `alphaLcParenR` → "a)", `romanUcParenBoth` → "(I)"."""
    kind, case = style[:5], "upper" if "Uc" in style else "lower"
    words = figure(count, f"{case}{_KINDS.get(kind, '')}")
    if style.endswith("ParenBoth"):
        return f"({words})"
    return f"{words})" if style.endswith("ParenR") else f"{words}."


def _shapes(slide: Element) -> Iterator[Element]:
    """Shapes and tables, those of groups too; of a thing that is there twice (for older readers) the first."""
    tree = child(slide, "cSld", "spTree")
    stack = list(reversed(tree)) if tree is not None else []
    while stack:
        element = stack.pop()
        if local(element) in ("sp", "graphicFrame"):
            look = next((e for e in element.iter() if local(e) == "cNvPr"), None)
            if attribute(look, "hidden") not in ("1", "true"):
                yield element
        elif local(element) == "AlternateContent":
            stack += list(reversed(element))[-1:]
        elif local(element) in ("grpSp", "Choice", "Fallback"):
            stack += reversed(element)


def _role(shape: Element) -> str | None:
    """The placeholder's type, "" for the body of a slide, None for a free text box."""
    found = next((e for e in shape.iter() if local(e) == "ph"), None)
    return None if found is None else attribute(found, "type") or ""


def _heads(paragraph: Element, words: str) -> bool:
    """Whether a paragraph looks like the heading of what stands below it: one short line, all of it bold."""
    return _bold(paragraph) and len(words) <= _LONGEST_HEADING and "\n" not in words and words[-1] not in ".:;,"


def _bold(paragraph: Element) -> bool:
    runs = [element for element in paragraph if local(element) in ("r", "fld")]
    return all(attribute(child(run, "rPr"), "b") in ("1", "true") for run in runs)


def _tiny(run: Element) -> bool:
    size = attribute(child(run, "rPr"), "sz") or ""
    return size.isdigit() and int(size) < _TINY


def _text(element: Element) -> str:
    return "\n".join(filter(None, (_words(e) for e in element.iter() if local(e) == "p")))


def _words(paragraph: Element) -> str:
    parts = []
    for element in paragraph:
        if local(element) == "br":
            parts.append("\n")
        elif local(element) in ("r", "fld") and attribute(element, "type") != "slidenum" and not _tiny(element):
            parts += [inner.text or "" for inner in element if local(inner) == "t"]
    return "\n".join(" ".join(line.split()) for line in "".join(parts).split("\n")).strip()
