"""The frozen values that flow through Pullquote. Standard library only.

Every `start` and `end` is a half-open range of Unicode code points. In Document, Passage, Hit and Citation they
count from the beginning of the document's canonical text; in Reading they count from the beginning of the passage
that was read. Nothing in the program searches a text for a quote to find out where it came from.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

SCHEMA = "answer/1"
QUOTE_CONTEXT = 32  # code points of prefix and suffix in a citation (W3C TextQuoteSelector)

BlockKind = Literal["heading", "paragraph", "item", "row", "code"]
Reason = Literal["empty_index", "filtered", "no_passage", "no_span", "low_confidence"]


@dataclass(frozen=True, slots=True)
class Page:
    """A page of a paged document: `number` counts from 1, `label` is what is printed on it."""

    number: int
    label: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Section:
    """The range below a heading; `path` holds the headings from the outermost to this one."""

    path: tuple[str, ...]
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Block:
    """What a loader saw: a heading, paragraph, list item, table row or code line."""

    kind: BlockKind
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Unit:
    """The smallest range that is quoted: a sentence, heading, item, row or code line; `partial` marks a cut piece."""

    start: int
    end: int
    kind: BlockKind = "paragraph"
    partial: bool = False


@dataclass(frozen=True, slots=True)
class Document:
    """One source as canonical text with its structure. Ranges that leave the text cannot be built."""

    id: str
    text: str
    title: str = ""
    source: str = ""
    collection: str = "default"
    date: str | None = None
    loader: str = "text/1"
    pages: tuple[Page, ...] = ()
    sections: tuple[Section, ...] = ()
    blocks: tuple[Block, ...] = ()
    groups: tuple[str, ...] = ()
    revision: str = field(default="")
    author: str | None = None  # several are parted by "; "
    language: str | None = None  # BCP 47; of an index also what the text says beyond doubt

    def __post_init__(self) -> None:
        size = len(self.text)
        parts: tuple[Page | Section | Block, ...] = (*self.pages, *self.sections, *self.blocks)
        for part in parts:
            if not 0 <= part.start <= part.end <= size:
                raise ValueError(f"{self.id}: {part} leaves the text of {size} characters")
        ordered = tuple(sorted(self.sections, key=lambda s: (s.start, -s.end)))  # so that `section_at` need not scan
        object.__setattr__(self, "sections", ordered)
        if not self.revision:
            digest = hashlib.sha256(self.text.encode("utf-8")).hexdigest()
            object.__setattr__(self, "revision", f"sha256:{digest}")

    def section_at(self, position: int) -> tuple[str, ...]:
        """The path of the innermost section that holds `position`; () when there is none."""
        for i in range(bisect_right(self.sections, position, key=lambda s: s.start) - 1, -1, -1):
            if position < self.sections[i].end:
                return self.sections[i].path
        return ()

    def pages_of(self, start: int, end: int) -> tuple[int, int] | None:
        """First and last page number that `start:end` touches; None in an unpaged document."""
        touched = [p.number for p in self.pages if p.start < end and start < p.end]
        return (touched[0], touched[-1]) if touched else None


@dataclass(frozen=True, slots=True)
class Passage:
    """What is embedded and retrieved: a run of whole units. `context` (title, headings) is embedded, never quoted."""

    document_id: str
    start: int
    end: int
    units: tuple[Unit, ...]
    context: str = ""


@dataclass(frozen=True, slots=True)
class Filters:
    """What the asker limits the search to, and the groups they are in. Empty means no limit; dates are inclusive."""

    collections: tuple[str, ...] = ()
    documents: tuple[str, ...] = ()
    since: str | None = None
    until: str | None = None
    groups: tuple[str, ...] | None = None  # None: access is not checked (one-user use)
    languages: tuple[str, ...] = ()  # BCP 47; `en` is `en-GB` too
    authors: tuple[str, ...] = ()  # one of a document's authors, by the whole name

    @property
    def limiting(self) -> bool:
        """True when the asker narrowed the search (access rules are not a choice of the asker)."""
        limits = (self.collections, self.documents, self.since, self.until, self.languages, self.authors)
        return any(limits)


@dataclass(frozen=True, slots=True)
class Hit:
    """A retrieved range with its scores; scores compare within one question only."""

    document_id: str
    start: int
    end: int
    text: str
    units: tuple[Unit, ...]
    context: str = ""
    dense: float | None = None
    lexical: float | None = None
    fused: float = 0.0
    relevance: float | None = None

    @property
    def score(self) -> float:
        """The score of the last stage that looked at this hit."""
        return self.fused if self.relevance is None else self.relevance

    @property
    def excerpt(self) -> Excerpt:
        """The hit as a reader wants it: ranges count from its own start."""
        shifted = (Unit(u.start - self.start, u.end - self.start, u.kind, u.partial) for u in self.units)
        return Excerpt(self.text, tuple(shifted), self.context)


@dataclass(frozen=True, slots=True)
class Excerpt:
    """What a reader is given: a text and its units, whose ranges count from the beginning of this text."""

    text: str
    units: tuple[Unit, ...]
    context: str = ""


@dataclass(frozen=True, slots=True)
class Span:
    """A scored range of the passage that was read."""

    start: int
    end: int
    score: float


@dataclass(frozen=True, slots=True)
class Reading:
    """What a reader saw in one passage: short answers and whole-unit quotes, best first, and the case for silence.

    `features` are the numbers a calibrator turns into a probability; their names are the reader's own.
    """

    spans: tuple[Span, ...]
    quotes: tuple[Span, ...]
    no_answer_score: float
    relevance: float
    features: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class ShortAnswer:
    """The short answer's own range inside a quote."""

    start: int
    end: int
    text: str


