"""One question scored: what the engine gave against what is known. Pure; a score that is not defined is left out."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

from rag.evaluate import metrics
from rag.evaluate.datasets import Question
from rag.evaluate.evidence import Items, Place, ranking
from rag.types import Answer

Scores = dict[str, float]
DEPTHS = (1, 2, 3, 5, 10, 20, 50, 100)
RIGHT_F1 = 0.5  # an answer is right when its F1 reaches this, or its quote overlaps the gold evidence

FAILURES = {
    "not_retrieved": "not retrieved",
    "not_read": "retrieved but not read",
    "wrong_span": "wrong span",
    "should_have_been_silent": "should have been silent",
    "should_have_answered": "should have answered",
}


def score_ranking(names: Sequence[str], relevant: Mapping[str, float], depth: int) -> Scores:
    """The ranking metrics of one question, recall at every depth that was asked for."""
    return _defined(
        {f"recall@{k}": metrics.recall_at(names, relevant, k) for k in DEPTHS if k <= depth}
        | {
            "mrr": metrics.reciprocal_rank(names, relevant),
            "ndcg@10": metrics.ndcg_at(names, relevant, 10),
            "map": metrics.average_precision(names, relevant),
        }
    )


def score_hits(hits: Sequence[Place], items: Items, depth: int) -> Scores:
    """The ranking metrics against gold evidence; {} when there is none."""
    return score_ranking(ranking(hits, items), {f"item {i}": 1.0 for i in range(len(items))}, depth) if items else {}


def score_answer(
    question: Question, answer: Answer, items: Items, texts: Mapping[str, str], hits: Sequence[Place]
) -> tuple[Scores, str | None]:
    """The scores of an Answer and, when it is not right, the kind of failure. `texts` holds every document named."""
    answered, answerable = answer.status == "answered", question.answerable
    cited = [(c.document_id, c.start, c.end) for c in answer.citations] if answered else []
    text = answer.answers[0].text if answered and answer.answers else ""
    places = [place for item in items for place in item]
    scores = score_text(question, text, answered)
    first = any(metrics.overlaps(cited[0], place) for place in places) if cited else False
    if items:
        citations = metrics.citation_scores(cited, items)
        scores |= {
            "right_first": float(first),
            "right_any": float(citations.recall > 0),
            "span_iou": max(_iou(answer, place, bool(question.spans)) for place in places),
            "citation_recall": citations.recall,
        }
    if items and not question.spans:  # a span is a short answer, no quote to measure quotes by
        words = [[(d, s, texts[d][s:e]) for d, s, e in item] for item in items]
        quotes = metrics.quote_scores([(c.document_id, c.start, c.quote) for c in answer.citations], words)
        scores |= {
            "quote_precision": quotes.precision if answered else math.nan,
            "quote_recall": quotes.recall,
            "quote_f1": quotes.f1,
        }
    if items or not answerable:
        scores["citation_precision"] = metrics.citation_scores(cited, items).precision
    scores["fidelity"] = metrics.fidelity([(c.document_id, c.start, c.end, c.quote) for c in answer.citations], texts)
    right = answered and answerable and (first or (bool(question.answers) and scores["f1"] >= RIGHT_F1))
    scores |= score_silence(answered, answerable, right)
    failure = None if scores["right"] else _failure(answered, answerable, cited, places, hits)
    return _defined(scores), failure


def _iou(answer: Answer, gold: Place, short: bool) -> float:
    """Of citation 1's quote, or of the short answer in it, with one gold place."""
    if not answer.citations or answer.citations[0].document_id != gold[0]:
        return 0.0
    cited = answer.citations[0]
    ours = cited.answer if short and cited.answer else cited
    return metrics.span_iou((ours.start, ours.end), gold[1:])


def _failure(
    answered: bool, answerable: bool, cited: Sequence[Place], places: Sequence[Place], hits: Sequence[Place]
) -> str:
    if not answerable:
        return "should_have_been_silent"
    holding = [hit for hit in hits if any(metrics.overlaps(hit, place) for place in places)]
    if places and not holding:
        return "not_retrieved"
    if not answered:
        return "should_have_answered"
    read = any(metrics.overlaps(place, hit) for place in cited for hit in holding)
    return "wrong_span" if read or not places else "not_read"


