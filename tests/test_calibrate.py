import json

import numpy as np
import pytest

from rag import calibrate
from rag.errors import BadInput


def test_the_threshold_by_hand():
    probabilities, right = [0.9, 0.8, 0.7, 0.6, 0.5], [True, True, False, True, False]
    assert calibrate.threshold(probabilities, right, 0.0) == 0.8
    assert calibrate.threshold(probabilities, right, 0.25) == 0.6
    assert calibrate.threshold(probabilities, right, 0.4) == 0.5
    assert calibrate.threshold([0.5, 0.5], [True, False], 0.4) == 1.0  # equals are answered together
    assert calibrate.threshold([0.9], [False], 0.0) == 1.0


def test_the_balance_by_hand():
    probabilities, f1 = [0.9, 0.8, 0.7, 0.6, 0.5, 0.4], [1.0, None, 0.5, None, 0.5, None]
    # F1 and silence, answered from 0.4: 2/3, 0; 0.5: 2/3, 1/3; 0.6: 1/2, 1/3; 0.7: 1/2, 2/3; 0.8: 1/3, 2/3
    assert calibrate.balanced(probabilities, f1) in (0.6, 0.7)
    assert calibrate.balanced([*probabilities, 0.1], [*f1, None]) == 0.6  # now 1/2 and 2/4
    with pytest.raises(BadInput, match="have none"):
        calibrate.balanced([0.5], [1.0])


def test_known_odds_are_found_again():
    rng = np.random.default_rng(0)
    x = rng.normal(size=4000)
    right = rng.random(4000) < 1 / (1 + np.exp(-(1.5 * x - 0.5)))
    fitted = calibrate.fit(
        [{"x": float(v), "noise": float(n)} for v, n in zip(x, rng.normal(size=4000), strict=True)],
        list(map(bool, right)),
        0.2,
    )
    assert fitted.weights["x"] == pytest.approx(1.5, abs=0.15)
    assert fitted.weights["noise"] == pytest.approx(0, abs=0.15)
    assert fitted.bias == pytest.approx(-0.5, abs=0.15)
    assert fitted.probability({"x": 0.0}) == pytest.approx(1 / (1 + np.exp(-fitted.bias)))


def test_the_best_of_several_is_as_often_right_as_it_says():
    rng = np.random.default_rng(1)
    rows, right = [], []
    for _ in range(3000):
        x = rng.normal(size=8)
        rows.append([{"x": float(v)} for v in x])
        right.append([bool(g) for g in rng.random(8) < 1 / (1 + np.exp(-(x - 2)))])
    fitted = calibrate.fit_best(rows, right, 0.2)
    best = [max(range(8), key=lambda i, c=c: c[i]["x"]) for c in rows]
    said = np.mean([fitted.probability(c[i]) for c, i in zip(rows, best, strict=True)])
    assert said == pytest.approx(np.mean([g[i] for g, i in zip(right, best, strict=True)]), abs=0.01)


def test_too_little_to_fit_on_is_said():
    with pytest.raises(BadInput, match="3 labelled questions are too few"):
        calibrate.fit([{"x": 1.0}] * 3, [True, False, True], 0.1)
    with pytest.raises(BadInput, match="too few"):
        calibrate.fit([{"x": 1.0}] * 30, [True] * 30, 0.1)


def test_a_file_in_the_index_folder_beats_the_shipped_one(tmp_path):
    made = calibrate.Calibrator({"x": 2.0}, -1.0, 0.4)
    calibrate.save(tmp_path / calibrate.FILE, "some reader", "end_to_end", made, "note")
    calibrate.save(tmp_path / calibrate.FILE, "some reader", "passage", made, "note")
    assert calibrate.load("some reader", "end_to_end", tmp_path) == made
    assert set(json.loads((tmp_path / calibrate.FILE).read_text())["some reader"]) == {"end_to_end", "passage"}
    assert calibrate.load("some reader", "forced", tmp_path) == made  # none of its own: that of a given passage
    assert calibrate.load("some reader", "end_to_end").weights == {"margin": 1.0}
    (tmp_path / calibrate.FILE).write_text("[]")
    with pytest.raises(BadInput, match="fit it again"):
        calibrate.load("some reader", "end_to_end", tmp_path)
