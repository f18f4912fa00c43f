"""Readings → candidates with a probability, which of them are one answer, and why there is silence."""

from __future__ import annotations

import dataclasses
import math
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from rag.calibrate import Calibrator
from rag.embed import Encoder
from rag.facts import Fact, alike, differing, elsewhere, facts, stated
from rag.lists import whole_list
from rag.quote import quote_run
from rag.types import Document, Hit, Reading, Reason

SPANS_A_HIT = 3  # spans of one passage that become candidates
CITATIONS = 3  # the most that one Answer shows
RIVAL = 0.8  # another answer is shown beside the best one from this share of its probability; one that differs, always
FUSED, DENSE = 150.0, 20.0  # what retrieval's scores count beside one unit of the reader's log-odds (docs/rereading.md)
RELEVANT = 0.35  # below this relevance of the best passage, silence is `no_passage`
_NOT = frozenset("no not never none nor without cannot".split())
SAME_SUBJECT = 0.5  # cosine from which two quotes are about the same thing, so that their numbers can disagree


@dataclass(frozen=True, slots=True)
class Candidate:
    """A quote that may be cited: document offsets of the quote and of the short answer in it."""

    hit: Hit
    start: int
    end: int
    partial: bool
    answer: tuple[int, int]
    features: Mapping[str, float]  # what the calibrator sees
    no_answer: bool  # the reader itself prefers "no answer" here
    # [d], unit: the embedding of the quote below its headings
    vector: np.ndarray | None = dataclasses.field(default=None, compare=False, repr=False)
    probability: float = 0.0

    @property
    def text(self) -> str:
        """The short answer."""
        return self.hit.text[self.answer[0] - self.hit.start : self.answer[1] - self.hit.start]

    @property
    def quote(self) -> str:
        """The whole units that carry it."""
        return self.hit.text[self.start - self.hit.start : self.end - self.hit.start]

    @property
    def facts(self) -> tuple[Fact, ...]:
        """The values that the short answer states."""
        return stated(self.quote, self.answer[0] - self.start, self.answer[1] - self.start)


def propose(
    hits: Sequence[Hit], readings: Sequence[Reading], question: np.ndarray, encoder: Encoder
) -> list[Candidate]:
    """The quotes of the best spans of each hit, with all that is known of each.

    `question` is the embedding of the question ([d], unit): the likeness to it of a quote below its headings is what
    the reader does not see.
    """
    made = [c for hit, reading in zip(hits, readings, strict=True) for c in _of_hit(hit, reading)]
    vectors = encoder.encode([f"{c.hit.context}\n{c.quote}" for c in made])
    return [
        dataclasses.replace(c, features={**c.features, "likeness": float(vector @ question)}, vector=vector)
        for c, vector in zip(made, vectors, strict=True)
    ]


def rank(proposed: Sequence[Candidate], calibrator: Calibrator) -> list[Candidate]:
    """The best candidate of each hit with its probability, the best first; no two quote the same characters."""
    sure = [dataclasses.replace(c, probability=calibrator.probability(c.features)) for c in proposed]
    kept: list[Candidate] = []
    for found in sorted(sure, key=lambda c: (-c.probability, c.hit.document_id, c.start)):
        if not any(found.hit is other.hit or overlap(found, other) for other in kept):
            kept.append(found)
    return kept


def answers(ranked: Sequence[Candidate], threshold: float) -> list[list[Candidate]]:
    """The candidates to show, as answers: those that say the same are one; [] is silence.

    Another document that differs from the best answer is shown from the threshold on: to hide it would be to decide.
    """
    if not ranked or ranked[0].probability < threshold:
        return []
    floor = RIVAL * ranked[0].probability
    sure = [c for c in ranked if c.probability >= threshold]
    groups: list[list[Candidate]] = []
    for candidate in [c for c in sure if c.probability >= floor or differ(ranked[0], c)][:CITATIONS]:
        for group in groups:
            if _same(group[0], candidate):
                group.append(candidate)
                break
        else:
            groups.append([candidate])
    return groups


def whole(
    groups: Sequence[Sequence[Candidate]], documents: Mapping[str, Document], question: str
) -> list[list[Candidate]]:
    """The answers with all of a list quoted where all of it answers; no two quotes share a character then either."""
    kept: list[list[Candidate]] = []
    for group in groups:
        made: list[Candidate] = []
        for c in group:
            start, end = whole_list(documents[c.hit.document_id], question, c.start, c.end)
            wider = dataclasses.replace(c, start=start, end=end, partial=c.partial and (start, end) == (c.start, c.end))
            if not any(overlap(wider, other) for others in [*kept, made] for other in others):
                made.append(wider)
        if made:
            kept.append(made)
    return kept


