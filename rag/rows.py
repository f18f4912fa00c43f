"""What every kind of store writes and reads back: the values, and a Document's structure as JSON."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from dataclasses import dataclass
from typing import Any

from rag.types import Block, Document, Page, Passage, Section, Unit

FORMAT = 3  # of every store and of the archive; docs/index-format.md says what changed
COLUMNS = (
    "id", "title", "source", "collection", "date", "revision", "loader", "groups", "structure",
    "author", "language", "text",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class DocumentInfo:
    """A document without its text."""

    id: str
    title: str
    source: str
    collection: str
    date: str | None
    revision: str
    passages: int
    author: str | None = None
    language: str | None = None


@dataclass(frozen=True, slots=True)
class FileState:
    """What was known of a file when it was last read; `problem` is why it (or part of it) was skipped."""

    size: int
    mtime_ns: int
    sha256: str
    problem: str | None = None


BEGUN = FileState(0, 0, "")  # a file some of whose documents are written: it is read again by the next run


@dataclass(frozen=True, slots=True)
class StoredPassage:
    """A passage with its text, as read back."""

    key: int
    document_id: str
    start: int
    end: int
    context: str
    text: str
    units: tuple[Unit, ...]


@dataclass(frozen=True, slots=True)
class Record:
    """One document as it is written: its root and file, its passages, and of each the digest and float16 vector."""

    root: str
    path: str
    document: Document
    passages: tuple[Passage, ...]
    digests: tuple[bytes, ...]
    vectors: tuple[bytes, ...]


def digest(passage: Passage, text: str) -> bytes:
    """What the vector of a passage depends on: its context and words."""
    return hashlib.sha256(f"{passage.context}\0{text}".encode()).digest()[:16]


def document_row(document: Document) -> tuple[Any, ...]:
    """A document as the values of COLUMNS."""
    structure = {
        "pages": [dataclasses.astuple(p) for p in document.pages],
        "sections": [dataclasses.astuple(s) for s in document.sections],
        "blocks": [dataclasses.astuple(b) for b in document.blocks],
    }
    return (
        document.id, document.title, document.source, document.collection, document.date, document.revision,
        document.loader, json.dumps(document.groups), json.dumps(structure, ensure_ascii=False),
        document.author, document.language, document.text,
    )  # fmt: skip


def document_of(row: tuple[Any, ...]) -> Document:
    """The document of a row in the order of COLUMNS. Raises ValueError when a range leaves the text."""
    values = dict(zip(COLUMNS, row, strict=True))
    parts = json.loads(values.pop("structure"))
    return Document(
        groups=tuple(json.loads(values.pop("groups"))),
        pages=tuple(Page(*p) for p in parts["pages"]),
        sections=tuple(Section(tuple(path), start, end) for path, start, end in parts["sections"]),
        blocks=tuple(Block(*b) for b in parts["blocks"]),
        **values,
    )


def units_json(passage: Passage) -> str:
    """The units of a passage as JSON."""
    return json.dumps([[u.start, u.end, u.kind, u.partial] for u in passage.units])


def units_of(written: str) -> tuple[Unit, ...]:
    """The units that `units_json` wrote."""
    return tuple(Unit(*unit) for unit in json.loads(written))
