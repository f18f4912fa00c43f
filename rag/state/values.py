"""What is kept, as frozen values, and how a saved answer loses the words of a document."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Literal

TurnState = Literal["pending", "done", "stopped", "failed"]
REASONS = ("wrong", "incomplete", "should_be_silent", "should_answer", "bad_quote")


@dataclass(frozen=True, slots=True)
class Conversation:
    """A conversation without its turns; `turns` counts them."""

    id: str
    title: str
    created: str
    updated: str
    turns: int


@dataclass(frozen=True, slots=True)
class SavedTurn:
    """A question and what became of it: `answer` (an Answer's JSON) when done, `problem` (one line) when failed."""

    id: str
    conversation: str
    number: int
    question: str
    filters: Mapping[str, Any]
    asked: str
    state: TurnState
    answer: dict[str, Any] | None
    problem: str
    shared: bool


@dataclass(frozen=True, slots=True)
class Feedback:
    """What a user thought of a turn. `reason` is one of REASONS when it was not good, else ""."""

    turn: SavedTurn
    owner: str
    good: bool
    reason: str
    comment: str
    given: str


@dataclass(frozen=True, slots=True)
class Upload:
    """A file that a user brought. `groups` besides the owner may read it: () nobody, None everyone."""

    id: str
    owner: str
    name: str
    size: int
    groups: tuple[str, ...] | None
    created: str


def without(answer: Mapping[str, Any], documents: Collection[str]) -> dict[str, Any]:
    """An Answer's JSON without the words of these documents: their citations stay as places, without quote, title and
    context; an answer that only they carry loses its text."""
    blank: dict[str, Any] = {
        "title": "",
        "source": "",
        "quote": "",
        "prefix": "",
        "suffix": "",
        "section": [],
        "answer": None,
    }
    hidden = {c["n"] for c in answer["citations"] if c["document_id"] in documents or not c["quote"]}
    return {
        **answer,
        "citations": [{**c, **blank} if c["n"] in hidden else c for c in answer["citations"]],
        "answers": [
            {**item, "text": "", "dates": []} if hidden.issuperset(item["citations"]) else item
            for item in answer["answers"]
        ],
        "nearest": [near for near in answer["nearest"] if near["document_id"] not in documents],
    }