@dataclass(frozen=True, slots=True)
class Citation:
    """A verbatim quote and where it stands. `document.text[start:end] == quote` holds always."""

    n: int
    document_id: str
    title: str
    source: str
    collection: str
    date: str | None
    revision: str
    start: int
    end: int
    quote: str
    partial: bool
    answer: ShortAnswer | None
    prefix: str
    suffix: str
    utf16: Mapping[str, int]
    pages: tuple[int, int] | None
    section: tuple[str, ...]
    score: float
    author: str | None = None


@dataclass(frozen=True, slots=True)
class AnswerItem:
    """One answer: its short text, the numbers of the citations that carry it, and their documents' dates."""

    text: str
    citations: tuple[int, ...]
    dates: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Nearest:
    """A passage that came close; shown beside silence as what it is: not an answer."""

    document_id: str
    start: int
    end: int
    text: str
    score: float


@dataclass(frozen=True, slots=True)
class Answer:
    """The one result of a question, in every face of the program."""

    question: str
    query: str
    status: Literal["answered", "abstained"]
    reason: Reason | None
    confidence: float
    index_version: str
    timings_ms: Mapping[str, float]
    answers: tuple[AnswerItem, ...] = ()
    conflict: bool = False
    citations: tuple[Citation, ...] = ()
    nearest: tuple[Nearest, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """The Answer of the contracts as plain JSON values."""
        return {"schema": SCHEMA, **dataclasses.asdict(self)}

    def to_json(self) -> str:
        """`to_dict` as one line of JSON."""
        return json.dumps(self.to_dict(), ensure_ascii=False)


@dataclass(frozen=True, slots=True)
class Turn:
    """One turn of a conversation, oldest first."""

    role: Literal["user", "assistant"]
    content: str


def turns(history: Sequence[str | Mapping[str, str] | Turn]) -> tuple[Turn, ...]:
    """History as given by a caller (strings are earlier questions) as Turns. Raises ValueError on any other shape."""
    found = []
    for item in history:
        if isinstance(item, Turn):
            found.append(item)
        elif isinstance(item, str):
            found.append(Turn("user", item))
        elif (
            isinstance(item, Mapping)
            and item.get("role") in ("user", "assistant")
            and isinstance(item.get("content"), str)
        ):
            found.append(Turn(item["role"], item["content"]))  # type: ignore[arg-type]
        else:
            raise ValueError('a history item is a string or {"role": "user"|"assistant", "content": "…"}')
    return tuple(found)
