"""How good a reader is on the held-out rows: EM and F1 with the answer forced, AUC of relevance and of "no answer".

`python -m rag.train.validate --data DIR` says it of the int8 file that ships and of the same weights in float32.
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer

from rag.evaluate import metrics
from rag.neural import SHIPPED, NeuralReader
from rag.runtime import Model
from rag.train import negatives, shipped
from rag.train.data import Corpus, Row, load
from rag.train.examples import open_tokenizer
from rag.train.export import INPUTS

Predict = Callable[[np.ndarray, np.ndarray, np.ndarray], tuple[np.ndarray, ...]]


def auc(scores: np.ndarray, labels: np.ndarray) -> float:
    """The chance that a positive scores above a negative; ties count half."""
    order = np.sort(scores)
    ranks = (np.searchsorted(order, scores, "left") + np.searchsorted(order, scores, "right") + 1) / 2
    n, m = int(labels.sum()), int((~labels).sum())
    return float((ranks[labels].sum() - n * (n + 1) / 2) / (n * m)) if n and m else float("nan")


def best_span(start: np.ndarray, end: np.ndarray, longest: int = 30) -> tuple[int, int, float]:
    """Highest start[i] + end[j] with i <= j < i + longest; arrays over the passage's tokens [P]."""
    score = start[:, None] + end[None, :]
    score = np.where(np.triu(np.tril(np.ones_like(score), longest - 1)) > 0, score, -np.inf)
    i, j = np.unravel_index(int(score.argmax()), score.shape)
    return int(i), int(j), float(score[i, j])


def rows_for(corpus: Corpus, size: int) -> list[Row]:
    """A fixed sample of held-out rows with known spans, Wikipedia first, and as many that nothing answers."""
    rng = random.Random(0)
    wiki = [r for name in ("squad1_train_part", "squadshifts_new_wiki_part") for r in corpus.held.get(name, ())]
    spans = wiki or [r for rows in corpus.held.values() for r in rows if r.answers]
    chosen = rng.sample(spans, min(size, len(spans)))
    real = [r for name, rows in corpus.held.items() for r in rows if not r.answerable and name != "written"]
    false = rng.sample(real, min(size // 2, len(real)))
    near = negatives.NearMisses(spans)
    for row in chosen[: size - len(false)]:
        if (passage := near.draw(row, rng)) is not None:
            false.append(Row(row.source, f"{row.id}-near", row.question, passage))
    return chosen + false


def torch_predict(model: torch.nn.Module) -> Predict:
    def predict(*inputs: np.ndarray) -> tuple[np.ndarray, ...]:
        with torch.inference_mode():
            return tuple(x.float().numpy() for x in model(*map(torch.from_numpy, inputs)))

    return predict


def validate(predict: Predict, tokenizer: Tokenizer, rows: list[Row], longest: int = 384, size: int = 8) -> dict:
    """Figures over `rows`, in percent but for the AUCs; each pair is cut to `longest` tokens."""
    encodings = tokenizer.encode_batch([(row.question, row.context) for row in rows])
    em: list[float] = []
    overlap: list[float] = []
    scores = np.zeros((len(rows), 2))
    order = sorted(range(len(rows)), key=lambda i: len(encodings[i].ids))
    for some in (order[i : i + size] for i in range(0, len(order), size)):
        width = min(longest, max(len(encodings[i].ids) for i in some))
        inputs = np.zeros((3, len(some), width), dtype=np.int64)
        for k, i in enumerate(some):
            e, n = encodings[i], min(width, len(encodings[i].ids))
            inputs[:, k, :n] = [e.ids[: n - 1] + e.ids[-1:], e.attention_mask[:n], e.type_ids[:n]]
        start, end, _, relevance = predict(*inputs)
        for k, i in enumerate(some):
            e, row = encodings[i], rows[i]
            inside = [t for t, part in enumerate(e.sequence_ids[: width - 1]) if part == 1]
            a, b, score = best_span(start[k, inside], end[k, inside])
            scores[i] = relevance[k], score - start[k, 0] - end[k, 0]
            if row.answers:
                text = row.context[e.offsets[inside[a]][0] : e.offsets[inside[b]][1]]
                golds = [row.context[x:y] for x, y in row.answers]
                em.append(metrics.exact_match(text, golds))
                overlap.append(metrics.token_f1(text, golds))
    labels = np.array([row.answerable for row in rows])
    return {
        "rows": len(rows),
        "em": round(100 * float(np.mean(em or [np.nan])), 2),
        "f1": round(100 * float(np.mean(overlap or [np.nan])), 2),
        "relevance_auc": round(auc(scores[:, 0], labels), 4),
        "null_auc": round(auc(scores[:, 1], labels), 4),
    }


def onnx_predict(model: Model) -> Predict:
    """The outputs of an ONNX reader for one pair at a time: int8 activations share a scale."""

    def predict(*inputs: np.ndarray) -> tuple[np.ndarray, ...]:
        row = {name: values[0].tolist() for name, values in zip(INPUTS, inputs, strict=True)}
        return tuple(np.asarray(each)[None] for each in model.run([row])[0])

    return predict


def main(argv: list[str] | None = None) -> int:
    """Print one Markdown row for each of the two."""
    parser = argparse.ArgumentParser(prog="python -m rag.train.validate", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="folder with the training sets")
    parser.add_argument("--rows", type=int, default=500, help="answerable rows, and as many that nothing answers (500)")
    options = parser.parse_args(argv)
    rows = rows_for(load(options.data), options.rows)
    tokenizer = open_tokenizer(str(SHIPPED / "tokenizer.json"))
    print("| weights | rows | EM | F1 | AUC of relevance | AUC of best span |\n|---|---|---|---|---|---|")
    whole = torch_predict(shipped.load(SHIPPED / "model.onnx"))
    for name, predict in (("int8", onnx_predict(NeuralReader(SHIPPED, 2).model)), ("the same in float32", whole)):
        print(f"| {name} | {' | '.join(map(str, validate(predict, tokenizer, rows, size=1).values()))} |", flush=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
