import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rag.spans import LENGTH, MAX_ANSWER, Logits, best_spans, reading
from rag.types import Excerpt, Unit

scores = st.lists(st.floats(-20, 20), min_size=1, max_size=60)


@settings(max_examples=200)
@given(scores, st.randoms())
def test_the_best_span_is_the_best_by_brute_force_and_no_two_touch(start, random):
    end = random.sample(start, len(start))
    found = best_spans(np.array(start), np.array(end))
    every = [
        start[i] + end[j] - LENGTH * (j - i) for i in range(len(start)) for j in range(i, min(len(end), i + MAX_ANSWER))
    ]
    assert found[0][2] == pytest.approx(max(every))
    for n, (i, j, score) in enumerate(found):
        assert 0 <= i <= j < len(start)
        assert j - i < MAX_ANSWER
        assert score == pytest.approx(start[i] + end[j] - LENGTH * (j - i))
        assert all(j < a or b < i for a, b, _ in found[:n])
    assert [s for *_, s in found] == sorted((s for *_, s in found), reverse=True)


def logits(text, words, best, score, null, relevance=0.0):
    """A window whose tokens are `words`, of which number `best` is the answer."""
    offsets, at = [], 0
    for word in words:
        at = text.index(word, at)
        offsets.append((at, at + len(word)))
        at += len(word)
    start = np.full(len(words), -5.0)
    start[best] = score / 2
    return Logits(np.array(offsets), start, start.copy(), null, start.copy(), relevance)


def test_windows_are_compared_over_their_own_no_answer():
    text = "The fee is seven pounds. The fine is nine pounds."
    excerpt = Excerpt(text, (Unit(0, 24), Unit(25, 49)))
    first = logits(text, ["fee", "is", "seven"], 2, 10.0, null=9.0)
    second = logits(text, ["fine", "is", "nine"], 2, 6.0, null=1.0, relevance=2.0)
    found = reading(excerpt, [first, second])
    best = found.spans[0]
    assert (text[best.start : best.end], best.score) == ("nine", 5.0)
    assert text[found.quotes[0].start : found.quotes[0].end] == "The fine is nine pounds."
    assert found.relevance == pytest.approx(1 / (1 + np.exp(-2)))
    assert found.features["margin"] == 5.0
    assert found.no_answer_score == 0.0


def test_no_token_is_no_span():
    found = reading(Excerpt("", ()), [Logits(np.zeros((0, 2), int), np.zeros(0), np.zeros(0), 0.0)])
    assert (found.spans, found.quotes) == ((), ())


def test_a_combining_mark_stays_with_its_letter():
    text = "cafe\u0301 noir"
    window = Logits(np.array([[0, 4], [6, 10]]), np.array([5.0, 0.0]), np.array([5.0, 0.0]), 0.0)
    best = reading(Excerpt(text, (Unit(0, len(text)),)), [window]).spans[0]
    assert text[best.start : best.end] == "cafe\u0301"
