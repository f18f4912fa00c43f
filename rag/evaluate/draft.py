"""Questions made by rules from headings, definitions, dates and tables, for a person to check and put into words."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Protocol

from rag.chunk import units
from rag.types import Block, Document, Hit, Unit

MOST = 12  # questions a document, spread over the rules
TOP = 10  # hits in which a page must show up to count as reached

_MONTH = "(?:January|February|March|April|May|June|July|August|September|October|November|December)"
_DATE = re.compile(
    rf"\b(?:\d{{1,2}}(?:st|nd|rd|th)? {_MONTH}(?: \d{{4}})?|{_MONTH} \d{{1,2}}(?:, \d{{4}})?|\d{{4}}-\d\d-\d\d)(?!\d)"
)
_DEFINITION = re.compile(
    r"(?P<subject>(?:An? |The )?[\w’'-]+(?: [\w’'-]+){0,4}) (?P<verb>is|are|means)"
    r" (?P<rest>(?:(?<=means )|an? |the )\S.{8,})[.;]"
)
_NO_SUBJECT = re.compile(
    r"(?:it|its|in|at|on|for|to|from|with|by|of|among|anything|both|this|that|these|those|there|they|he|she|we|you|i|here|what|which|who|when|where|if|as|one|no|each|all|"
    r"some|any|most|many|nobody|nothing|everyone|our|your|their|his|her|my|because|while|once|after|before)\b",
    re.IGNORECASE,
)


class Searcher(Protocol):
    """What can search, as the Answerer does."""

    def search(self, question: str, *, mode: Any = "reranked", top: int = 10) -> Sequence[Hit]: ...


def draft(document: Document, most: int = MOST) -> Iterator[dict[str, Any]]:
    """At most `most` rows in our own format of questions, the rules taken in turn, each with its gold range."""
    found = [unit for unit, _ in units(document, lambda texts: [len(text.split()) for text in texts])]
    rules = {
        "definition": _definitions(document, found),
        "table": _tables(document),
        "date": _dates(document, found),
        "heading": _headings(document, found),
    }
    made, seen = 0, set()
    while rules and made < most:
        for rule in tuple(rules):
            row = next(rules[rule], None)
            if row is None:
                del rules[rule]
                continue
            question, answer, start, end = row
            if question in seen or made == most:
                continue
            seen.add(question)
            made += 1
            gold = {"document_id": document.id, "start": start, "end": end, "quote": document.text[start:end]}
            yield {
                "id": f"{document.id}#{made}",
                "question": question,
                "answers": [answer] if answer else [],
                "gold": [gold],
                "tags": ["draft", rule],
            }


Drafted = tuple[str, str, int, int]  # question, short answer, start and end of the evidence


def _definitions(document: Document, found: Sequence[Unit]) -> Iterator[Drafted]:
    for unit in found:
        match = _DEFINITION.fullmatch(document.text[unit.start : unit.end])
        if match and unit.kind == "paragraph" and not unit.partial and not _NO_SUBJECT.match(match["subject"]):
            subject = match["subject"]
            for article in ("A ", "An ", "The "):
                subject = subject.replace(article, article.lower(), 1) if subject.startswith(article) else subject
            asked = f"What does {subject} mean?" if match["verb"] == "means" else f"What {match['verb']} {subject}?"
            yield asked, match["rest"], unit.start, unit.end


def _dates(document: Document, found: Sequence[Unit]) -> Iterator[Drafted]:
    for unit in found:
        text = document.text[unit.start : unit.end]
        match = _DATE.search(text)
        if match and unit.kind != "heading" and len(text) > len(match[0]) + 20:
            yield f"On what date: “{text[: match.start()]}…{text[match.end() :]}”", match[0], unit.start, unit.end


def _headings(document: Document, found: Sequence[Unit]) -> Iterator[Drafted]:
    for section in document.sections:
        body = next(
            (u for u in found if u.start >= section.start and u.end <= section.end and u.kind != "heading"), None
        )
        heading = section.path[-1] if section.path else ""
        if body and heading and heading != document.title and " | " not in heading:  # those are of tables
            about = f" in “{document.title}”" if document.title else ""
            yield f"What is said about “{heading}”{about}?", "", body.start, body.end


def _tables(document: Document) -> Iterator[Drafted]:
    """The first row of a run of rows names the columns, the first cell of a row what it is about."""
    for rows in _runs(document.blocks):
        header, *others = ([c.strip() for c in document.text[row.start : row.end].split(" | ")] for row in rows)
        for row, cells in zip(rows[1:], others, strict=True):
            if len(cells) == len(header) > 1:
                column = 1 + (row.start % (len(cells) - 1))  # one cell a row, spread over the columns
                if cells[0] and cells[column] and header[column]:
                    yield f"{header[column]}: {cells[0]}?", cells[column], row.start, row.end


def _runs(blocks: Sequence[Block]) -> Iterator[list[Block]]:
    run: list[Block] = []
    for block in blocks:
        if block.kind == "row" and (not run or block.start - run[-1].end <= 1):
            run.append(block)
            continue
        if len(run) > 1:
            yield run
        run = [block] if block.kind == "row" else []
    if len(run) > 1:
        yield run


def unreached(documents: Iterable[Document], questions: Iterable[str], searcher: Searcher, top: int = TOP) -> list[str]:
    """The pages (whole documents where there are no pages) that none of the questions retrieves, by name."""
    reached: dict[str, list[tuple[int, int]]] = {}
    for question in questions:
        for hit in searcher.search(question, mode="fused", top=top):
            reached.setdefault(hit.document_id, []).append((hit.start, hit.end))
    missing = []
    for document in documents:
        places = reached.get(document.id, [])
        if not document.pages and not places:
            missing.append(document.id)
        missing += [
            f"{document.id}, page {page.label}"
            for page in document.pages
            if not any(start < page.end and page.start < end for start, end in places)
        ]
    return missing
