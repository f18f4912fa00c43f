"""The sample handbook in other formats: does it give the answers that Markdown gives?

    python -m tests.same_answers [FORMAT …] [--questions tune] [--every N] [--bare]
    python -m tests.same_answers [FORMAT …] --blocks

pandoc and LibreOffice make the files, so that none of our own code writes what our loaders read. A format's answer is
the same when both are silent, or when both give the same short answer from the same document (white space aside). The
blocks are compared without questions, in a minute: kind, words, and the sections that they stand in.
"""

from __future__ import annotations

import argparse
import html
import io
import json
import re
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from rag.answer import Answerer
from rag.index import Index
from rag.load import load
from rag.settings import Settings
from rag.types import Answer, Document

SAMPLES = Path(__file__).parent.parent / "samples"
HANDBOOK = SAMPLES / "handbook"
_FRONT = re.compile(r"\A---\n.*?\n---\n", re.DOTALL)
HALVES = ("report", "tune")
_PLACE = re.compile(r"Sheet .*|row \d+")
FORMATS = ("docx", "pdf", "html", "epub", "xlsx", "pptx")


@dataclass(frozen=True)
class Difference:
    """A question whose answer is another one in another format."""

    id: str
    question: str
    before: str
    after: str


@dataclass(frozen=True)
class Compared:
    """What the questions gave in one format."""

    format: str
    asked: int
    differences: tuple[Difference, ...]
    lost: int  # gold quotes that are not in the text

    def __str__(self) -> str:
        share = 100 * len(self.differences) / self.asked
        return (
            f"{self.format:<6} {len(self.differences)} of {self.asked} differ ({share:.1f} %), "
            f"{self.lost} gold quotes lost"
        )


def questions(names: Sequence[str] = HALVES, every: int = 1) -> list[dict[str, str]]:
    """Every n-th sample question of these halves."""
    files = [SAMPLES / "questions" / f"{name}.jsonl" for name in names]
    return [json.loads(line) for file in files for line in file.read_text("utf-8").splitlines()][::every]


def render(suffix: str, folder: Path, bare: bool = False) -> None:
    """Write the handbook as files of one format; `bare`: the lists in sheets without their signs and numbers."""
    for source in sorted(file for file in HANDBOOK.rglob("*") if file.is_file()):
        target = folder / source.relative_to(HANDBOOK).with_suffix(f".{suffix}")
        target.parent.mkdir(parents=True, exist_ok=True)
        if suffix == "xlsx":
            target.write_bytes(_sheet(source, bare))
        elif suffix == "pdf":
            _pandoc(source, target.with_suffix(".docx"))
        else:
            _pandoc(source, target)
    if suffix == "pdf":
        _printed(folder)


def _pandoc(source: Path, target: Path) -> None:
    """Without the front matter's author and date, which pandoc would print, and with straight quotes."""
    kind, text = "markdown-smart-auto_identifiers", _FRONT.sub("", source.read_text("utf-8"))
    document = load(source.read_bytes(), source.name).documents[0]
    if source.suffix != ".md":  # hidden text must not come to light
        kind, text = "html", "".join(_markup(document))
    command = ["pandoc", "--standalone", "--from", kind, "--output", str(target)]
    command += ["--slide-level=2"] if target.suffix == ".pptx" else []  # a slide for each section
    command += ["--metadata", f"{'title' if target.suffix == '.epub' else 'pagetitle'}={document.title}"]
    with tempfile.NamedTemporaryFile("w", suffix=".html") as template:
        if target.suffix == ".epub":  # no page that repeats the title
            template.write("<html><head><title>$pagetitle$</title></head><body>$body$</body></html>")
            template.flush()
            command += ["--template", template.name]
        subprocess.run(command, input=text.encode(), check=True, stderr=subprocess.DEVNULL)
    if target.suffix == ".pptx":  # in the file's properties: pandoc would print it as well
        import pptx

        slides = pptx.Presentation(str(target))
        slides.core_properties.title = document.title
        slides.save(str(target))
    if target.suffix == ".docx":
        import docx
        from docx.oxml import parse_xml
        from docx.oxml.ns import nsdecls

        made = docx.Document(str(target))
        made.core_properties.title = document.title
        for first in made.styles.element.xpath("//w:tblStylePr[@w:type='firstRow']"):
            first.insert(0, parse_xml(f"<w:rPr {nsdecls('w')}><w:b/></w:rPr>"))  # as word processors print it
        made.save(str(target))


