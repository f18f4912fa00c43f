"""The metrics against oracles that were not written here, and against numbers worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from rag.evaluate import intervals, metrics

nan = math.nan


# ---- Rankings -------------------------------------------------------------------------------------------------------


def test_ranking_metrics_agree_with_ir_measures() -> None:
    ir = pytest.importorskip("ir_measures")
    from ir_measures import AP, RR, P, R, nDCG

    random = np.random.default_rng(7)
    qrels, run, expected = {}, {}, {}
    for q in range(200):
        judged = random.choice(60, size=random.integers(1, 25), replace=False)
        gains = {f"d{d}": int(g) for d, g in zip(judged, random.integers(0, 4, len(judged)), strict=True)}
        gains[f"d{judged[0]}"] = 2  # at least one is relevant
        order = [f"d{d}" for d in random.permutation(60)[: random.integers(1, 50)]]
        qrels[str(q)], run[str(q)] = gains, {d: float(100 - rank) for rank, d in enumerate(order)}
        expected[str(q)] = {
            R @ 1: metrics.recall_at(order, gains, 1),
            R @ 5: metrics.recall_at(order, gains, 5),
            R @ 20: metrics.recall_at(order, gains, 20),
            P @ 10: metrics.precision_at(order, gains, 10),
            RR: metrics.reciprocal_rank(order, gains),
            AP: metrics.average_precision(order, gains),
            nDCG @ 10: metrics.ndcg_at(order, gains, 10),
            nDCG @ 3: metrics.ndcg_at(order, gains, 3),
        }
    compared = 0
    for measured in ir.iter_calc(list(expected["0"]), qrels, run):
        assert expected[measured.query_id][measured.measure] == pytest.approx(measured.value, abs=1e-9)
        compared += 1
    assert compared == 200 * 8


def test_a_ranking_worked_out_by_hand() -> None:
    ranking, gains = ["x", "a", "y", "b"], {"a": 3.0, "b": 1.0, "c": 2.0, "d": 0.0}
    assert metrics.recall_at(ranking, gains, 2) == 1 / 3
    assert metrics.precision_at(ranking, gains, 10) == 0.2
    assert metrics.reciprocal_rank(ranking, gains) == 0.5
    assert metrics.average_precision(ranking, gains) == pytest.approx((1 / 2 + 2 / 4) / 3)
    best = 3 + 2 / math.log2(3) + 1 / 2
    assert metrics.ndcg_at(ranking, gains, 10) == pytest.approx((3 / math.log2(3) + 1 / math.log2(5)) / best)
    assert math.isnan(metrics.recall_at(ranking, {"a": 0.0}, 5))


# ---- Short answers --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("prediction", "golds", "em", "f1"),
    [
        ("The River-Door!", ["riverdoor"], 1, 1),
        ("a  Lamp", ["lamp"], 1, 1),
        ("nine o'clock sharp", ["nine oclock"], 0, 0.8),  # 2 of 3 words, 2 of 2
        ("the ferry", ["an old ferry", "bridge"], 0, 2 / 3),  # ferry against old ferry
        ("tide tide bell", ["tide bell bell"], 0, 2 / 3),  # a word counts as often as both have it
        ("", [], 1, 1),
        ("anything", [], 0, 0),
        ("", ["lamp"], 0, 0),
        ("the", ["an"], 1, 1),  # nothing is left of either
        ("4 weeks", ["8 weeks", "4 Weeks."], 1, 1),
    ],
)
def test_exact_match_and_f1(prediction: str, golds: list[str], em: float, f1: float) -> None:
    assert metrics.exact_match(prediction, golds) == em
    assert metrics.token_f1(prediction, golds) == pytest.approx(f1, abs=1e-12)


def test_partial_match_of_several_answers() -> None:
    # "red lamp" shares "lamp" (4 of 8) with the gold "lamp"; "bell" is the whole of a gold; "oar" is never found
    sums = metrics.partial_match(["The red lamp", "Bell!"], ["lamp", "bell", "oar"])
    assert sums == (4 / 8 + 1, 2, 1 + 1 + 1 / 3, 3)  # "oar" and "red lamp" share one letter
    assert metrics.partial_match([], []) == (1, 1, 1, 1)
    assert metrics.partial_match([], ["lamp"]) == metrics.partial_match(["a"], ["lamp"]) == (0, 1, 0, 1)
    assert metrics.exact_match_parts(["The red lamp", "Bell!"], ["lamp", "bell", "oar"]) == (1, 2, 1, 3)
    assert metrics.exact_match_parts([], []) == (1, 1, 1, 1)


def test_several_answers_as_the_evaluation_of_multispanqa_counts_them() -> None:
    """The expected numbers are what the data set's own evaluation gave for these rows: P, R, F1, exact and partial."""
    predicted = [["the red lamp", "Bell!"], ["an old ferry"], [], ["a", "oar"], ["the"]]
    gold = [["lamp", "bell", "oar"], ["Ferry", "a harbour door"], [], ["oars"], ["quay"]]
    for match, expected in (
        (metrics.exact_match_parts, (0.2857142857142857, 0.25, 0.26666666666666666)),
        (metrics.partial_match, (0.5793650793650793, 0.6458333333333333, 0.6107962212230214)),
    ):
        sums = metrics.Overlap(*(sum(n) for n in zip(*map(match, predicted, gold), strict=True)))
        precision, recall = sums.precise / sums.predicted, sums.recalled / sums.gold
        assert (precision, recall, metrics.harmonic(precision, recall)) == pytest.approx(expected, abs=1e-9)


