"""A citation, proved again against the index as it is now."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from rag.errors import BadInput, NotFound
from rag.types import Document

State = Literal["exact", "changed", "gone"]


class Documents(Protocol):
    """Where documents are found: an Index, or what one asker may read of it."""

    def document(self, document_id: str, /) -> Document:
        """The document. Raises NotFound."""
        ...


@dataclass(frozen=True, slots=True)
class Proof:
    """What became of one citation; `exact` means that the document still has the quote at that very place."""

    n: int
    document_id: str
    state: State


def verify(answer: Mapping[str, Any], index: Documents) -> list[Proof]:
    """One Proof for each citation of an Answer's JSON. Raises BadInput when it is none."""
    try:
        return [
            Proof(c["n"], c["document_id"], _state(index, c["document_id"], c["start"], c["end"], c["quote"]))
            for c in answer["citations"]
        ]
    except (KeyError, TypeError):
        raise BadInput("not an Answer: give the JSON that `rag ask --json` prints") from None


def _state(index: Documents, document_id: str, start: int, end: int, quote: str) -> State:
    try:
        text = index.document(document_id).text
    except NotFound:
        return "gone"
    return "exact" if text[start:end] == quote else "changed"
