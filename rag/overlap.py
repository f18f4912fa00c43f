"""The reader without a reading model: units ranked by embedding and shared words, short answers by their shape.

It is the fallback when no reader model is there, and the baseline that a trained one has to beat.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from rag.embed import Encoder
from rag.quote import spans_in
from rag.terms import WORD, content, coverage
from rag.types import Excerpt, Reading, Span, Unit

NAME = "overlap"
COVERAGE = 0.2  # weight of shared words beside the cosines in a unit's score
NO_ANSWER = 0.6  # a unit below this score is less likely than "no answer"; doubled by a number or name not found
SPANS = 5

_NUMBER = r"(?:[£$€]\s?)?\d+(?:[.,:]\d+)*(?:\s?(?:%|per cent|percent))?"
_MONTH = r"(?:January|February|March|April|May|June|July|August|September|October|November|December)"
_DATE = (
    rf"\d{{1,2}}(?:st|nd|rd|th)?\s+{_MONTH}(?:\s+\d{{4}})?|{_MONTH}\s+\d{{1,2}}(?:,?\s+\d{{4}})?|{_MONTH}(?:\s+\d{{4}})?"
    r"|\d{4}-\d{2}-\d{2}|\d{1,2}[:.]\d{2}(?:\s?[ap]\.?m\.?)?|\b(?:1\d|20)\d{2}\b"
)
_QUANTITY = rf"{_NUMBER}(?:\s+(?:(?:calendar|working|business|consecutive)\s+)?[a-z]+)?"
_NAME = r"\b[A-Z][\w’'-]+(?:\s+(?:of|the|de|van|von|and)?\s*[A-Z][\w’'-]+)*"
_SHAPES = tuple(  # what a question asks for, and what such an answer looks like
    (re.compile(cue, re.IGNORECASE), re.compile(shape))
    for cue, shape in (
        (r"\b(?:when|(?:what|which) (?:date|day|year|time|month))\b", _DATE),
        (r"\bhow (?:many|much|long|old|far|often|high|large|big|soon)\b", _QUANTITY),
        (r"\bwhat(?: is the|'s the)? (?:number|percentage|price|cost|amount|fee|limit|maximum|minimum)\b", _QUANTITY),
        (r"\b(?:who|whose|whom)\b", _NAME),
    )
)


class OverlapReader:
    """`read` scores every unit of every excerpt: its cosine to the question + COVERAGE × the share of the question's
    words found."""

    name = NAME

    def __init__(self, encoder: Encoder) -> None:
        self.encoder = encoder
        self.count = encoder.count

    def read(self, question: str, excerpts: Sequence[Excerpt]) -> list[Reading]:
        """One Reading for each excerpt, in order; spans and quotes count from the beginning of the excerpt's text."""
        every = [(i, unit) for i, excerpt in enumerate(excerpts) for unit in excerpt.units]
        texts = [excerpts[i].text[u.start : u.end] for i, u in every]
        vectors = self.encoder.encode([question, *texts])
        cosines = vectors[1:] @ vectors[0]
        asked = content(question)
        scored: list[list[tuple[float, float, float, Unit]]] = [[] for _ in excerpts]
        for (i, unit), text, cosine in zip(every, texts, cosines, strict=True):
            share = coverage(asked, content(text) | content(excerpts[i].context))
            scored[i].append((float(cosine) + COVERAGE * share, float(cosine), share, unit))
        return [self._reading(question, asked, e, s) for e, s in zip(excerpts, scored, strict=True)]

    def _reading(
        self, question: str, asked: frozenset[str], excerpt: Excerpt, scored: list[tuple[float, float, float, Unit]]
    ) -> Reading:
        ranked = sorted(scored, key=lambda row: (-(row[0] - 0.3 * (row[3].kind == "heading")), row[3].start))
        if not ranked:
            return Reading((), (), 1.0, 0.0, {"cosine": 0.0, "coverage": 0.0, "passage": 0.0, "missing": 1.0})
        score, cosine, share, _ = ranked[0]
        spans = [Span(*short(question, excerpt.text, u), s) for s, _, _, u in ranked[:SPANS]]
        passage = content(excerpt.text) | content(excerpt.context)
        missing = particulars(question) - {w.lower() for w in WORD.findall(excerpt.text + " " + excerpt.context)}
        features = {
            "cosine": cosine,
            "coverage": share,
            "passage": coverage(asked, passage),
            "missing": float(min(len(missing), 2)),
        }
        quotes = spans_in(excerpt, spans)
        return Reading(tuple(spans), quotes, NO_ANSWER * (1 + features["missing"]), score / (1 + COVERAGE), features)


def particulars(question: str) -> frozenset[str]:
    """The question's numbers and names in lower case: an answer about others is an answer to another question."""
    words = WORD.findall(question)
    return frozenset(w.lower() for i, w in enumerate(words) if any(c.isdigit() for c in w) or (i and w[:1].isupper()))


def short(question: str, text: str, unit: Unit) -> tuple[int, int]:
    """The short answer's range inside a unit: what has the shape that the question asks for, else the whole unit."""
    asked = {w.lower() for w in WORD.findall(question)}
    for cue, shape in _SHAPES:
        if cue.search(question):
            for match in shape.finditer(text, unit.start, unit.end):
                if not {w.lower() for w in WORD.findall(match.group())} <= asked:
                    return match.start(), match.end()
    return unit.start, unit.end