# ---- Quotes and citations -------------------------------------------------------------------------------------------


def test_quote_scores_count_words_by_place() -> None:
    gold = [[("d", 10, "three gold words")]]
    same = metrics.quote_scores([("d", 10, "three gold words")], gold)
    assert same == (1, 1, 1)
    assert metrics.quote_scores([("d", 50, "three gold words")], gold) == (0, 0, 0)  # the same words, elsewhere
    assert metrics.quote_scores([("e", 10, "three gold words")], gold) == (0, 0, 0)
    wide = metrics.quote_scores([("d", 4, "these three gold words and more")], [[("d", 10, "three gold")]])
    assert wide == (pytest.approx(2 / 6), 1, pytest.approx(0.5))
    assert metrics.quote_scores([], gold) == (0, 0, 0)
    assert all(math.isnan(share) for share in metrics.quote_scores([("d", 0, "x")], []))


def test_of_alternatives_the_best_covered_counts() -> None:
    gold = [[("d", 0, "one two"), ("d", 90, "one two")], [("d", 40, "three")]]
    assert metrics.quote_scores([("d", 90, "one two")], gold) == (1, pytest.approx(2 / 3), pytest.approx(0.8))


def test_citations_iou_and_fidelity() -> None:
    gold = [[("d", 10, 20), ("e", 0, 5)], [("d", 40, 50)]]
    assert metrics.citation_scores([("d", 15, 30), ("d", 60, 70)], gold) == (0.5, 0.5, 0.5)
    assert metrics.citation_scores([("e", 4, 9), ("d", 0, 100)], gold) == (1, 1, 1)
    assert metrics.citation_scores([("d", 20, 40)], gold) == (0, 0, 0)  # half-open: it touches both and overlaps none
    assert math.isnan(metrics.citation_scores([], gold).precision)
    assert metrics.span_iou((0, 10), (5, 15)) == pytest.approx(5 / 15)
    assert metrics.span_iou((0, 5), (5, 9)) == 0
    assert metrics.fidelity([("d", 0, 3, "abc"), ("d", 1, 4, "abc"), ("x", 0, 1, "a")], {"d": "abcd"}) == 1 / 3


# ---- Silence and confidence -----------------------------------------------------------------------------------------


def test_refusal_scores() -> None:
    # silent on 3, of which 2 have no answer; 4 have no answer
    found = metrics.refusal_scores([1, 1, 1, 0, 0, 0], [0, 0, 1, 0, 0, 1])
    assert found == (pytest.approx(2 / 3), 0.5, pytest.approx(4 / 7))
    assert math.isnan(metrics.refusal_scores([0, 0], [1, 0]).precision)


def test_best_threshold_by_trying_every_cut() -> None:
    assert metrics.best_threshold([0.1, 0.4, 0.6, 0.9], [1, 0.5, 0, 0], [1, 1, 0, 0]) == (pytest.approx(3.5 / 4), 0.4)
    assert metrics.best_threshold([0.5, 0.5], [1, 0], [1, 0]) == (0.5, -math.inf)  # equal scores cannot be parted
    random = np.random.default_rng(3)
    for _ in range(50):
        cut, known = random.integers(0, 6, 30) / 5, random.integers(0, 2, 30)
        earned = random.random(30) * known
        tried = {
            at: np.where(cut <= at, earned, 1.0 - known).mean() for at in (-math.inf, *np.unique(cut))
        }  # silence earns 1 where there is no answer
        value, at = metrics.best_threshold(cut, earned, known)
        assert value == pytest.approx(max(tried.values()), abs=1e-12)
        assert tried[at] == pytest.approx(value, abs=1e-12)


