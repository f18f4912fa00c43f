"""A saved turn as one reader may see it now: what is hidden from them taken out, and what became of each source."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rag.cite import utf16
from rag.claim import claim
from rag.errors import NotFound
from rag.index import Index
from rag.readable import Readable
from rag.state import SavedTurn, without
from rag.terms import terms
from rag.types import Document, Filters, Hit
from rag.verify import Proof, verify


@dataclass(frozen=True)
class Shown:
    """Turns for one reader; documents are fetched once for all of them."""

    index: Index
    groups: tuple[str, ...] | None

    @functools.cached_property
    def _known(self) -> dict[str, Document | None]:
        return {}

    def document(self, document_id: str) -> Document:
        """The document, when this reader may read it. Raises NotFound."""
        if document_id not in self._known:
            try:
                self._known[document_id] = Readable(self.index, self.groups).document(document_id)
            except NotFound:
                self._known[document_id] = None
        found = self._known[document_id]
        if found is None:
            raise NotFound(f"document {document_id!r} is not in the index")
        return found

    def turn(self, turn: SavedTurn, mine: bool, rating: tuple[bool, str] | None = None) -> dict[str, Any]:
        """The turn as JSON values. Its answer has `near` passages with their place in words, each citation a `proof`,
        each of its answers the `claim` of the question that it contradicts, and on silence the words of the query that
        are `missing` from everything this reader may read."""
        kept = {
            "id",
            "number",
            "question",
            "filters",
            "asked",
            "state",
            "problem",
            "shared",
            *(["conversation"] * mine),
        }
        found = {name: getattr(turn, name) for name in kept}
        rated = {"good": rating[0], "reason": rating[1]} if rating else None
        return {
            **found,
            "mine": mine,
            "rating": rated,
            "answer": self._answer(turn.answer, mine) if turn.answer else None,
        }

    def _answer(self, saved: Mapping[str, Any], mine: bool) -> dict[str, Any]:
        named = {part["document_id"] for part in (*saved["citations"], *saved["nearest"])}
        answer = without(saved, {name for name in named if not self._may_see(name, mine)})
        proofs = {proof.n: proof for proof in verify(answer, self)}
        answer["citations"] = [self._citation(c, proofs[c["n"]]) for c in answer["citations"]]
        answer["answers"] = [self._item(item, answer) for item in answer["answers"]]
        answer["nearest"] = [self._near(near) for near in answer["nearest"]]
        answer["missing"] = [] if answer["answers"] else self.missing(str(answer["query"]))
        return answer

    def _item(self, item: Mapping[str, Any], answer: Mapping[str, Any]) -> dict[str, Any]:
        """One answer with the `claim` of the question that its first quote contradicts, in the words of both."""
        first = next(c for c in answer["citations"] if c["n"] == item["citations"][0])
        short, start = first["answer"], first["start"]
        pair = short and claim(answer["question"], first["quote"], short["start"] - start, short["end"] - start)
        return {**item, "claim": {"said": pair[0], "quoted": pair[1]} if pair else None}

    def passages(self, hits: Sequence[Hit]) -> list[dict[str, Any]]:
        """Passages that are about to be read, with their place in words."""
        return [
            self._near({"document_id": hit.document_id, "start": hit.start, "end": hit.end, "text": hit.text})
            for hit in hits
        ]

    def missing(self, query: str) -> list[str]:
        """The words of a query that nothing this reader may read has."""
        limits = Filters(groups=self.groups)
        return [word for word in terms(query) if not self.index.frequency(word, limits)]

    def _may_see(self, document_id: str, mine: bool) -> bool:
        """Whoever asked keeps the words of a document that is gone; of one that is hidden nobody sees any."""
        try:
            self.document(document_id)
        except NotFound:
            if not mine:
                return False
            try:
                self.index.document(document_id)
            except NotFound:
                return True
            return False
        return True

    def _citation(self, citation: Mapping[str, Any], proof: Proof) -> dict[str, Any]:
        if not citation["quote"]:  # nothing but its number may be seen
            return {**citation, "document_id": "", "proof": {"state": "gone"}}
        now: dict[str, Any] | None = None
        if proof.state == "moved" and proof.start is not None and proof.end is not None:
            text = self.document(citation["document_id"]).text
            before, size = utf16(text[: proof.start]), utf16(text[proof.start : proof.end])
            now = {"start": proof.start, "end": proof.end, "utf16": {"start": before, "end": before + size}}
        kept = {name: getattr(proof, name) for name in ("state", "revised", "difference")}
        return {**citation, "proof": {**kept, "now": now}}

    def _near(self, near: Mapping[str, Any]) -> dict[str, Any]:
        """A near passage with the words that tell a reader where it stands."""
        shown = {"document_id": near["document_id"], "start": near["start"], "end": near["end"], "quote": near["text"]}
        try:
            document = self.document(near["document_id"])
        except NotFound:  # removed since the question was asked
            return {**shown, "title": near["document_id"], "section": (), "pages": None, "date": None, "revision": None}
        found = {name: getattr(document, name) for name in ("title", "date", "revision")}
        start = near["start"]
        return {**shown, **found, "section": document.section_at(start), "pages": document.pages_of(start, near["end"])}


def listed(conversation: Any) -> dict[str, Any]:
    """A conversation of the list as JSON values."""
    return dataclasses.asdict(conversation)