def _markup(document: Document) -> Iterator[str]:
    """A document as HTML: what the loader of the source saw, and nothing else."""
    before = None
    for block in (*document.blocks, None):
        kind = block.kind if block else None
        if kind != before:
            yield {"item": "</ul>", "row": "</table>"}.get(before or "", "")
            yield {"item": "<ul>", "row": "<table>"}.get(kind or "", "")
        if block:
            words = html.escape(document.text[block.start : block.end])
            depth = min(6, len(document.section_at(block.start)))
            header = kind == "row" and words not in document.section_at(block.start)[-1:] and before != "row"
            cell = "th" if header else "td"
            cells = f"</{cell}><{cell}>".join(words.split(" | "))
            yield {"heading": f"<h{depth}>{words}</h{depth}>", "item": f"<li>{words}</li>"}.get(
                block.kind, f"<tr><{cell}>{cells}</{cell}></tr>" if kind == "row" else f"<p>{words}</p>"
            )
        before = kind


def _printed(folder: Path) -> None:
    """Every DOCX below the folder as a PDF in its place."""
    for place in {file.parent for file in folder.rglob("*.docx")}:
        files = sorted(place.glob("*.docx"))
        with tempfile.TemporaryDirectory() as profile:
            command = ["soffice", f"-env:UserInstallation=file://{profile}", "--headless", "--convert-to", "pdf"]
            subprocess.run([*command, "--outdir", place, *files], check=True, capture_output=True)
        for file in files:
            file.unlink()


def _sheet(source: Path, bare: bool) -> bytes:
    """A workbook as a person sets it: a row for each block, titles large and bold, tables below a bold head and between
    blank rows, lists with their numbers or a bullet (`bare`: with neither, as LibreOffice makes a sheet of a page)."""
    import openpyxl
    from openpyxl.styles import Font

    document = load(source.read_bytes(), source.name).documents[0]
    book = openpyxl.Workbook()
    sheet = book.active
    book.properties.title = document.title
    before, end = None, 0
    for block in document.blocks:
        words = document.text[block.start : block.end]
        if block.kind == "item" and not bare:
            words = document.text[end : block.start].strip().replace("-", "•") + " " + words
        end = block.end
        if before and "row" in (block.kind, before) and block.kind != before:
            sheet.append([None])
        sheet.append(words.split(" | ") if block.kind == "row" else [words])
        if block.kind == "heading" or (block.kind == "row" and before != "row"):
            size = 20 - 2 * len(document.section_at(block.start)) if block.kind == "heading" else 11
            for cell in sheet[sheet.max_row]:
                cell.font = Font(bold=True, size=size)
        before = block.kind
    buffer = io.BytesIO()
    book.save(buffer)
    return buffer.getvalue()


def answers(folder: Path, asked: Sequence[dict[str, str]], place: Path) -> tuple[dict[str, Answer], Index]:
    """The answers of an index over `folder`, by question, and the index."""
    settings = Settings()
    with closing(Index.open(place, settings, create=True)) as index:
        index.add(folder)
    answerer = Answerer.open(place, settings)
    return {row["id"]: answerer.ask(row["question"]) for row in asked}, answerer.index


def compare(
    suffixes: Sequence[str], names: Sequence[str] = HALVES, every: int = 1, bare: bool = False
) -> Iterator[Compared]:
    """The differences of each format from Markdown."""
    asked = questions(names, every)
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        before, index = answers(HANDBOOK, asked, root / "index")
        index.close()
        for suffix in suffixes:
            render(suffix, root / suffix, bare)
            after, index = answers(root / suffix, asked, root / f"{suffix}.index")
            different = tuple(
                Difference(row["id"], row["question"], _told(before[row["id"]]), _told(after[row["id"]]))
                for row in asked
                if _same(before[row["id"]]) != _same(after[row["id"]])
            )
            yield Compared(suffix, len(asked), different, _lost(index, suffix, asked))
            index.close()


