"""The sample handbook as DOCX and as PDF still holds every quote that the sample questions expect."""

from __future__ import annotations

import io
import json
from pathlib import Path

from rag.load import load
from rag.types import Document
from tests.papers import pdf

SAMPLES = Path(__file__).parent.parent / "samples"
WIDTH, TOP, BOTTOM = 88, 790, 60  # characters of a printed line; points


def quotes() -> dict[str, set[str]]:
    """The gold quotes of both question files by document."""
    found: dict[str, set[str]] = {}
    for name in ("report", "tune"):
        for line in (SAMPLES / "questions" / f"{name}.jsonl").read_text("utf-8").splitlines():
            for gold in json.loads(line)["gold"]:
                found.setdefault(gold["document_id"], set()).add(gold["quote"])
    return found


def originals() -> dict[str, Document]:
    files = (path for path in (SAMPLES / "handbook").rglob("*") if path.is_file())
    named = {path.relative_to(SAMPLES / "handbook").as_posix(): path.read_bytes() for path in files}
    return {name: load(data, name).documents[0] for name, data in named.items()}


def as_docx(document: Document) -> bytes:
    import docx

    made = docx.Document()
    rows = None
    for block in document.blocks:
        words = document.text[block.start : block.end]
        cells = words.split(" | ")
        if block.kind != "row":
            rows = None
        if block.kind == "heading":
            made.add_heading(words, 1)
        elif block.kind == "item":
            made.add_paragraph(words, style="List Bullet")
        elif block.kind == "row":
            rows = made.add_table(0, len(cells)) if rows is None or len(rows.columns) != len(cells) else rows
            for cell, text in zip(rows.add_row().cells, cells, strict=True):
                cell.text = text
        else:
            made.add_paragraph(words)
    buffer = io.BytesIO()
    made.save(buffer)
    return buffer.getvalue()


def as_pdf(document: Document) -> bytes:
    pages: list[list[tuple[float, float, float, str]]] = [[]]
    height = TOP
    for block in document.blocks:
        size = 16 if block.kind == "heading" else 11
        for line in _wrapped(" ".join(document.text[block.start : block.end].split())):
            if height < BOTTOM:
                pages.append([])
                height = TOP
            pages[-1].append((50, height, size, line.encode("cp1252", "replace").decode("cp1252")))
            height -= 1.25 * size
        height -= 11
    return pdf(pages)


def _wrapped(text: str) -> list[str]:
    import textwrap

    return textwrap.wrap(text, WIDTH, break_on_hyphens=True, break_long_words=False)


def missing(suffix: str, made: dict[str, bytes]) -> list[str]:
    lost = []
    for name, wanted in quotes().items():
        text = " ".join(load(made[name], name + suffix).documents[0].text.split())
        lost += [f"{name}: {quote}" for quote in wanted if " ".join(quote.split()) not in text]
    return lost


def test_every_gold_quote_is_there_as_docx() -> None:
    assert missing(".docx", {name: as_docx(document) for name, document in originals().items()}) == []


def test_every_gold_quote_is_there_as_pdf() -> None:
    assert missing(".pdf", {name: as_pdf(document) for name, document in originals().items()}) == []