def test_risk_coverage_by_hand() -> None:
    curve = metrics.risk_coverage([0.9, 0.8, 0.7, 0.6], [1, 0, 1, 0])
    assert curve.risk == pytest.approx([0, 1 / 2, 1 / 3, 1 / 2])
    assert curve.coverage == pytest.approx([0.25, 0.5, 0.75, 1])
    assert curve.threshold == pytest.approx([0.9, 0.8, 0.7, 0.6])
    assert metrics.aurc([0.9, 0.8, 0.7, 0.6], [1, 0, 1, 0]) == pytest.approx((0 + 1 / 2 + 1 / 3 + 1 / 2) / 4)
    for right in ([1, 0], [0, 1]):  # the order of equals does not matter
        assert metrics.risk_coverage([0.5, 0.5], right).risk == pytest.approx([0.5, 0.5])
    assert math.isnan(metrics.aurc([], []))


def test_calibration_error_by_hand() -> None:
    sure, right = [0.05, 0.1, 0.95, 0.9, 1.0, 0.0], [0, 1, 1, 1, 0, 0]
    # (0, .1]: 0.05, 0.1 and 0 → mean 0.05, a third right; (.8, .9]: 0.9, right; (.9, 1]: 0.95 and 1 → 0.975, half right
    bins = metrics.reliability(sure, right)
    assert [(b.low, b.n) for b in bins] == [(0.0, 3), (0.8, 1), (0.9, 2)]
    expected = (3 * abs(1 / 3 - 0.05) + 1 * abs(1 - 0.9) + 2 * abs(0.5 - 0.975)) / 6
    assert metrics.ece(sure, right) == pytest.approx(expected, abs=1e-12)
    brier = (0.05**2 + 0.9**2 + 0.05**2 + 0.1**2 + 1 + 0) / 6
    assert metrics.brier(sure, right) == pytest.approx(brier, abs=1e-12)


def test_percentiles() -> None:
    assert metrics.percentiles([4, 1, 3, 2], (50, 75)) == {"p50": 2.5, "p75": 3.25}
    assert metrics.percentiles([]) == {}


# ---- Intervals ------------------------------------------------------------------------------------------------------


def test_wilson_and_mcnemar_agree_with_scipy() -> None:
    stats = pytest.importorskip("scipy.stats")
    for right, n in ((0, 5), (8, 10), (10, 10), (123, 457)):
        expected = stats.binomtest(right, n).proportion_ci(method="wilson")
        assert intervals.wilson(right, n) == pytest.approx((expected.low, expected.high), abs=1e-9)
    for better, worse in ((0, 0), (5, 0), (3, 9), (700, 650)):
        p = stats.binomtest(better, better + worse).pvalue if better + worse else 1.0
        assert intervals.mcnemar(better, worse) == pytest.approx(p, abs=1e-9)
    assert intervals.mcnemar(1, 9) == pytest.approx(2 * (1 + 10) / 1024)


def test_bootstrap_means_are_the_means_of_the_stated_resamples() -> None:
    columns = np.array([[1.0, 2.0], [0.0, nan], [4.0, 6.0]])
    drawn = np.random.default_rng(5).integers(3, size=(40, 3))
    expected = np.array([np.nanmean(columns[rows], axis=0) if (rows != 1).any() else [0, nan] for rows in drawn])
    assert intervals.bootstrap_means(columns, seed=5, resamples=40) == pytest.approx(expected, abs=1e-12, nan_ok=True)


def test_bootstrap_interval_by_hand() -> None:
    # one row of two: the mean of a resample is 0, 1/2 or 1, so the middle 95 % reaches from 0 to 1
    assert intervals.bootstrap(lambda x: float(x.mean()), [0, 1]) == (0, 1)
    assert intervals.bootstrap(lambda x: float(x.mean()), [3.0, 3.0, 3.0]) == (3, 3)
    assert intervals.between([nan, *range(101)]) == (2.5, 97.5)
    assert all(math.isnan(end) for end in intervals.bootstrap(lambda x: 0.0, []))


def test_paired_bootstrap() -> None:
    same = intervals.paired_bootstrap([0, 1, nan, 1], [0, 1, 1, 1])
    assert (same.mean, same.low, same.high, same.p) == (0, 0, 0, 1)
    better = intervals.paired_bootstrap([0.0] * 50, [1.0] * 50)
    assert (better.mean, better.low, better.high) == (1, 1, 1)
    assert better.p == pytest.approx(2 / 1001)