def changed(suffix: str, folder: Path) -> tuple[int, dict[str, int]]:
    """Blocks of the handbook, and by kind those that are other ones in its files of one format in `folder`."""
    found, lost = 0, Counter[str]()
    for source in sorted(file for file in HANDBOOK.rglob("*") if file.is_file()):
        target = (folder / source.relative_to(HANDBOOK)).with_suffix(f".{suffix}")
        blocks = Counter(_blocks(source))
        found += blocks.total()
        for (kind, _, _), count in (blocks - Counter(_blocks(target))).items():
            lost[kind] += count
    return found, dict(lost)


def _blocks(file: Path) -> Iterator[tuple[str, str, tuple[str, ...]]]:
    """Kind, words and section of each block; the first heading, the sheet and the row are in no section."""
    document = load(file.read_bytes(), file.name).documents[0]
    first = next((document.text[b.start : b.end] for b in document.blocks if b.kind == "heading"), "")
    for block in document.blocks:
        section = (name for name in document.section_at(block.start) if name != first and not _PLACE.fullmatch(name))
        yield block.kind, document.text[block.start : block.end], tuple(section)


def _same(answer: Answer) -> tuple[str, str]:
    """What two answers must have in common: the document and the letters of the short answer."""
    if not answer.answers:
        return "", ""
    first = answer.citations[answer.answers[0].citations[0] - 1]
    return first.document_id.rsplit(".", 1)[0], "".join(answer.answers[0].text.split()).casefold()


def _told(answer: Answer) -> str:
    if not answer.answers:
        return f"silence ({answer.reason}, {answer.confidence:.2f})"
    first = answer.citations[answer.answers[0].citations[0] - 1]
    return f"{answer.answers[0].text!r} ({answer.confidence:.2f}) of {first.document_id}: {first.quote!r}"


def _lost(index: Index, suffix: str, asked: Sequence[dict[str, str]]) -> int:
    """Gold quotes that do not stand in the document, white space aside."""
    lost = 0
    for gold in (gold for row in asked for gold in row["gold"]):  # type: ignore[attr-defined]
        text = index.document(f"{gold['document_id'].rsplit('.', 1)[0]}.{suffix}").text
        lost += "".join(gold["quote"].split()) not in "".join(text.split())
    return lost


def main() -> None:
    parser = argparse.ArgumentParser(description="the sample handbook in other formats, its answers beside Markdown's")
    parser.add_argument("formats", nargs="*", default=FORMATS)
    parser.add_argument("--questions", choices=HALVES, help="one half only; the differences of tune are told")
    parser.add_argument("--every", type=int, default=1, help="ask every n-th sample question only")
    parser.add_argument("--blocks", action="store_true", help="ask nothing; compare the blocks")
    parser.add_argument("--bare", action="store_true", help="lists in sheets without their signs and numbers")
    options = parser.parse_args()
    for suffix in options.formats if options.blocks else ():
        with tempfile.TemporaryDirectory() as folder:
            render(suffix, Path(folder), options.bare)
            total, other = changed(suffix, Path(folder))
        kinds = ", ".join(f"{count} {kind}" for kind, count in other.items())
        print(f"{suffix:<6} {sum(other.values())} of {total} blocks differ ({kinds or 'none'})", flush=True)
    if options.blocks:
        return
    halves = (options.questions,) if options.questions else HALVES
    for compared in compare(options.formats, halves, options.every, options.bare):
        print(compared, flush=True)
        for one in compared.differences if options.questions == "tune" else ():
            print(f"  {one.id} {one.question}\n    Markdown: {one.before}\n    {compared.format}: {one.after}")


if __name__ == "__main__":
    sys.exit(main())
