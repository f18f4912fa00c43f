"""What goes in and out of /v1, as typed shapes: they check requests and are the OpenAPI description."""

from __future__ import annotations

import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from rag.types import AnswerItem, Citation, Nearest, Page, Reason, Section
from rag.verify import Proof
from rag.web.uploads import Stage


class Strict(BaseModel):
    """A request body; a member that is not known is an error."""

    model_config = ConfigDict(extra="forbid")


class Said(Strict):
    """One turn of the conversation so far."""

    role: Literal["user", "assistant"]
    content: str = Field(max_length=10_000)


class Limits(Strict):
    """What the asker narrows the search to; dates are inclusive. Nothing here widens what they may read."""

    collections: list[str] = Field(default=[], max_length=1_000)
    documents: list[str] = Field(default=[], max_length=1_000)
    since: datetime.date | None = None
    until: datetime.date | None = None
    languages: list[str] = Field(default=[], max_length=100)
    authors: list[str] = Field(default=[], max_length=100)


class Question(Strict):
    """A question; `history` is oldest first, a string being an earlier question."""

    question: str = Field(min_length=1, max_length=2_000)
    history: list[Annotated[str, Field(max_length=2_000)] | Said] = Field(default=[], max_length=100)
    filters: Limits = Field(default_factory=Limits)


class Sought(Strict):
    """A search for passages."""

    question: str = Field(min_length=1, max_length=2_000)
    mode: Literal["dense", "lexical", "fused", "reranked"] = "reranked"
    top: int = Field(default=10, ge=1, le=100)
    filters: Limits = Field(default_factory=Limits)


class Cited(BaseModel):
    """What a proof needs of a citation; the other members of an Answer are not looked at."""

    n: int = Field(ge=0, le=1_000_000)
    document_id: str = Field(max_length=4_096)
    start: int = Field(ge=0, le=2**53)
    end: int = Field(ge=0, le=2**53)
    quote: str = Field(max_length=10_000)
    prefix: str = Field(default="", max_length=200)
    suffix: str = Field(default="", max_length=200)
    revision: str | None = Field(default=None, max_length=200)


class Saved(BaseModel):
    """A saved Answer."""

    citations: list[Cited] = Field(max_length=100)


class AnswerJson(BaseModel):
    """The Answer, as `rag ask --json` prints it. Offsets are half-open ranges of Unicode code points."""

    schema_: Literal["answer/1"] = Field(alias="schema")
    question: str
    query: str
    status: Literal["answered", "abstained"]
    reason: Reason | None
    confidence: float
    index_version: str
    timings_ms: dict[str, float]
    answers: list[AnswerItem]
    conflict: bool
    citations: list[Citation]
    nearest: list[Nearest]


class FoundJson(BaseModel):
    """A passage and its score; scores compare within one question only."""

    document_id: str
    start: int
    end: int
    text: str
    score: float


class HitsJson(BaseModel):
    """Passages, best first."""

    hits: list[FoundJson]


class DocumentJson(BaseModel):
    """A document without its text."""

    id: str
    title: str
    source: str
    collection: str
    date: str | None
    revision: str
    passages: int
    author: str | None
    language: str | None


class DocumentsJson(BaseModel):
    """One page of the documents that the asker may read, by id; `next` is the `after` of the next page."""

    documents: list[DocumentJson]
    next: str | None


class SourceJson(BaseModel):
    """A range of a document's canonical text, with the pages and sections that it touches."""

    document_id: str
    title: str
    source: str
    collection: str
    date: str | None
    revision: str
    author: str | None
    language: str | None
    size: int
    start: int
    end: int
    text: str
    pages: list[Page]
    sections: list[Section]


class ProofsJson(BaseModel):
    """What became of each citation."""

    proofs: list[Proof]


class CollectionJson(BaseModel):
    """A collection and how many of its documents the asker may read."""

    name: str
    documents: int


class CollectionsJson(BaseModel):
    """The collections, by name."""

    collections: list[CollectionJson]


class UploadJson(BaseModel):
    """An upload. `groups` besides the owner may read it (null: everyone); `percent` is of the whole way; `problems`
    is what was left out, or why all of it was."""

    id: str
    name: str
    size: int
    groups: list[str] | None
    created: str
    sha256: str
    collection: str
    stage: Stage
    percent: int
    seconds_left: int | None
    problems: list[str]
    documents: list[str]


class UploadsJson(BaseModel):
    """The asker's own uploads, newest first, and what they may upload: bytes of one file (0: nothing) and of all, the
    groups that they may share with, whether with everyone, and whether they may see the `whole` index (/v1/status)."""

    uploads: list[UploadJson]
    largest: int
    kept: int
    quota: int
    groups: list[str]
    everyone: bool
    whole: bool


class RemovedJson(BaseModel):
    """How many documents were removed, and how many saved answers quote them."""

    removed: int
    saved_answers: int


class WidgetJson(BaseModel):
    """What the web component says: its title and its words, by name."""

    title: str
    words: dict[str, str | dict[str, str]]
