"""ODP → canonical text: slides are pages, titles are headings, notes stand after their slide."""

from __future__ import annotations

from collections.abc import Iterator
from xml.etree.ElementTree import Element

from rag.load.build import File, Loaded, document
from rag.load.odf import Odf, paragraphs
from rag.load.odt import Writer
from rag.load.zipped import attribute, child, local

_MARGINS = frozenset(("date-time", "footer", "header", "page-number"))


def read(file: File) -> Loaded:
    """One document, one page a slide. Raises LoadError when the file is damaged, encrypted, or shows no text."""
    odf = Odf(file)
    writer = Writer(odf)
    builder, hidden = writer.builder, []
    slides = [page for page in (odf.body if odf.body is not None else ()) if local(page) == "page"]
    for number, slide in enumerate(slides, 1):
        with builder.page(str(number)):
            if odf.look("drawing-page", attribute(slide, "style-name")).get("visibility") == "hidden":
                hidden.append(str(number))
                writer.left_out["hidden slides"] += sum(map(len, slide.itertext()))
                continue
            _slide(writer, slide)
    facts = odf.facts()
    made = document(
        file,
        "odp/1",
        builder.text,
        blocks=tuple(builder.blocks),
        pages=tuple(builder.pages),
        sections=builder.sections(),
        **{**facts, "title": facts["title"] or (builder.headings[0][1] if builder.headings else "")},
    )
    problems = [f"hidden slides left out: {', '.join(hidden)}"] if hidden else []
    return Loaded((made,), (*odf.problems(), *writer.problems(), *problems), +writer.left_out)


def _slide(writer: Writer, slide: Element) -> None:
    """The title first, then the shapes from back to front, then what the speaker says."""
    shapes = list(_shapes(slide))
    titles = [shape for shape in shapes if attribute(shape, "class") == "title"]
    words = [writer.odf.words(paragraph, False).text for shape in titles for paragraph in paragraphs(shape)]
    if title := " ".join(" ".join(words).split()):
        writer.builder.write("heading", title, level=1)
    for shape in shapes:
        if attribute(shape, "class") in _MARGINS:
            writer.left_out["running heads and feet"] += sum(map(len, shape.itertext()))
        elif shape not in titles:
            _write(writer, shape)
    said = child(slide, "notes")
    notes = [s for s in _shapes(said) if attribute(s, "class") == "notes"] if said is not None else []
    with writer.builder.under("Speaker notes", 2):
        for shape in notes:
            _write(writer, shape)


def _write(writer: Writer, shape: Element) -> None:
    if attribute(shape, "placeholder") != "true":  # a place that nobody filled in
        writer.container((shape,), False)


def _shapes(element: Element) -> Iterator[Element]:
    for inner in element:
        if local(inner) == "g":
            yield from _shapes(inner)
        elif local(inner) != "notes":
            yield inner
