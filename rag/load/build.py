"""What the formats share: the file that comes in, the Builder that writes canonical text, the Document that goes out.

The Builder makes every range while it writes the text, so nothing is ever searched for afterwards.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from rag.errors import LoadError
from rag.load.facts import author_of, language_of
from rag.types import Block, BlockKind, Document, Page, Section

_DATE = re.compile(r"\s*(\d{4}-\d{2}-\d{2})(?!\d)", re.ASCII)
_LEADING_DATE = re.compile(r"\s*date (\d{4}-\d{2}-\d{2})(?!\d)", re.ASCII)
_BLANK_LINES = re.compile(r"\n[^\S\n]*\n\s*")


def _quiet() -> None: ...


@dataclass(frozen=True, slots=True)
class File:
    """One file as it came."""

    data: bytes
    id: str
    source: str = ""
    collection: str = "default"
    depth: int = 0  # archives and messages that it is packed in
    ocr: str = ""  # the languages that pictures of pages are read in: see `rag.load.ocr`
    alive: Callable[[], object] = field(default=_quiet, compare=False, repr=False)  # told after each page of slow work

    def member(self, name: str, data: bytes) -> File:
        """A file inside this one."""
        source = f"{self.source}!/{name}" if self.source else ""
        return replace(self, data=data, id=f"{self.id}!/{name}", source=source, depth=self.depth + 1)


@dataclass(frozen=True, slots=True)
class Loaded:
    """What one file gave. `problems` are short lines on what was repaired or skipped; the documents are usable.

    `left_out` counts characters of the file that the canonical text leaves out on purpose, by kind.
    """

    documents: Sequence[Document]
    problems: tuple[str, ...] = ()
    left_out: Mapping[str, int] = field(default_factory=dict)


class Builder:
    """Writes canonical text front to back. Ranges are code points of the text so far."""

    def __init__(self) -> None:
        self.blocks: list[Block] = []
        self.headings: list[tuple[int, str]] = []  # (level, words)
        self.pages: list[Page] = []
        self._number = 0
        self._parts: list[str] = []
        self._size = 0
        self._group: object = None
        self._sections: list[Section] = []
        self._open: list[tuple[int, tuple[str, ...], int]] = []  # level, path, start

    @property
    def text(self) -> str:
        return "".join(self._parts)

    @property
    def path(self) -> tuple[str, ...]:
        """The headings that hold here, outermost first."""
        return self._open[-1][1] if self._open else ()

    def write(self, kind: BlockKind, words: str, *, marker: str = "", group: object = None, level: int = 0) -> Block:
        """Append one block and return its range, which leaves `marker` out.

        A blank line parts it from the block before, or a line end when both are of the same `group` (a list, a
        table). A heading has a `level`, 1 being the outermost.
        """
        if self._parts:
            self._append("\n" if group is not None and group is self._group else "\n\n")
        self._group = group
        self._append(marker)
        block = self._block(kind, words)
        if kind == "heading":
            self._close(level, block.start)
            self._open.append((level, (*self.path, words), block.start))
            self.headings.append((level, words))
        return block

    def code(self, text: str) -> None:
        """Append code, which is not blank, verbatim but for blank lines around it. Each other line is a block."""
        lines = text.split("\n")
        full = [number for number, line in enumerate(lines) if line.strip()]
        if self._parts:
            self._append("\n\n")
        self._group = None
        for number, line in enumerate(lines[full[0] : full[-1] + 1]):
            self._append("\n" if number else "")
            if line.strip():
                self._block("code", line)
            else:
                self._append(line)

    def section(self, name: str, start: int, end: int, *inner: str) -> None:
        """Name a range below the present heading, such as the rows of a table by its header (and `inner`, a row's)."""
        self._sections.append(Section((*self.path, name, *inner), start, end))

    @contextmanager
    def page(self, label: str) -> Iterator[None]:
        """What is written meanwhile is the next page. A page without text is counted and has no range."""
        self._number += 1
        before = len(self.blocks)
        yield
        if len(self.blocks) > before:
            self.pages.append(Page(self._number, label, self.blocks[before].start, self._size))

    @contextmanager
    def under(self, name: str, level: int) -> Iterator[None]:
        """What is written meanwhile stands below `name`, which is not in the text: a sheet's name."""
        self._close(level, self._size)
        self._open.append((level, (*self.path, name), self._size + (2 if self._parts else 0)))
        yield
        self._close(level, self._size)

    def sections(self) -> tuple[Section, ...]:
        """Every section, in order of start, outer before inner. Closes the open headings: call it last."""
        self._close(0, self._size)
        return tuple(sorted(self._sections, key=lambda section: (section.start, -section.end)))

    def _append(self, part: str) -> None:
        if part:
            self._parts.append(part)
            self._size += len(part)

    def _block(self, kind: BlockKind, words: str) -> Block:
        start = self._size
        self._append(words)
        block = Block(kind, start, self._size)
        self.blocks.append(block)
        return block

    def _close(self, level: int, end: int) -> None:
        while self._open and self._open[-1][0] >= level:
            _, path, start = self._open.pop()
            if start < end:
                self._sections.append(Section(path, start, end))


def paragraphs(text: str) -> tuple[Block, ...]:
    """The paragraphs of plain text: what blank lines part, without the white space around it."""
    blocks = []
    start, size = len(text) - len(text.lstrip()), len(text.rstrip())
    for gap in _BLANK_LINES.finditer(text, start, size):
        blocks.append(_trimmed(text, start, gap.start()))
        start = gap.end()
    if start < size:
        blocks.append(Block("paragraph", start, size))
    return tuple(blocks)


def _trimmed(text: str, start: int, end: int) -> Block:
    while text[end - 1].isspace():
        end -= 1
    return Block("paragraph", start, end)


def iso_date(value: str) -> str | None:
    """`YYYY-MM-DD` from a date or date-time that begins so; None for anything else and for days that do not exist."""
    found = _DATE.match(value)
    return _valid(found[1]) if found else None


def leading_date(text: str) -> str | None:
    """The date of a text that begins with `date YYYY-MM-DD`."""
    found = _LEADING_DATE.match(text)
    return _valid(found[1]) if found else None


def _valid(day: str) -> str | None:
    try:
        return datetime.date.fromisoformat(day).isoformat()
    except ValueError:
        return None


def one_line(text: str) -> str:
    """A title: white space collapsed, and half characters, which no output could carry, replaced."""
    return " ".join(text.split()).encode("utf-8", "replace").decode()


def collection_of(file: File, own: str) -> str:
    """The caller's collection; the document's `own` while the caller names none."""
    return own if own and file.collection == "default" else file.collection


def document(
    file: File,
    loader: str,
    text: str,
    *,
    blocks: tuple[Block, ...],
    pages: tuple[Page, ...] = (),
    sections: tuple[Section, ...] = (),
    title: str = "",
    date: str | None = None,
    collection: str = "",
    groups: tuple[str, ...] = (),
    author: str | Sequence[str] | None = None,
    language: str | None = None,
) -> Document:
    """The Document of a file, its title by default the file's name, its date a leading one. LoadError without text."""
    if not blocks:
        raise LoadError(f"{file.id}: there is no text that a reader would see; fill the file or remove it")
    try:
        "".join((file.id, text, file.source, collection, *groups)).encode("utf-8")
    except UnicodeEncodeError:
        raise LoadError(f"{file.id}: it holds a lone surrogate (half a character); save it again as UTF-8") from None
    return Document(
        id=file.id,
        text=text,
        title=one_line(title) or file.id.rsplit("/", 1)[-1],
        source=file.source,
        collection=collection_of(file, collection),
        date=date or leading_date(text[:200]),
        loader=loader,
        pages=pages,
        sections=sections,
        blocks=blocks,
        groups=groups,
        author=author_of(author),
        language=language_of(language),
    )
