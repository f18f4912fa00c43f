"""Logits → Readings: spans decoded jointly, over windows, with "no answer" as the zero that scores are measured from.

Logits compare only within their window, so every span score is taken over that window's own "no answer" score; what
is compared across windows and passages is that difference and the relevance. Pure numpy.
"""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rag.quote import spans_in
from rag.types import Excerpt, Reading, Span

MAX_ANSWER = 30  # tokens of a short answer
SPANS = 5
LENGTH = 0.05  # what every token after the first costs: start and end are judged apart and may belong to two answers
_NOTHING = {"margin": -20.0, "relevance": -10.0, "certainty": -10.0, "lead": 0.0, "evidence": -10.0}


@dataclass(frozen=True, slots=True)
class Logits:
    """One window read: float [n] for its n passage tokens, int [n, 2] `offsets` of these in the excerpt's text,
    `null` the score of "no answer". A model without evidence and relevance heads leaves them None."""

    offsets: np.ndarray
    start: np.ndarray
    end: np.ndarray
    null: float
    evidence: np.ndarray | None = None
    relevance: float | None = None


@dataclass(frozen=True, slots=True)
class _View:
    window: Logits
    spans: tuple[Span, ...]
    certainty: float  # log-probability of the best start and end among the passage's

    @property
    def relevance(self) -> float:
        if self.window.relevance is not None:
            return self.window.relevance
        return self.spans[0].score / 2 if self.spans else -10.0


def reading(excerpt: Excerpt, windows: Sequence[Logits]) -> Reading:
    """All windows of an excerpt as one Reading."""
    views = [_view(excerpt.text, window) for window in windows if len(window.offsets)]
    spans: list[Span] = []
    for span in sorted((s for v in views for s in v.spans), key=lambda s: (-s.score, s.start)):
        if len(spans) < SPANS and all(span.end <= other.start or other.end <= span.start for other in spans):
            spans.append(span)
    if not spans:
        return Reading((), (), 0.0, 0.0, _NOTHING)
    best = max((v for v in views if v.spans), key=lambda v: v.spans[0].score)
    relevance = max(v.relevance for v in views)
    quotes = spans_in(excerpt, spans)
    features = {
        "margin": spans[0].score,
        "relevance": relevance,
        "certainty": best.certainty,
        "lead": spans[0].score - spans[1].score if len(spans) > 1 else 10.0,
        "evidence": _evidence(best.window, quotes[0]) if quotes else -10.0,
    }
    return Reading(tuple(spans), quotes, 0.0, 1 / (1 + math.exp(-max(-30.0, min(30.0, relevance)))), features)


def best_spans(start: np.ndarray, end: np.ndarray, price: float = LENGTH) -> list[tuple[int, int, float]]:
    """The best token spans (first, last, start + end score - `price` for each further token) of at most MAX_ANSWER
    tokens, no two overlapping."""
    n = len(start)
    width = min(MAX_ANSWER, n)
    scores = np.full((n, width), -np.inf)
    for k in range(width):
        scores[: n - k, k] = start[: n - k] + end[k:] - price * k
    found: list[tuple[int, int, float]] = []
    while len(found) < SPANS and n:
        i, k = divmod(int(scores.argmax()), width)
        if not np.isfinite(scores[i, k]):
            break
        found.append((i, i + k, float(scores[i, k])))
        for row in range(max(0, i - width + 1), i + k + 1):  # every span that touches i … i + k
            scores[row, max(0, i - row) :] = -np.inf
    return found


def _view(text: str, window: Logits) -> _View:
    start, end = window.start.astype(np.float64), window.end.astype(np.float64)
    found = best_spans(start, end)
    spans = tuple(
        Span(int(window.offsets[i, 0]), _whole(text, int(window.offsets[j, 1])), score - window.null)
        for i, j, score in found
    )
    certainty = found[0][2] - _logsumexp(start) - _logsumexp(end) if found else -10.0
    return _View(window, tuple(s for s in spans if s.start < s.end), certainty)


def _evidence(window: Logits, quote: Span) -> float:
    """Mean evidence of the tokens of a quote."""
    touched = (window.offsets[:, 0] < quote.end) & (quote.start < window.offsets[:, 1])
    return float(window.evidence[touched].mean()) if window.evidence is not None and touched.any() else 0.0


def _whole(text: str, end: int) -> int:
    """Tokenizers drop combining marks; a short answer takes those at its end along."""
    while end < len(text) and unicodedata.category(text[end]).startswith("M"):
        end += 1
    return end


def _logsumexp(values: np.ndarray) -> float:
    top = float(values.max())
    return top + float(np.log(np.exp(values - top).sum()))
