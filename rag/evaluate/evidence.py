"""Where the gold evidence of a question stands, and windows of text to show it in."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from rag.errors import BadInput, NotFound
from rag.evaluate.datasets import Gold, Question, passage_id
from rag.evaluate.metrics import Place, overlaps

Items = tuple[tuple[Place, ...], ...]  # for each item of evidence the places that count as it
Mark = tuple[Place, str]  # a place and why it is marked: gold, quote or answer
AROUND = 220  # code points of context on each side of a mark
WIDEST = 1600  # longest window shown


def locate(gold: Gold, text: str) -> tuple[Place, ...]:
    """The places of one item in the canonical text. Raises BadInput when quote and text, or offsets, disagree."""
    name, quote = gold.document_id, gold.quote
    if gold.start is not None and gold.end is not None:
        if gold.end > len(text):
            raise BadInput(f"gold {gold.start}:{gold.end} leaves {name!r}, which has {len(text)} characters")
        if quote is not None and text[gold.start : gold.end] != quote:
            raise BadInput(
                f"gold {gold.start}:{gold.end} of {name!r} is {text[gold.start : gold.end][:60]!r}, not {quote[:60]!r}"
            )
        return ((name, gold.start, gold.end),)
    if quote is None:
        return ((name, 0, len(text)),)
    places, start = [], text.find(quote)
    while start >= 0:
        places.append((name, start, start + len(quote)))
        start = text.find(quote, start + 1)
    if not places:
        raise BadInput(f"gold quote {quote[:60]!r} does not stand in {name!r}")
    return tuple(places)


def evidence(question: Question, text_of: Callable[[str], str]) -> Items:
    """Every item with its places: the answers of a span row are alternatives of one item. Raises BadInput."""
    if question.spans:
        name = passage_id(question.context)
        return (tuple((name, start, end) for start, end in question.spans),)
    items = []
    for gold in question.gold:
        try:
            text = text_of(gold.document_id)
        except NotFound:
            raise BadInput(f"gold names document {gold.document_id!r}, which the index does not have") from None
        items.append(locate(gold, text))
    return tuple(items)


def ranking(hits: Iterable[Place], items: Items) -> list[str]:
    """Hits as names for the ranking metrics: `item i` for the first hit that finds item i, `miss r` for any other.

    A hit that finds two items at once takes two ranks.
    """
    found: set[int] = set()
    names = []
    for rank, hit in enumerate(hits):
        new = [i for i, item in enumerate(items) if i not in found and any(overlaps(hit, place) for place in item)]
        found.update(new)
        names += [f"item {i}" for i in new] or [f"miss {rank}"]
    return names


def windows(marks: Sequence[Mark], texts: Mapping[str, str]) -> list[dict[str, Any]]:
    """Passages that hold the marks: {"document_id", "start", "text", "marks": [{"start", "end", "kind"}]}.

    Offsets of marks count from the window's own start. Marks that lie near each other share a window.
    """
    shown: list[dict[str, Any]] = []
    for name in dict.fromkeys(place[0] for place, _ in marks):
        text = texts[name]
        group: list[Mark] = []
        for mark in sorted(mark for mark in marks if mark[0][0] == name):
            if group and (mark[0][1] - group[-1][0][2] > 2 * AROUND or mark[0][2] - group[0][0][1] > WIDEST):
                shown.append(_window(name, text, group))
                group = []
            group.append(mark)
        shown.append(_window(name, text, group))
    return shown


def _window(name: str, text: str, group: Sequence[Mark]) -> dict[str, Any]:
    first, last = group[0][0][1], max(place[2] for place, _ in group)
    start, end = max(0, first - AROUND), min(len(text), last + AROUND)
    if start:  # not within a word
        start = text.find(" ", start, first) + 1 or start
    if last < end < len(text):
        end = max(text.rfind(" ", last, end), last)
    end = min(end, start + WIDEST)
    marks = [
        {"start": place[1] - start, "end": min(place[2], end) - start, "kind": kind}
        for place, kind in group
        if place[1] < end
    ]
    return {"document_id": name, "start": start, "text": text[start:end], "marks": marks}
