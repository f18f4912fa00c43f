"""PDF → canonical text: lines become paragraphs, items, rows and headings; every character knows its place.

Lines stand in the order of the file, which is the reading order of what word processors and typesetters write; a page
whose lines run up and down is sorted from top to bottom, and that is said.
"""

from __future__ import annotations

import functools
import hashlib
import itertools
import re
from array import array
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import fmean
from typing import Any

from rag.errors import LoadError
from rag.load import ocr
from rag.load.build import Builder, File, Loaded, document, iso_date
from rag.load.glyphs import Glyphs, glyphs, information, outline
from rag.load.heads import is_head, join_row, row_goes_on, table_goes_on, without_head
from rag.load.lines import (
    PAGE,
    Part,
    blocks_of,
    dehyphenated,
    goes_on,
    join,
    key,
    mark_headings,
    parts_words,
    up_and_down,
    words_of,
)
from rag.load.margins import running
from rag.load.paper import Box, character_boxes, opened
from rag.load.tesseract import SECONDS, recognise
from rag.types import Page

_DATE = re.compile(r"D:(\d{4})(\d{2})(\d{2})")
_FEW = 5  # characters: a page with no more of them that are hidden, or that no font explains, is not worth a line
_NAMED = 8  # pages that one line names
_DOUBTFUL = 75  # of 100: the mean confidence below which a page read by OCR is named
_HOW = "run OCR over the file first, or set RAG_OCR"


@dataclass(slots=True)
class _Read:
    """The blocks of a PDF, and what was seen and left out on the way."""

    parts: list[Part]
    labels: list[str]
    title: str
    date: str | None
    author: str
    language: str
    recognised: bool = False  # any page, by OCR
    problems: list[str] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)


def read(file: File) -> Loaded:
    """One document. Raises LoadError when the file is encrypted, damaged, or shows no text."""
    found = _read(file)
    builder, places = _written(found.parts)
    made = document(
        file,
        f"pdf/4 ocr/1 {file.ocr}" if found.recognised else "pdf/4",
        builder.text,
        blocks=tuple(builder.blocks),
        pages=_pages(places, found.labels),
        sections=builder.sections(),
        title=found.title or next((part.words for part in found.parts if part.kind == "heading"), ""),
        date=found.date,
        author=found.author,
        language=found.language,
    )
    return Loaded((made,), tuple(found.problems), +found.left_out)


def boxes(data: bytes, page: int, start: int, end: int, revision: str = "") -> list[Box]:
    """Where `text[start:end]` of the canonical text stands on page `page` (from 1): a box for each printed line.

    In points from the top left of the page as it is shown: x0, y0, x1, y1; empty when nothing of the range is on that
    page. `data` must be the bytes that were loaded, for they are read again. Raises LoadError when that gives another
    text than the one of `revision`: an earlier version of this loader made it.
    """
    made, places = _places(data)
    if revision not in ("", made):
        raise LoadError("this file: an earlier version read its text; index it again to see the page")
    wanted = [place & ((1 << PAGE) - 1) for place in places[start:end] if place >= 0 and place >> PAGE == page - 1]
    return character_boxes(data, page - 1, wanted)


@functools.lru_cache(maxsize=1)  # the next quote is often from the same file
def _places(data: bytes) -> tuple[str, array[int]]:
    """The revision of the canonical text, and the place of each of its code points."""
    builder, places = _written(_read(File(data, "this file")).parts)
    return f"sha256:{hashlib.sha256(builder.text.encode('utf-8')).hexdigest()}", places


def _read(file: File) -> _Read:
    with opened(file.data, file.id) as source:
        pages = [glyphs(source, index) for index in range(len(source))]
        unread = _recognised(source, pages, file) if file.ocr else ""
        marks, facts = outline(source), information(source)
    sizes: Counter[float] = Counter()
    for line in (line for page in pages if page and page.confidence is None for line in page.lines):
        sizes[round(2 * line.size) / 2] += len(line.text)
    body = sizes.most_common(1)[0][0] if sizes else 10.0
    for page in pages:
        if page and page.confidence is not None:  # its sizes are heights of lines: only what is larger tells
            usual = min((line.size for line in page.lines), default=body)
            for line in page.lines:
                line.size *= body / usual
    margins, printed = running(pages, body)
    labels = [(page.label if page else "") or printed.get(n, str(n + 1)) for n, page in enumerate(pages)]
    left_out = Counter({"hidden text": sum(page.hidden for page in pages if page)})
    left_out["lines that OCR is unsure of"] = sum(page.unsure for page in pages if page)
    shuffled = []
    for number, page in enumerate(pages):
        if page:
            left_out["running heads and feet"] += sum(len(page.lines[at].text) for at in margins[number])
            page.lines = [line for at, line in enumerate(page.lines) if at not in margins[number]]
            if page.confidence is None and up_and_down(page.lines):
                page.lines.sort(key=lambda line: (-round(line.base / 2), line.box[0]))
                shuffled.append(number)
    parts = _joined(pages, left_out)
    if not parts:
        why = "its pages show no text"
        if any(page and page.scanned for page in pages):
            why = f"its pages are pictures {ocr.UNREAD}); {unread or _HOW}"
        elif tried := _confidence(pages, labels, file.ocr):
            why = "; ".join(tried)
        raise LoadError(f"{file.id}: {why}")
    vocabulary = words_of(pages)
    parted = parts_words(pages, vocabulary)
    for part in parts:
        left_out["hyphens at line ends"] += dehyphenated(part, vocabulary, parted)
    mark_headings(parts, body, {(index, key(title)): level for index, level, title in marks})
    dates = [_DATE.match(facts.get(name, "")) for name in ("ModDate", "CreationDate")]
    date = next((iso_date(f"{found[1]}-{found[2]}-{found[3]}") for found in dates if found), None)
    told = facts.get("Title", ""), date, facts.get("Author", ""), facts.get("Language", "")
    recognised = any(page and page.confidence is not None for page in pages)
    remarks = [*_remarks(pages, shuffled, labels, unread or _HOW), *_confidence(pages, labels, file.ocr)]
    return _Read(parts, labels, *told, recognised, remarks, left_out)


