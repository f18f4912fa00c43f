"""Readings → candidates with a probability, which of them are one answer, and why there is silence."""

from __future__ import annotations

import dataclasses
import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rag.calibrate import Calibrator
from rag.quote import quote_run
from rag.terms import content
from rag.types import Hit, Reading, Reason

CITATIONS = 3  # the most that one Answer shows
RIVAL = 0.8  # another answer is shown beside the best one from this share of its probability
RELEVANT = 0.35  # below this relevance of the best passage, silence is `no_passage`
SAME_SUBJECT = 0.5  # share of a quote's words that another one must have for their numbers to disagree
_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")


@dataclass(frozen=True, slots=True)
class Candidate:
    """A quote that may be cited: document offsets of the quote and of the short answer in it."""

    hit: Hit
    start: int
    end: int
    partial: bool
    answer: tuple[int, int]
    probability: float
    no_answer: bool  # the reader itself prefers "no answer" here

    @property
    def text(self) -> str:
        """The short answer."""
        return self.hit.text[self.answer[0] - self.hit.start : self.answer[1] - self.hit.start]

    @property
    def quote(self) -> str:
        """The whole units that carry it."""
        return self.hit.text[self.start - self.hit.start : self.end - self.hit.start]


def features(reading: Reading, hit: Hit | None = None) -> Mapping[str, float]:
    """What the calibrator sees: the reader's features and, end to end, how the passage was found."""
    if hit is None:
        return reading.features
    return {**reading.features, "dense": hit.dense or 0.0, "found_by_words": float(hit.lexical is not None)}


def candidates(hits: Sequence[Hit], readings: Sequence[Reading], calibrator: Calibrator) -> list[Candidate]:
    """The best candidate of each hit, the most probable first; no two quote the same characters."""
    made = [candidate(h, r, calibrator.probability(features(r, h))) for h, r in zip(hits, readings, strict=True)]
    kept: list[Candidate] = []
    for found in sorted(filter(None, made), key=lambda c: (-c.probability, c.hit.document_id, c.start)):
        if not any(_overlap(found, other) for other in kept):
            kept.append(found)
    return kept


def answers(ranked: Sequence[Candidate], threshold: float) -> list[list[Candidate]]:
    """The candidates to show, as answers: those that say the same are one; [] is silence."""
    if not ranked or ranked[0].probability < threshold:
        return []
    floor = max(threshold, RIVAL * ranked[0].probability)
    groups: list[list[Candidate]] = []
    for candidate in [c for c in ranked if c.probability >= floor][:CITATIONS]:
        for group in groups:
            if _same(group[0].text, candidate.text):
                group.append(candidate)
                break
        else:
            groups.append([candidate])
    return groups


def conflicting(groups: Sequence[Sequence[Candidate]]) -> bool:
    """True when quotes of two documents speak of the same thing and give different numbers."""
    return any(_conflict(a, b) for i, one in enumerate(groups) for other in groups[i + 1 :] for a in one for b in other)


def _conflict(one: Candidate, other: Candidate) -> bool:
    numbers = [set(_NUMBER.findall(c.text)) for c in (one, other)]
    if one.hit.document_id == other.hit.document_id or not all(numbers) or numbers[0] & numbers[1]:
        return False
    words = [{w for w in content(c.quote) if not w[0].isdigit()} for c in (one, other)]
    return len(words[0] & words[1]) >= SAME_SUBJECT * min(map(len, words)) > 0


def reason(ranked: Sequence[Candidate], readings: Sequence[Reading]) -> Reason:
    """Why there is silence though passages were found; the first that holds."""
    if not ranked or max(r.relevance for r in readings) < RELEVANT:
        return "no_passage"
    return "no_span" if ranked[0].no_answer else "low_confidence"


def reranked(hits: Sequence[Hit], readings: Sequence[Reading]) -> list[Hit]:
    """The hits with the reader's relevance, best first."""
    judged = [dataclasses.replace(h, relevance=r.relevance) for h, r in zip(hits, readings, strict=True)]
    return sorted(judged, key=lambda h: (-h.score, h.document_id, h.start))


def candidate(hit: Hit, reading: Reading, probability: float) -> Candidate | None:
    """The best span of a hit in its quote; None when the reader found none."""
    if not reading.spans:
        return None
    best = reading.spans[0]
    start, end = hit.start + best.start, hit.start + best.end
    run = quote_run(hit.units, start, end)
    if not run:
        return None
    partial = any(u.partial for u in run)
    inside = max(start, run[0].start), min(end, run[-1].end)
    return Candidate(
        hit, run[0].start, run[-1].end, partial, inside, probability, reading.no_answer_score > best.score
    )  # fmt: skip


def _overlap(one: Candidate, other: Candidate) -> bool:
    same = one.hit.document_id == other.hit.document_id
    return same and one.start < other.end and other.start < one.end


def _same(one: str, other: str) -> bool:
    a, b = _plain(one), _plain(other)
    return a == b or bool(a and b and (f" {a} " in f" {b} " or f" {b} " in f" {a} "))


def _plain(text: str) -> str:
    kept = "".join(c if c.isalnum() else " " for c in unicodedata.normalize("NFKC", text).casefold())
    return " ".join(w for w in kept.split() if w not in ("the", "a", "an"))
