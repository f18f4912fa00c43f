"""Every metric as a pure function, for the report, a notebook or a pytest. `nan` means: not defined for this question.

Ranges are (start, end), half-open code points; a place is (document_id, start, end). Rankings are best first.
"""

from __future__ import annotations

import math
import re
import string
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from difflib import SequenceMatcher
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

Place = tuple[str, int, int]

# ---- Rankings (definitions of trec_eval, NIST) ----------------------------------------------------------------------


def recall_at(ranking: Sequence[str], relevant: Mapping[str, float], k: int) -> float:
    """Share of the relevant items (gain > 0) among the first k. Source: trec_eval `recall`."""
    wanted = {item for item, gain in relevant.items() if gain > 0}
    return len(wanted.intersection(ranking[:k])) / len(wanted) if wanted else math.nan


def precision_at(ranking: Sequence[str], relevant: Mapping[str, float], k: int) -> float:
    """Relevant items among the first k, divided by k even when fewer came. Source: trec_eval `P`."""
    return sum(relevant.get(item, 0) > 0 for item in ranking[:k]) / k


def reciprocal_rank(ranking: Sequence[str], relevant: Mapping[str, float]) -> float:
    """1 / rank of the first relevant item; 0 when none came. Its mean is MRR. Source: trec_eval `recip_rank`."""
    return next((1 / rank for rank, item in enumerate(ranking, 1) if relevant.get(item, 0) > 0), 0.0)


def average_precision(ranking: Sequence[str], relevant: Mapping[str, float]) -> float:
    """Mean precision at the relevant items, missing ones counting 0. Its mean is MAP. Source: trec_eval `map`."""
    total = sum(gain > 0 for gain in relevant.values())
    found, score = 0, 0.0
    for rank, item in enumerate(ranking, 1):
        if relevant.get(item, 0) > 0:
            found += 1
            score += found / rank
    return score / total if total else math.nan


def ndcg_at(ranking: Sequence[str], relevant: Mapping[str, float], k: int) -> float:
    """Gain discounted by log2(rank + 1), over the best possible order; the gain is the judgement itself.

    Source: Järvelin and Kekäläinen 2002, with the linear gain of trec_eval `ndcg_cut`.
    """

    def dcg(gains: Iterable[float]) -> float:
        return sum(max(gain, 0) / math.log2(rank + 1) for rank, gain in enumerate(gains, 1))

    ideal = dcg(sorted(relevant.values(), reverse=True)[:k])
    return dcg(relevant.get(item, 0) for item in ranking[:k]) / ideal if ideal else math.nan


# ---- Short answers (SQuAD, Rajpurkar et al. 2016 and 2018) ----------------------------------------------------------


def normalise(text: str) -> str:
    """Lower case, without ASCII punctuation, articles and surplus white space. Source: the SQuAD evaluation."""
    kept = "".join(character for character in text.lower() if character not in string.punctuation)
    return " ".join(re.sub(r"\b(a|an|the)\b", " ", kept).split())


def exact_match(prediction: str, golds: Sequence[str]) -> float:
    """1 when the normalised prediction equals a gold answer. No golds: the question has no answer, so "" is right."""
    return float(any(normalise(prediction) == normalise(gold) for gold in golds or [""]))


def token_f1(prediction: str, golds: Sequence[str]) -> float:
    """Best F1 over the golds of the bags of normalised words; against no answer 1 or 0. Source: SQuAD 1.1 and 2.0."""

    def f1(gold: str) -> float:
        ours, theirs = normalise(prediction).split(), normalise(gold).split()
        if not ours or not theirs:
            return float(ours == theirs)
        return harmonic(*(sum((Counter(ours) & Counter(theirs)).values()) / len(words) for words in (ours, theirs)))

    return max(f1(gold) for gold in golds or [""])


class Overlap(NamedTuple):
    """Sums for a micro-averaged precision (`precise` / `predicted`) and recall (`recalled` / `gold`)."""

    precise: float
    predicted: int
    recalled: float
    gold: int


def exact_match_parts(predictions: Collection[str], golds: Collection[str]) -> Overlap:
    """Several answers at once: each normalised string that both sides have counts one. Source: as `partial_match`."""
    ours, theirs = ({normalise(text) for text in texts} for texts in (predictions, golds))
    same = float(len(ours & theirs)) if ours or theirs else 1.0
    return Overlap(same, max(1, len(ours)), same, max(1, len(theirs)))


