"""The trained reader: one pass over question and passage gives spans, evidence, relevance and the case for silence.

Logits of one window compare only within it, so every span score is taken over that window's own "no answer" score;
what is compared across windows and passages is that difference and the relevance.
"""

from __future__ import annotations

import json
import math
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from rag import runtime
from rag.errors import ModelError
from rag.quote import spans_in
from rag.types import Excerpt, Reading, Span

SHIPPED = Path(__file__).parent / "models" / "reader"
MAX_QUESTION = 64  # tokens; the rest of a longer question is not read
MAX_ANSWER = 30  # tokens of a short answer
SPANS = 5
BATCH = 4  # windows in one run: a larger batch is no faster on a CPU


@dataclass(frozen=True, slots=True)
class _Window:
    """A run of passage tokens: `ids` of the whole input, `first` the position of the first passage token in it, and
    `offsets` int [n, 2], the code points of the n passage tokens in the excerpt."""

    excerpt: int
    ids: list[int]
    first: int
    offsets: np.ndarray


@dataclass(frozen=True, slots=True)
class _Seen:
    """What one window showed: spans over its null score, evidence of each passage token, relevance logit."""

    spans: tuple[Span, ...]
    offsets: np.ndarray
    evidence: np.ndarray
    relevance: float
    certainty: float


class NeuralReader:
    """A reader folder: model.onnx, tokenizer.json, reader.json. Raises ModelError when a file is missing or damaged."""

    def __init__(self, folder: Path, threads: int) -> None:
        try:
            about: Mapping[str, Any] = json.loads((folder / "reader.json").read_text("utf-8"))
            self.max_length = int(about["max_length"])
            self.stride = int(about["stride"])
            self.name = str(about["name"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ModelError(
                f"{folder}: not a reader ({error}); reinstall pullquote, or set reader = 'overlap'"
            ) from None
        self.tokenizer = runtime.Tokenizer(folder / "tokenizer.json")
        self.session = runtime.open_session(folder / "model.onnx", threads)
        self.count = self.tokenizer.count

    def read(self, question: str, excerpts: Sequence[Excerpt]) -> list[Reading]:
        """One Reading for each excerpt, in order. Long excerpts are read in overlapping windows."""
        asked = self.tokenizer.raw.encode(question, add_special_tokens=False).ids[:MAX_QUESTION]
        windows = [w for i, e in enumerate(excerpts) for w in self._windows(asked, i, e.text)]
        seen: list[list[_Seen]] = [[] for _ in excerpts]
        order = sorted(range(len(windows)), key=lambda i: len(windows[i].ids))
        for first in range(0, len(order), BATCH):
            batch = [windows[i] for i in order[first : first + BATCH]]
            for window, outputs in zip(batch, self._run(batch, len(asked)), strict=True):
                seen[window.excerpt].append(_look(window, excerpts[window.excerpt].text, *outputs))
        return [_reading(excerpt, views) for excerpt, views in zip(excerpts, seen, strict=True)]

    def _windows(self, asked: list[int], excerpt: int, text: str) -> list[_Window]:
        encoding = self.tokenizer.raw.encode(text, add_special_tokens=False)
        ids, offsets = encoding.ids, np.array(encoding.offsets, dtype=np.int64).reshape(-1, 2)
        room = self.max_length - len(asked) - 3
        cls, sep = self._special
        made = []
        for begin in range(0, len(ids), max(1, room - self.stride)):
            piece = slice(begin, begin + room)
            made.append(_Window(excerpt, [cls, *asked, sep, *ids[piece], sep], len(asked) + 2, offsets[piece]))
            if begin + room >= len(ids):
                break
        return made

    @property
    def _special(self) -> tuple[int, int]:
        raw = self.tokenizer.raw
        return int(raw.token_to_id("[CLS]") or 0), int(raw.token_to_id("[SEP]") or 0)

    def _run(self, batch: Sequence[_Window], asked: int) -> list[tuple[np.ndarray, np.ndarray, np.ndarray, float]]:
        ids, mask = runtime.padded([w.ids for w in batch])
        types = mask * (np.arange(ids.shape[1]) >= asked + 2)
        start, end, evidence, relevance = runtime.run(
            self.session, input_ids=ids, attention_mask=mask, token_type_ids=types
        )
        return [(start[i], end[i], evidence[i], float(relevance[i])) for i in range(len(batch))]


def _look(
    window: _Window, text: str, start: np.ndarray, end: np.ndarray, evidence: np.ndarray, relevance: float
) -> _Seen:
    inside = slice(window.first, window.first + len(window.offsets))
    null = float(start[0] + end[0])
    s, e = start[inside].astype(np.float64), end[inside].astype(np.float64)
    spans = tuple(
        Span(int(window.offsets[i, 0]), _grapheme_end(text, int(window.offsets[j, 1])), score - null)
        for i, j, score in best_spans(s, e)
    )
    best = spans[0].score + null if spans else 0.0
    certainty = best - float(_logsumexp(s) + _logsumexp(e)) if spans else 0.0
    return _Seen(spans, window.offsets, evidence[inside].astype(np.float64), relevance, certainty)


def best_spans(start: np.ndarray, end: np.ndarray) -> list[tuple[int, int, float]]:
    """The best token spans (first, last, start + end score) of at most MAX_ANSWER tokens, no two overlapping."""
    n = len(start)
    width = min(MAX_ANSWER, n)
    scores = np.full((n, width), -np.inf)
    for k in range(width):
        scores[: n - k, k] = start[: n - k] + end[k:]
    found: list[tuple[int, int, float]] = []
    while len(found) < SPANS and n:
        i, k = divmod(int(scores.argmax()), width)
        if not np.isfinite(scores[i, k]):
            break
        found.append((i, i + k, float(scores[i, k])))
        for row in range(max(0, i - width + 1), i + k + 1):  # spans that touch i … i+k
            scores[row, max(0, i - row) :] = -np.inf
    return found


def _reading(excerpt: Excerpt, views: Sequence[_Seen]) -> Reading:
    """All windows of an excerpt as one Reading; "no answer" scores 0, as spans are measured from it."""
    spans: list[Span] = []
    for span in sorted((s for v in views for s in v.spans), key=lambda s: (-s.score, s.start)):
        if len(spans) < SPANS and all(span.end <= other.start or other.end <= span.start for other in spans):
            spans.append(span)
    if not spans:
        return Reading((), (), 0.0, 0.0, {"margin": -20.0, "relevance": -10.0})
    view = max(views, key=lambda v: v.spans[0].score if v.spans else -math.inf)
    relevance = max(v.relevance for v in views)
    quotes = spans_in(excerpt, spans)
    features = {
        "margin": spans[0].score,
        "relevance": relevance,
        "certainty": view.certainty,
        "lead": spans[0].score - spans[1].score if len(spans) > 1 else 10.0,
        "evidence": _mean_evidence(view, quotes[0]) if quotes else -10.0,
    }
    return Reading(tuple(spans), quotes, 0.0, 1 / (1 + math.exp(-relevance)), features)


def _mean_evidence(view: _Seen, quote: Span) -> float:
    touched = (view.offsets[:, 0] < quote.end) & (quote.start < view.offsets[:, 1])
    return float(view.evidence[touched].mean()) if touched.any() else -10.0


def _grapheme_end(text: str, end: int) -> int:
    """The tokenizer drops combining marks; a short answer takes those at its end along."""
    while end < len(text) and unicodedata.category(text[end]).startswith("M"):
        end += 1
    return end


def _logsumexp(values: np.ndarray) -> float:
    top = values.max()
    return float(top + np.log(np.exp(values - top).sum()))
