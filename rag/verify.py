"""A citation, proved again against the index as it is now."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from rag.errors import BadInput, NotFound
from rag.types import Document

State = Literal["exact", "moved", "changed", "gone"]
MARGIN = 200  # code points around the old place that the difference is looked for in, at first
ALIKE = 0.5  # share of the letters of the quote's words that must be left for it to count as changed, not gone
_WORD = re.compile(r"\w+|[^\w\s]")


class Documents(Protocol):
    """Where documents are found: an Index, or what one asker may read of it."""

    def document(self, document_id: str, /) -> Document:
        """The document. Raises NotFound."""
        ...


@dataclass(frozen=True, slots=True)
class Proof:
    """What became of one citation.

    exact    the document still has the quote at that very place
    moved    it has the quote, between its prefix and suffix, at `start:end`
    changed  what stands at `start:end` now resembles it; `difference` is old to new, word by word
    gone     the document, or anything like the quote in it, is no longer there
    """

    n: int
    document_id: str
    state: State
    start: int | None = None
    end: int | None = None
    text: str | None = None  # what stands there now
    difference: tuple[str, ...] = ()  # "  same", "- before", "+ now"
    revised: bool = False  # the document is another revision than the one that was cited


def verify(answer: Mapping[str, Any], index: Documents) -> list[Proof]:
    """One Proof for each citation of an Answer's JSON. Raises BadInput when it is none."""
    try:
        return [_proof(index, citation) for citation in answer["citations"]]
    except (KeyError, TypeError, AttributeError, ValueError):
        raise BadInput("not an Answer: give the JSON that `rag ask --json` prints") from None


def _proof(index: Documents, citation: Mapping[str, Any]) -> Proof:
    n, name, start, end = citation["n"], citation["document_id"], int(citation["start"]), int(citation["end"])
    quote = str(citation["quote"])
    try:
        document = index.document(name)
    except NotFound:
        return Proof(n, name, "gone")
    text, revised = document.text, document.revision != citation.get("revision")
    if quote and 0 <= start <= end and text[start:end] == quote:
        return Proof(n, name, "exact", start, end, quote, revised=revised)
    # A selector (W3C TextQuoteSelector) is the one thing that may be searched for: the revision it names is gone.
    prefix, suffix = str(citation.get("prefix", "")), str(citation.get("suffix", ""))
    if quote and (at := _nearest(text, prefix + quote + suffix, start - len(prefix))) is not None:
        moved = at + len(prefix)
        return Proof(n, name, "moved", moved, moved + len(quote), quote, revised=revised)
    found = _alike(text, quote, prefix, suffix, start)
    if found is None:
        return Proof(n, name, "gone", revised=revised)
    now = text[found[0] : found[1]]
    return Proof(n, name, "changed", *found, now, _difference(quote.split(), now.split()), revised=revised)


def _difference(before: list[str], now: list[str]) -> tuple[str, ...]:
    """Old to new, word by word: "  same", "- before", "+ now"."""
    lines: list[str] = []
    for kind, a, b, c, d in difflib.SequenceMatcher(None, before, now).get_opcodes():
        if kind == "equal":
            lines += (f"  {word}" for word in before[a:b])
        else:
            lines += [*(f"- {word}" for word in before[a:b]), *(f"+ {word}" for word in now[c:d])]
    return tuple(lines)


def _nearest(text: str, sought: str, near: int) -> int | None:
    """Where `sought` stands nearest to `near`."""
    best, at = None, text.find(sought)
    while at >= 0:
        if best is None or abs(at - near) < abs(best - near):
            best = at
        at = text.find(sought, at + 1)
    return best


def _alike(text: str, quote: str, prefix: str, suffix: str, near: int) -> tuple[int, int] | None:
    """The range that took the quote's place: between its prefix and suffix, or the quote with other neighbours, or
    the stretch around its old place that shares most with it."""
    if quote and (at := _nearest(text, quote, near)) is not None:
        return at, at + len(quote)
    before = _nearest(text, prefix, near - len(prefix)) if prefix else None
    if before is not None:
        begin = before + len(prefix)
        finish = text.find(suffix, begin) if suffix else len(text)
        if begin < finish <= begin + 3 * len(quote):
            return begin, finish
    if not quote:
        return None
    first = max(0, near - MARGIN - len(quote))
    window = text[first : near + 2 * len(quote) + MARGIN]
    here, there = ([m.span() for m in _WORD.finditer(t)] for t in (quote, window))  # words: letters would take hours
    sought, seen = [quote[a:b] for a, b in here], [window[a:b] for a, b in there]
    blocks = [b for b in difflib.SequenceMatcher(None, sought, seen).get_matching_blocks() if b.size]
    left = sum(len(word) for b in blocks for word in sought[b.a : b.a + b.size])
    if not blocks or left < ALIKE * sum(map(len, sought)):
        return None
    begin, finish = first + there[blocks[0].b][0], first + there[blocks[-1].b + blocks[-1].size - 1][1]
    return (begin, finish) if finish - begin <= 3 * len(quote) else None