def partial_match(predictions: Collection[str], golds: Collection[str]) -> Overlap:
    """Several answers at once: each normalised string is credited with the share of it that its longest common
    substring with any string of the other side makes up.

    Sum the four numbers over the questions, then take precision, recall and F1. Source: MultiSpanQA (Li et al. 2022).
    """
    ours, theirs = (sorted({normalise(text) for text in texts}) for texts in (predictions, golds))
    predicted, gold = max(1, len(ours)), max(1, len(theirs))
    silent = not ours or ours == [""]
    if silent or not theirs:
        both = float(silent and not theirs)
        return Overlap(both, predicted, both, gold)
    common = [[SequenceMatcher(None, a, b, autojunk=False).find_longest_match().size for b in theirs] for a in ours]
    precise = sum(max(row) / max(1, len(a)) for a, row in zip(ours, common, strict=True))
    recalled = sum(max(column) / max(1, len(b)) for b, column in zip(theirs, zip(*common, strict=True), strict=True))
    return Overlap(precise, predicted, recalled, gold)


def harmonic(precision: float, recall: float) -> float:
    """F1: the harmonic mean of two shares; 0 when both are 0."""
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


# ---- Quotes and citations -------------------------------------------------------------------------------------------


def overlaps(a: Place, b: Place) -> bool:
    """True when two places share a code point of the same document."""
    return a[0] == b[0] and a[1] < b[2] and b[1] < a[2]


def span_iou(a: tuple[int, int], b: tuple[int, int]) -> float:
    """Shared code points of two ranges of one text over those of either (Jaccard 1901)."""
    shared = max(0, min(a[1], b[1]) - max(a[0], b[0]))
    union = (a[1] - a[0]) + (b[1] - b[0]) - shared
    return shared / union if union else 0.0


class Shares(NamedTuple):
    """Precision, recall and their harmonic mean."""

    precision: float
    recall: float
    f1: float


def citation_scores(cited: Sequence[Place], gold: Sequence[Sequence[Place]]) -> Shares:
    """Precision: citations that overlap gold evidence in its document. Recall: gold items that a citation overlaps.

    `gold` holds one list of alternative places for each item. Without citations or gold the share is nan.
    Source: citation precision and recall of Liu, Zhang and Liang 2023, with evidence by position in place of a judge.
    """
    right = [any(overlaps(place, other) for item in gold for other in item) for place in cited]
    found = [any(overlaps(place, other) for place in cited for other in item) for item in gold]
    precision = sum(right) / len(right) if right else math.nan
    recall = sum(found) / len(found) if found else math.nan
    return Shares(precision, recall, math.nan if math.isnan(precision + recall) else harmonic(precision, recall))


_WORD = re.compile(r"\w+")


def words_at(document_id: str, start: int, text: str) -> set[tuple[str, int]]:
    """The words of a quote that stands at `start`, each by its place in the document."""
    return {(document_id, start + found.start()) for found in _WORD.finditer(text)}


def quote_scores(quoted: Iterable[tuple[str, int, str]], gold: Sequence[Sequence[tuple[str, int, str]]]) -> Shares:
    """Word-level precision, recall and F1 of the quotes, words counted by place; quotes are (document_id, start, text).

    Of an item's alternatives the one that the quotes cover best counts. Without quotes all three are 0; without gold
    words nan. Source: token-level evidence F1 of ERASER (DeYoung et al. 2020).
    """
    ours = {word for quote in quoted for word in words_at(*quote)}
    items = [[words_at(*place) for place in item] for item in gold]
    best = {word for item in items if item for word in max(item, key=lambda words: _share(words, ours))}
    if not best:
        return Shares(math.nan, math.nan, math.nan)
    allowed = {word for item in items for words in item for word in words}
    precision, recall = _share(ours, allowed), _share(best, ours)
    return Shares(precision, recall, harmonic(precision, recall))


def _share(words: set[tuple[str, int]], others: set[tuple[str, int]]) -> float:
    return len(words & others) / len(words) if words else 0.0


def fidelity(quotes: Iterable[tuple[str, int, int, str]], texts: Mapping[str, str]) -> float:
    """Share of quotes (document_id, start, end, quote) that are exactly `texts[document_id][start:end]`: must be 1."""
    proved = [texts.get(document, "")[start:end] == quote for document, start, end, quote in quotes]
    return sum(proved) / len(proved) if proved else math.nan


# ---- Silence and confidence -----------------------------------------------------------------------------------------


def refusal_scores(silent: ArrayLike, answerable: ArrayLike) -> Shares:
    """Silence as a detector of questions without an answer: precision, recall, F1; nan where there is none to count."""
    quiet, unanswerable = np.asarray(silent, bool), ~np.asarray(answerable, bool)
    hits = int((quiet & unanswerable).sum())
    precision = hits / int(quiet.sum()) if quiet.any() else math.nan
    recall = hits / int(unanswerable.sum()) if unanswerable.any() else math.nan
    total = int(quiet.sum() + unanswerable.sum())
    return Shares(precision, recall, 2 * hits / total if total else math.nan)


