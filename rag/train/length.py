"""What a span should pay for its length (`rag.spans.LENGTH`): `python -m rag.train.length FILE…`.

Each file of questions with their passages is read once with the shipped reader; EM and F1 of the best span, in percent,
for every price of a further token.
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from rag.evaluate import metrics
from rag.evaluate.datasets import Question, kind_of, read_questions
from rag.neural import SHIPPED, NeuralReader
from rag.settings import Settings
from rag.spans import Logits, best_spans
from rag.types import Excerpt

PRICES = (0.0, 0.02, 0.05, 0.1, 0.15, 0.2)


def best_text(context: str, windows: Sequence[Logits], price: float) -> str:
    """The best span of all windows at a price."""
    found = [(s - w.null, w, i, j) for w in windows for i, j, s in best_spans(w.start, w.end, price)[:1]]
    if not found:
        return ""
    _, window, first, last = max(found, key=lambda each: each[0])
    return context[window.offsets[first, 0] : window.offsets[last, 1]]


def figures(path: Path, reader: NeuralReader, sample: int) -> list[tuple[float, float, float]]:
    """(price, EM, F1) over `sample` of the answerable questions."""
    rows = [q for q in read_questions(path, kind_of(path)) if isinstance(q, Question) and q.answerable]
    scores = np.zeros((len(PRICES), 2))
    chosen = random.Random(0).sample(rows, min(sample, len(rows)))
    for q in chosen:
        windows = reader.logits(q.question, [Excerpt(q.context, ())])[0]
        for k, price in enumerate(PRICES):
            text = best_text(q.context, windows, price)
            scores[k] += metrics.exact_match(text, q.answers), metrics.token_f1(text, q.answers)
    return [(price, *(100 * row / len(chosen))) for price, row in zip(PRICES, scores, strict=True)]


def main(argv: list[str] | None = None) -> int:
    """Print one Markdown row for each price and file."""
    parser = argparse.ArgumentParser(prog="python -m rag.train.length", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("files", nargs="+", type=Path, help="questions with their passages, as for `rag evaluate run`")
    parser.add_argument("--sample", type=int, default=1000, help="questions of a file (1000)")
    options = parser.parse_args(argv)
    reader = NeuralReader(SHIPPED, Settings().cores)
    print("| set | price | EM | F1 |\n|---|---|---|---|")
    for path in options.files:
        for price, em, f1 in figures(path, reader, options.sample):
            print(f"| {path.name.split('.')[0]} | {price:g} | {em:.1f} | {f1:.1f} |", flush=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
