"""Question → Hits: dense and lexical search, fused, overlapping passages merged."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

from rag.index import Index
from rag.rows import StoredPassage
from rag.terms import terms
from rag.types import Filters, Hit

Mode = Literal["dense", "lexical", "fused", "reranked"]

CANDIDATES = 60  # passages that each search gives to the fusion
RRF = 20  # reciprocal rank fusion: 1 / (RRF + rank), Cormack et al. 2009
MAX_MERGED = 1600  # code points; longer runs of overlapping passages stay apart


def retrieve(
    index: Index,
    question: str,
    filters: Filters,
    *,
    mode: Mode = "fused",
    top: int = 10,
    vector: np.ndarray | None = None,
) -> tuple[Hit, ...]:
    """The `top` best hits for a question. `vector` is its embedding when the caller has it already ([d], unit)."""
    pool = max(CANDIDATES, 2 * top)
    dense: list[tuple[int, float]] = []
    lexical: list[tuple[int, float]] = []
    if mode != "lexical":
        vector = index.encoder.encode([question])[0] if vector is None else vector
        dense = index.dense(vector, pool, filters)
    if mode != "dense" and (words := terms(question)):
        lexical = index.lexical(words, pool, filters)
    ranked = fuse(dense, lexical) if mode == "fused" else dense or lexical
    passages = index.passages([key for key, _ in ranked])
    by_dense, by_lexical = dict(dense), dict(lexical)
    hits = [
        _hit(passages[key], by_dense.get(key), by_lexical.get(key), score) for key, score in ranked if key in passages
    ]
    return merge(hits, top)


def fuse(*rankings: Sequence[tuple[int, float]]) -> list[tuple[int, float]]:
    """Reciprocal rank fusion of (key, score) lists that are best first, of one list alone too."""
    scores: dict[int, float] = {}
    for ranking in rankings:
        for rank, (key, _) in enumerate(ranking, 1):
            scores[key] = scores.get(key, 0.0) + 1 / (RRF + rank)
    return sorted(scores.items(), key=lambda pair: (-pair[1], pair[0]))


def merge(hits: Sequence[Hit], top: int) -> tuple[Hit, ...]:
    """The best `top` hits; one that overlaps a better one of its document is merged into it, with the better score."""
    merged: list[Hit] = []
    for hit in hits:
        for i, other in enumerate(merged):
            together = _union(other, hit)
            if together is not None:
                merged[i] = together
                break
        else:
            merged.append(hit)
    return tuple(merged[:top])


def _union(better: Hit, other: Hit) -> Hit | None:
    start, end = min(better.start, other.start), max(better.end, other.end)
    apart = better.end <= other.start or other.end <= better.start
    if better.document_id != other.document_id or apart or end - start > MAX_MERGED:
        return None
    first, second = sorted((better, other), key=lambda h: h.start)
    known = {(u.start, u.end) for u in first.units}
    return Hit(
        document_id=better.document_id,
        start=start,
        end=end,
        text=first.text if first.end >= second.end else first.text + second.text[first.end - second.start :],
        units=first.units + tuple(u for u in second.units if (u.start, u.end) not in known),
        context=first.context,
        dense=_best(better.dense, other.dense),
        lexical=_best(better.lexical, other.lexical),
        fused=max(better.fused, other.fused),
    )


def _best(one: float | None, other: float | None) -> float | None:
    return max((s for s in (one, other) if s is not None), default=None)


def _hit(passage: StoredPassage, dense: float | None, lexical: float | None, fused: float) -> Hit:
    p = passage
    return Hit(p.document_id, p.start, p.end, p.text, p.units, p.context, dense, lexical, fused)