def conflicting(groups: Sequence[Sequence[Candidate]]) -> bool:
    """True when two documents answer the question differently (see `differ`)."""
    return any(differ(a, b) for i, one in enumerate(groups) for other in groups[i + 1 :] for a in one for b in other)


def differ(one: Candidate, other: Candidate) -> bool:
    """The one rule of when documents differ. All of it holds:

    - the quotes stand in two documents;
    - both state a value of the same kind (`rag.facts`: a number with its unit, a date, a time, a name), in the short
      answer or as the only value of the quote; none of that kind is the same when written the same way, and no quote
      has two of that kind, since it is not known which of them was asked for;
    - they speak of the same thing: their embeddings are near, neither names or dates what the other does not while
      naming something else, and where names or dates differ, half of the other words are the same.
    """
    if one.hit.document_id == other.hit.document_id or not _near(one, other):
        return False
    pair = differing(one.facts, other.facts)
    if pair is None or any(len({f.size for f in facts(c.quote) if f.kind == pair[0].kind}) > 1 for c in (one, other)):
        return False
    rest = [c.quote.replace(fact.text, "") for c, fact in zip((one, other), pair, strict=True)]
    return not elsewhere(*rest) and (pair[0].kind not in ("name", "date") or alike(*rest))


def reason(ranked: Sequence[Candidate], readings: Sequence[Reading]) -> Reason:
    """Why there is silence though passages were found; the first that holds."""
    if not ranked or max(r.relevance for r in readings) < RELEVANT:
        return "no_passage"
    return "no_span" if ranked[0].no_answer else "low_confidence"


def rank_features(hit: Hit, reading: Reading) -> dict[str, float]:
    """What the order of hits is decided on: the reader's relevance as log-odds, and what retrieval says against it.

    The mix is fixed, so that no fit on a few documents of one kind can make the reader overrule retrieval elsewhere.
    """
    return {"mix": FUSED * hit.fused + DENSE * (hit.dense or 0.0) + log_odds(reading.relevance)}


def log_odds(probability: float) -> float:
    """Between those of one in a million and of all but one."""
    p = min(max(probability, 1e-6), 1 - 1e-6)
    return math.log(p / (1 - p))


def reranked(hits: Sequence[Hit], readings: Sequence[Reading], calibrator: Calibrator) -> list[Hit]:
    """The hits in the order of the mix; the probability that they hold the answer becomes their `relevance`."""
    mixed = [(rank_features(hit, reading), hit) for hit, reading in zip(hits, readings, strict=True)]
    mixed.sort(key=lambda pair: (-pair[0]["mix"], pair[1].document_id, pair[1].start))
    return [dataclasses.replace(hit, relevance=calibrator.probability(features)) for features, hit in mixed]


def _of_hit(hit: Hit, reading: Reading) -> list[Candidate]:
    made: dict[tuple[int, int], Candidate] = {}
    for span in reading.spans[:SPANS_A_HIT]:
        start, end = hit.start + span.start, hit.start + span.end
        run = quote_run(hit.units, start, end)
        if not run or (run[0].start, run[-1].end) in made:
            continue
        features = {
            **reading.features,
            "span": span.score - reading.no_answer_score,
            "dense": hit.dense or 0.0,
            "fused": hit.fused,
        }
        made[run[0].start, run[-1].end] = Candidate(
            hit,
            run[0].start,
            run[-1].end,
            partial=any(u.partial for u in run),
            answer=(max(start, run[0].start), min(end, run[-1].end)),
            features=features,
            no_answer=span.score < reading.no_answer_score,
        )
    return list(made.values())


def overlap(one: Candidate, other: Candidate) -> bool:
    """True when two quotes share a character."""
    same = one.hit.document_id == other.hit.document_id
    return same and one.start < other.end and other.start < one.end


def _same(one: Candidate, other: Candidate) -> bool:
    """True when two short answers have the same words, or the same values of the same thing."""
    a, b = _plain(one.text), _plain(other.text)
    if differing(one.facts, other.facts) or _denied(a) != _denied(
        b
    ):  # "5 days" and "1.5 days", "allowed" and "not allowed"
        return False
    if a == b or (a and b and (f" {a} " in f" {b} " or f" {b} " in f" {a} ")):
        return True
    values = [{(fact.kind, fact.size) for fact in c.facts} for c in (one, other)]
    return bool(values[0]) and values[0] == values[1] and _near(one, other)


def _denied(plain: str) -> bool:
    return not _NOT.isdisjoint(plain.split())


def _near(one: Candidate, other: Candidate) -> bool:
    return one.vector is not None and other.vector is not None and float(one.vector @ other.vector) >= SAME_SUBJECT


def _plain(text: str) -> str:
    kept = "".join(c if c.isalnum() else " " for c in unicodedata.normalize("NFKC", text).casefold())
    return " ".join(w for w in kept.split() if w not in ("the", "a", "an"))
