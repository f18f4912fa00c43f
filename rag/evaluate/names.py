"""The metrics by name: what each is called, which way is better, and what it says in one line."""

from __future__ import annotations

from typing import NamedTuple


class Metric(NamedTuple):
    """`higher` is True when more is better; `share` when the value is printed in per cent."""

    label: str
    higher: bool
    share: bool
    meaning: str


def _share(label: str, meaning: str, higher: bool = True) -> Metric:
    return Metric(label, higher, True, meaning)


METRICS: dict[str, Metric] = {
    "right": _share(
        "right",
        "answered with F1 ≥ 0.5 or a first quote that overlaps the gold evidence; silent where there is no answer",
    ),
    "right_first": _share("right with the first citation", "citation 1 overlaps gold evidence, in its document"),
    "right_any": _share("right with any citation", "some citation overlaps gold evidence, in its document"),
    "right_when_answered": _share("right when answered", "right answers among the questions that were answered"),
    "answered": _share("answered", "questions that were not met with silence (coverage)"),
    "answered_wrong": _share("answered and wrong", "questions that got an answer that is not right", higher=False),
    "refusal_precision": _share("refusal precision", "questions without an answer among those met with silence"),
    "refusal_recall": _share("refusal recall", "silences among the questions without an answer"),
    "refusal_f1": _share("refusal F1", "harmonic mean of refusal precision and recall"),
    "em": _share("exact match", "the short answer equals a gold answer after normalising; silence counts as empty"),
    "f1": _share("F1", "shared words of the short answer and the best gold answer; silence counts as empty"),
    "has_em": _share("exact match, has answer", "exact match over the questions that have an answer"),
    "has_f1": _share("F1, has answer", "F1 over the questions that have an answer"),
    "no_f1": _share("F1, no answer", "silences among the questions without an answer, as SQuAD 2.0 counts them"),
    "span_em": _share("exact match, best span", "exact match of the best span, whatever the threshold decides"),
    "span_f1": _share("F1, best span", "F1 of the best span, whatever the threshold decides"),
    "best_em": _share("exact match, best threshold", "exact match at the threshold that suits these very questions"),
    "best_f1": _share("F1, best threshold", "F1 at the threshold that suits these very questions"),
    "span_iou": _share(
        "span IoU", "shared characters of the first quote (or short answer) and the gold, over those of either"
    ),
    "quote_hit": _share(
        "quote holds the answer", "first quotes that overlap the gold span, among the questions answered"
    ),
    "exact_parts_f1": _share("parts, exact F1", "several spans: F1 of the sets of spans, over all questions"),
    "partial_parts_f1": _share("parts, partial F1", "several spans: F1 with credit for the longest common substring"),
    "quote_precision": _share("quote words, precision", "words of the quotes that stand in the gold evidence"),
    "quote_recall": _share("quote words, recall", "words of the gold evidence that the quotes hold"),
    "quote_f1": _share("quote words, F1", "harmonic mean of the two, question by question"),
    "citation_precision": _share("citation precision", "citations that overlap gold evidence, in its document"),
    "citation_recall": _share("citation recall", "items of gold evidence that some citation overlaps"),
    "fidelity": _share("fidelity", "quotes that are exactly the cited characters of their document; must be 100 %"),
    **{
        f"recall@{k}": _share(f"recall@{k}", f"items of gold evidence found among the first {k} passages or documents")
        for k in (1, 2, 3, 5, 10, 20, 50, 100)
    },
    "mrr": Metric("MRR", True, False, "one over the rank of the first passage or document that holds evidence"),
    "ndcg@10": Metric("nDCG@10", True, False, "discounted gain of the first ten over that of the best order"),
    "map": Metric("MAP", True, False, "mean precision at every item of evidence"),
    "ece": _share("calibration error", "how far the stated confidence is from the share that is right", higher=False),
    "brier": Metric("Brier score", False, False, "mean squared difference of confidence and outcome"),
    "aurc": Metric("AURC", False, False, "area under risk against coverage: mean share wrong over all coverages"),
}
HEADLINES = (
    "right_first", "right_any", "right", "right_when_answered", "answered_wrong", "refusal_precision", "refusal_recall",
    "em", "f1", "span_f1", "recall@1", "recall@5", "recall@10", "ndcg@10", "mrr", "map", "fidelity", "ece", "aurc",
)  # fmt: skip