def _recognised(source: Any, pages: Sequence[Glyphs | None], file: File) -> str:
    """Read the pages that are pictures by OCR. Why that cannot be; "" when it can."""
    scans = [(index, page) for index, page in enumerate(pages) if page and page.scanned]
    if scans and (why := ocr.missing(file.ocr)):
        return why
    for index, page in scans[: ocr.PAGES]:
        found = recognise(source, index, file.ocr)
        page.scanned, page.failed = False, found is None
        if found:
            page.lines, page.box = found.lines, (0.0, 0.0, *found.size)
            page.confidence, page.unsure = found.confidence, found.unsure
        file.alive()
    return f"OCR ({file.ocr}) reads {ocr.PAGES} pages of a file; split it" if len(scans) > ocr.PAGES else ""


def _joined(pages: Sequence[Glyphs | None], left_out: Counter[str]) -> list[Part]:
    """The blocks of all pages; a sentence, a table and a row that run over the end of a page stay in one."""
    parts: list[Part] = []
    head: Part | None = None  # first row of the table at hand
    for number, page in enumerate(pages):
        own: object = None  # what the rows on this page share of a table that began before
        for part in blocks_of(number, page.lines) if page else ():
            before = parts[-1] if parts else None
            if part.kind != "row":
                head = None
            elif head and before and part.table is not own and table_goes_on(before, part, head):
                own = part.table
            elif head is None or part.table not in (own, head.table):
                head = part
            if head and part.table is own:
                part.table = head.table
                size = len(part.words)
                if part is not head and without_head(part, head):
                    left_out["table heads printed again"] += size - len(part.words)
                    if not part.cells:
                        continue
            if before and part.table and part.table is before.table and row_goes_on(before, part):
                join_row(before, part)
            elif before and goes_on(before, part):
                join(before, part)
            else:
                parts.append(part)
    return parts


def _written(parts: Sequence[Part]) -> tuple[Builder, array[int]]:
    """The canonical text, and for each of its code points the place it came from (-1: added by the loader)."""
    builder, places = Builder(), array("q")
    for (kind, _), run in itertools.groupby(parts, lambda part: (part.kind, part.table)):
        group = object() if kind in ("row", "item") else None
        same = list(run)
        blocks = []
        for part in same:
            block = builder.write(kind, part.words, marker=part.marker, group=group, level=part.level)
            places.extend([-1] * (block.start - len(places)))
            places.extend(part.at)
            blocks.append(block)
        if kind == "row" and is_head(same[0], same[1:]):
            builder.section(same[0].words, blocks[1].start, blocks[-1].end)
    return builder, places


def _pages(places: array[int], labels: Sequence[str]) -> tuple[Page, ...]:
    """The range of each page that has text, from its first character to its last."""
    first: dict[int, int] = {}
    last: dict[int, int] = {}
    for position, place in enumerate(places):
        if place >= 0:
            first.setdefault(place >> PAGE, position)
            last[place >> PAGE] = position + 1
    return tuple(Page(number + 1, labels[number], first[number], last[number]) for number in sorted(first))


def _remarks(pages: Sequence[Glyphs | None], shuffled: Sequence[int], labels: Sequence[str], how: str) -> list[str]:
    """What a reader of the text should know, a line for each kind."""
    there = [(number, page) for number, page in enumerate(pages) if page]
    kinds = (
        ("damaged and left out", [number for number, page in enumerate(pages) if not page]),
        (f"a picture {ocr.UNREAD}?); {how}", [n for n, page in there if page.scanned]),
        ("text hidden from every reader is left out", [n for n, page in there if page.hidden > _FEW]),
        (
            "a font does not say which characters it shows; the text may be wrong",
            [n for n, p in there if p.unmapped > _FEW],
        ),
        ("lines out of order; sorted from top to bottom, compare with the page", list(shuffled)),
    )
    return [f"{_named(numbers, labels)}: {what}" for what, numbers in kinds if numbers]


def _confidence(pages: Sequence[Glyphs | None], labels: Sequence[str], languages: str) -> list[str]:
    """Which pages OCR read, and how sure of them it is."""
    made = [(n, page.lines, page.confidence) for n, page in enumerate(pages) if page and page.confidence is not None]
    read = {n: confidence for n, lines, confidence in made if lines}
    blank = [n for n, lines, _ in made if not lines]
    by = f"OCR ({languages})"
    failed = [n for n, page in enumerate(pages) if page and page.failed]
    told = [f"{_named(failed, labels)}: {by} failed, or took more than {SECONDS} seconds"] if failed else []
    if blank:
        told.append(f"{_named(blank, labels)}: {by} finds no text in the picture")
    if read:
        told.append(f"{_named(list(read), labels)}: read by {by}, mean confidence {fmean(read.values()):.0f}")
    if doubtful := [n for n, confidence in read.items() if confidence < _DOUBTFUL]:
        told.append(f"{_named(doubtful, labels)}: OCR is unsure of much; compare with the page")
    return told


def _named(numbers: Sequence[int], labels: Sequence[str]) -> str:
    more = ", …" if len(numbers) > _NAMED else ""
    return f"page{'s' if len(numbers) > 1 else ''} {', '.join(labels[n] for n in numbers[:_NAMED])}{more}"
