"""Features → the probability that the best candidate is right, and the threshold below which there is silence.

A logistic regression on named features, fitted on labelled questions that no figure is reported on. One file holds
the calibrators of every reader: for a given passage ("passage"), for one that is known to answer ("forced"), for the
whole path ("end_to_end") and for the order of hits ("rerank").
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from rag.errors import BadInput

SHIPPED = Path(__file__).parent / "models" / "calibration.json"
FILE = "calibration.json"  # in an index folder: fitted on its owner's questions, used instead of the shipped one
L2 = 10.0  # ridge penalty on standardised weights


@dataclass(frozen=True, slots=True)
class Calibrator:
    """`probability` is a logistic function of the weighted features; `threshold` is where answers begin."""

    weights: Mapping[str, float]
    bias: float
    threshold: float

    def probability(self, features: Mapping[str, float]) -> float:
        """0 to 1. A feature that is missing counts as 0."""
        return 1 / (1 + math.exp(-max(-30.0, min(30.0, self.logit(features)))))

    def logit(self, features: Mapping[str, float]) -> float:
        """The log-odds that `probability` turns into 0 to 1."""
        return self.bias + sum(weight * features.get(name, 0.0) for name, weight in self.weights.items())


def fit(rows: Sequence[Mapping[str, float]], right: Sequence[bool], max_wrong: float) -> Calibrator:
    """Fit on one row of features for each question and whether its best candidate was right.

    `max_wrong` is the policy: the share of wrong answers among the answered that is accepted.
    Raises BadInput when there are fewer than 20 rows or only one kind of outcome.
    """
    return fit_best([[row] for row in rows], [[good] for good in right], max_wrong)


def fit_best(
    rows: Sequence[Sequence[Mapping[str, float]]], right: Sequence[Sequence[bool]], max_wrong: float
) -> Calibrator:
    """Fit on several candidates for each question, of which the most probable will be the answer.

    First on all candidates, so that they are ranked well; then slope and bias on the best of each question, because
    the best of ten is right less often than its own score says.
    """
    every = [row for candidates in rows for row in candidates]
    good = [g for candidates in right for g in candidates]
    if len(rows) < 20 or len(set(good)) < 2:
        raise BadInput(f"{len(rows)} labelled questions are too few to fit on; give at least 20, right and wrong ones")
    fitted = _logistic(every, good, L2)
    best = [max(range(len(c)), key=lambda i, c=c: fitted.logit(c[i])) for c in rows if c]  # type: ignore[misc]
    filled = [(candidates, goods) for candidates, goods in zip(rows, right, strict=True) if candidates]
    logits = [{"logit": fitted.logit(candidates[i])} for (candidates, _), i in zip(filled, best, strict=True)]
    outcome = [goods[i] for (_, goods), i in zip(filled, best, strict=True)]
    if len(set(outcome)) > 1:
        outer = _logistic(logits, outcome, 0.0)
        slope = outer.weights["logit"]
        weights = {name: slope * weight for name, weight in fitted.weights.items()}
        fitted = Calibrator(weights, slope * fitted.bias + outer.bias, 0.0)
    probabilities = [fitted.probability(candidates[i]) for (candidates, _), i in zip(filled, best, strict=True)]
    return Calibrator(fitted.weights, fitted.bias, threshold(probabilities, outcome, max_wrong))


def _logistic(rows: Sequence[Mapping[str, float]], right: Sequence[bool], penalty: float) -> Calibrator:
    names = sorted({name for row in rows for name in row})
    x = np.array([[row.get(name, 0.0) for name in names] for row in rows])
    y = np.array(right, dtype=float)
    mean, scale = x.mean(0), x.std(0)
    scale[scale == 0] = 1.0
    z = np.hstack([(x - mean) / scale, np.ones((len(x), 1))])
    ridge = np.diag([penalty] * len(names) + [0.0])
    w = np.zeros(z.shape[1])
    for _ in range(50):  # Newton's method; converges in about ten steps
        p = 1 / (1 + np.exp(-np.clip(z @ w, -30, 30)))
        curve = z.T @ (z * (p * (1 - p) + 1e-9)[:, None]) + ridge
        step = np.linalg.solve(curve, z.T @ (y - p) - ridge @ w)
        w += step
        if np.abs(step).max() < 1e-9:
            break
    weights = w[:-1] / scale
    return Calibrator(dict(zip(names, map(float, weights), strict=True)), float(w[-1] - weights @ mean), 0.0)


def threshold(probabilities: Sequence[float], right: Sequence[bool], max_wrong: float) -> float:
    """The lowest probability from which at most `max_wrong` of the answered are wrong (1.0: never answer)."""
    order = sorted(zip(probabilities, right, strict=True), reverse=True)
    wrong, best = 0, 1.0
    for answered, (probability, good) in enumerate(order, 1):
        wrong += not good
        last_of_equals = answered == len(order) or order[answered][0] < probability
        if last_of_equals and wrong <= max_wrong * answered:
            best = probability
    return best


def balanced(probabilities: Sequence[float], f1: Sequence[float | None]) -> float:
    """The threshold at which both sides are served alike: the mean F1 of the questions that have an answer (0 where it
    is withheld) is nearest to the share of the others, whose `f1` is None, that are met with silence.

    Raises BadInput when there are no questions of one side.
    """
    p = np.array(probabilities)
    known = np.array([f is not None for f in f1])
    if known.all() or not known.any():
        raise BadInput("a balance needs questions that have an answer and questions that have none")
    gain = np.array([f or 0.0 for f in f1])
    cuts = np.unique(p)
    answered = np.array([gain[known & (p >= cut)].sum() for cut in cuts]) / known.sum()
    silent = np.searchsorted(np.sort(p[~known]), cuts, "left") / (~known).sum()
    return float(cuts[np.abs(answered - silent).argmin()])


def load(reader: str, kind: str, folder: Path | None = None) -> Calibrator:
    """The calibrator of a reader, from the index folder when it has one, else the shipped one.

    A reader that nobody has calibrated gives probability 0.5 at score features of 0 and answers from there.
    """
    for file in ([folder / FILE] if folder else []) + [SHIPPED]:
        if not file.is_file():
            continue
        try:
            known = json.loads(file.read_text("utf-8")).get(reader, {})
            found = known.get(kind) or (known.get("passage") if kind == "forced" else None)
            if found:
                return Calibrator(dict(found["weights"]), float(found["bias"]), float(found["threshold"]))
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise BadInput(
                f"{file}: not a calibration file ({error}); fit it again with `rag evaluate calibrate`"
            ) from None
    return Calibrator({"mix": 1.0} if kind == "rerank" else {"margin": 1.0}, 0.0, 0.5)


def save(file: Path, reader: str, kind: str, calibrator: Calibrator, note: str) -> None:
    """Add or replace one calibrator in a file; `note` says what it was fitted on."""
    known = json.loads(file.read_text("utf-8")) if file.is_file() else {}
    known.setdefault(reader, {})[kind] = {
        "weights": {k: round(v, 6) for k, v in calibrator.weights.items()},
        "bias": round(calibrator.bias, 6),
        "threshold": round(calibrator.threshold, 6),
        "fitted_on": note,
    }
    new = file.with_suffix(".new")
    new.write_text(json.dumps(known, indent=1, sort_keys=True, ensure_ascii=False) + "\n", "utf-8")
    new.replace(file)
