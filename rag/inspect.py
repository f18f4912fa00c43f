"""The fidelity report: what becomes of a file before any question is asked of it."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rag import load
from rag.chunk import Count, chunk
from rag.errors import NotFound
from rag.language import spoken
from rag.types import Document

_SHOWN = 40  # pages or sections that are listed, of each document


@dataclass(frozen=True, slots=True)
class Inspected:
    """One document of the file. `characters` counts its canonical text, `blocks` its blocks by kind."""

    id: str
    title: str
    date: str | None
    loader: str
    revision: str
    characters: int
    blocks: Mapping[str, int]
    pages: tuple[Mapping[str, Any], ...]
    sections: tuple[Mapping[str, Any], ...]
    passages: tuple[Mapping[str, Any], ...]
    text: str
    author: str | None = None
    language: str | None = None


@dataclass(frozen=True, slots=True)
class Report:
    """All that a file became: its documents, what was repaired or skipped, and the characters left out by kind."""

    file: str
    bytes: int
    documents: tuple[Inspected, ...]
    problems: tuple[str, ...]
    left_out: Mapping[str, int]

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return dataclasses.asdict(self)

    def lines(self, *, text: bool = False) -> Iterator[str]:
        """The report for a terminal; with `text` every canonical text as well."""
        yield f"{self.file}: {self.bytes} bytes, {_count(len(self.documents), 'document')}"
        for kind, count in sorted(self.left_out.items()):
            yield f"left out   {kind}: {_count(count, 'character')}"
        for problem in self.problems:
            yield f"problem    {problem}"
        for document in self.documents:
            kinds = ", ".join(_count(count, kind) for kind, count in document.blocks.items())
            yield ""
            yield f"document   {document.id}: “{document.title}” {document.date or ''} ({document.loader})".rstrip()
            if document.author or document.language:
                yield f"by         {document.author or 'unknown'}; language {document.language or 'not known'}"
            yield f"text       {_count(document.characters, 'character')} in {kinds}; {document.revision}"
            yield f"passages   {len(document.passages)}"
            yield from _some("page", (f"{p['label']} [{p['start']}:{p['end']}]" for p in document.pages))
            yield from _some(
                "section", (f"{' › '.join(s['path'])} [{s['start']}:{s['end']}]" for s in document.sections)
            )
            if text:
                yield from ("", document.text)


def inspect(path: str, count: Count, ocr: str = "") -> Report:
    """The report on a file; `count` counts tokens, as for an index. Raises NotFound, BadInput without the program that
    `ocr` needs, and LoadError as loading does."""
    load.check_ocr(ocr)
    file = Path(path)
    try:
        data = file.read_bytes()
    except OSError as error:
        raise NotFound(f"{path}: cannot be read ({error.strerror}); check the path") from None
    loaded = load.load(data, file.name, source=file.name, ocr=ocr)
    documents = tuple(_inspected(spoken(document), count) for document in loaded.documents)
    return Report(path, len(data), documents, loaded.problems, dict(loaded.left_out))


def _inspected(document: Document, count: Count) -> Inspected:
    return Inspected(
        document.id,
        document.title,
        document.date,
        document.loader,
        document.revision,
        len(document.text),
        dict(Counter(block.kind for block in document.blocks)),
        tuple(dataclasses.asdict(page) for page in document.pages),
        tuple(dataclasses.asdict(section) for section in document.sections),
        tuple({"start": p.start, "end": p.end, "context": p.context} for p in chunk(document, count)),
        document.text,
        document.author,
        document.language,
    )


def _some(name: str, lines: Iterator[str]) -> Iterator[str]:
    every = list(lines)
    yield from (f"{name:<10} {line}" for line in every[:_SHOWN])
    if len(every) > _SHOWN:
        yield f"{name:<10} … and {len(every) - _SHOWN} more (--json lists them)"


def _count(number: int, thing: str) -> str:
    return f"{number} {thing}{'' if number == 1 else 's'}"