def best_threshold(no_answer: ArrayLike, score: ArrayLike, answerable: ArrayLike) -> tuple[float, float]:
    """The cut on a no-answer score with the best mean of `score`: (mean, threshold). A question is answered when its
    no-answer score is at most the threshold; `score` is what its span would earn, silence earns 1 if unanswerable.

    Cuts lie between distinct values only. Source: `best_exact` and `best_f1` of the SQuAD 2.0 evaluation.
    """
    cut, earned, known = np.asarray(no_answer, float), np.asarray(score, float), np.asarray(answerable, bool)
    if not len(cut):
        return math.nan, math.nan
    order = np.argsort(cut, kind="stable")
    gain = np.where(known, earned, -1.0)[order].cumsum()
    last = np.append(np.diff(cut[order]) > 0, True)  # the last of each group of equal scores
    totals = np.append(float((~known).sum()), (~known).sum() + gain[last])
    cuts = np.append(-math.inf, cut[order][last])
    best = int(totals.argmax())
    return float(totals[best] / len(cut)), float(cuts[best])


class Curve(NamedTuple):
    """Arrays of one length: the share answered, the share wrong among those, and the confidence of the last one."""

    coverage: NDArray[np.float64]
    risk: NDArray[np.float64]
    threshold: NDArray[np.float64]


def risk_coverage(confidence: ArrayLike, right: ArrayLike) -> Curve:
    """Risk among the most confident 1, 2 … n questions; questions of equal confidence share their errors.

    Source: El-Yaniv and Wiener 2010; Geifman and El-Yaniv 2017.
    """
    sure, wrong = np.asarray(confidence, float), 1.0 - np.asarray(right, float)
    order = np.argsort(-sure, kind="stable")
    sure, wrong = sure[order], wrong[order]
    if len(sure):
        group = np.append(0, (np.diff(sure) != 0).cumsum())
        wrong = (np.bincount(group, wrong) / np.bincount(group))[group]
    count = np.arange(1, len(sure) + 1)
    return Curve(count / max(1, len(sure)), wrong.cumsum() / count, sure)


def aurc(confidence: ArrayLike, right: ArrayLike) -> float:
    """Area under the risk–coverage curve: the mean risk over all coverages; lower is better. Source: as the curve."""
    risk = risk_coverage(confidence, right).risk
    return float(risk.mean()) if len(risk) else math.nan


class Bin(NamedTuple):
    """One bar of a reliability diagram: confidences in (low, high], their number, mean confidence and share right."""

    low: float
    high: float
    n: int
    confidence: float
    accuracy: float


def reliability(confidence: ArrayLike, right: ArrayLike, bins: int = 10) -> list[Bin]:
    """Bins of equal width over (0, 1], 0 in the first; empty ones are left out. Source: Guo et al. 2017."""
    sure, good = np.asarray(confidence, float), np.asarray(right, float)
    where = np.clip(np.ceil(sure * bins).astype(int) - 1, 0, bins - 1)
    return [
        Bin(b / bins, (b + 1) / bins, int(m.sum()), float(sure[m].mean()), float(good[m].mean()))
        for b in range(bins)
        if (m := where == b).any()
    ]


def ece(confidence: ArrayLike, right: ArrayLike, bins: int = 10) -> float:
    """Expected calibration error: |share right − mean confidence| a bin, weighted by size. Source: Guo et al. 2017."""
    found = reliability(confidence, right, bins)
    total = sum(b.n for b in found)
    return sum(b.n * abs(b.accuracy - b.confidence) for b in found) / total if total else math.nan


def brier(confidence: ArrayLike, right: ArrayLike) -> float:
    """Mean squared difference between the confidence and being right (1) or wrong (0). Source: Brier 1950."""
    difference = np.asarray(confidence, float) - np.asarray(right, float)
    return float(np.mean(difference**2)) if len(difference) else math.nan


# ---- Time -----------------------------------------------------------------------------------------------------------


def percentiles(values: ArrayLike, wanted: Sequence[float] = (50, 95, 99)) -> dict[str, float]:
    """{"p50": …, "p95": …, "p99": …} in the unit given, by linear interpolation (numpy's default); {} of nothing."""
    given = np.asarray(values, float)
    return {f"p{q:g}": float(np.percentile(given, q)) for q in wanted} if len(given) else {}