def score_text(question: Question, text: str, answered: bool) -> Scores:
    """EM and F1 of the short answer, with silence as the right answer of a question that has none."""
    if question.answerable and not question.answers:
        return {}
    if not question.answerable:
        silent = float(not answered)
        return {"em": silent, "f1": silent, "no_f1": silent}
    text = text if answered else ""
    em, f1 = metrics.exact_match(text, question.answers), metrics.token_f1(text, question.answers)
    return {"em": em, "f1": f1, "has_em": em, "has_f1": f1}


def score_silence(answered: bool, answerable: bool, right: bool) -> Scores:
    """Whether answering, or staying silent, was right."""
    return {
        "right": float(right if answered else not answerable),
        "right_when_answered": float(right) if answered else math.nan,
        "answered": float(answered),
        "answered_wrong": float(answered and not right),
        "refusal_precision": math.nan if answered else float(not answerable),
        "refusal_recall": math.nan if answerable else float(not answered),
    }


def score_reading(question: Question, reading: Mapping[str, Any], several: bool) -> tuple[Scores, str | None, bool]:
    """What the reader made of a passage that is given: scores, failure, and whether its best span is right.

    `several`: the gold spans are the parts of one answer, not alternatives. The reader's set of parts is then its
    best span and every other one that beats "no answer" and shares nothing with a better one.
    """
    answerable, answered = question.answerable, bool(reading["answerable"])
    best = (int(reading["start"]), int(reading["end"]))
    scores = score_text(question, reading["text"], answered)
    candidate = False
    if answerable:
        f1 = metrics.token_f1(reading["text"], question.answers)
        iou = max(metrics.span_iou(best, span) for span in question.spans)
        quotes = [(int(quote["start"]), int(quote["end"])) for quote in reading["quotes"]]
        hit = bool(quotes) and any(metrics.span_iou(quotes[0], span) > 0 for span in question.spans)
        candidate = f1 >= RIGHT_F1 or iou > 0 or hit
        scores |= {"span_em": metrics.exact_match(reading["text"], question.answers), "span_f1": f1, "span_iou": iou}
        scores["quote_hit"] = float(hit) if answered else math.nan
    if several and answerable:
        golds = [question.context[start:end] for start, end in question.spans]
        scores |= score_parts(_parts(reading), golds)
    scores |= score_silence(answered, answerable, candidate and answered)
    failure = None if scores["right"] else "wrong_span" if answered else "should_have_answered"
    if failure and not answerable:
        failure = "should_have_been_silent"
    return _defined(scores), failure, candidate


def score_parts(predictions: Sequence[str], golds: Sequence[str]) -> Scores:
    """Sums for the F1 of several spans, exact and partial; names that begin with _ are no metrics by themselves."""
    found = {
        "partial": metrics.partial_match(predictions, golds),
        "exact": metrics.exact_match_parts(predictions, golds),
    }
    return {f"_{kind}_{name}": float(value) for kind, sums in found.items() for name, value in sums._asdict().items()}


def _parts(reading: Mapping[str, Any]) -> list[str]:
    chosen: list[Mapping[str, Any]] = []
    for span in reading["spans"]:
        fits = all(span["end"] <= other["start"] or other["end"] <= span["start"] for other in chosen)
        if fits and (not chosen or span["score"] > reading["no_answer_score"]):
            chosen.append(span)
    return [span["text"] for span in chosen]


def score_candidates(question: Question, given: Sequence[float]) -> tuple[Scores, list[int]]:
    """Candidates ranked by score, those of equal score in the given order: metrics, and the order."""
    order = sorted(range(len(given)), key=lambda i: -given[i])
    relevant = {str(i): label for i, (_, label) in enumerate(question.candidates)}
    return score_ranking([str(i) for i in order], relevant, len(given)), order


def plain(value: Any) -> Any:
    """Frozen values of the engine as dictionaries."""
    return dataclasses.asdict(value) if dataclasses.is_dataclass(value) and not isinstance(value, type) else value


def _defined(scores: Mapping[str, float]) -> Scores:
    return {name: float(value) for name, value in scores.items() if not math.isnan(value)}
