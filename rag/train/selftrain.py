"""Rows that know the sentence but not the short answer get one from the half-trained model, where it is sure.

The sentence is given and true, so the model only has to choose inside it: that is much easier than reading a passage.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from tokenizers import Tokenizer

from rag.train.data import Range, Row
from rag.train.examples import Example, collate
from rag.train.model import Reader, quick


def answers(model: Reader, tokenizer: Tokenizer, rows: list[Row], sure: float, size: int = 64) -> dict[str, Range]:
    """For the rows whose best span inside the first evidence has a probability of at least `sure`: its range by id."""
    pairs = []
    for row in rows:
        low, high = row.evidence[0]
        example = Example(row.question, row.context[low:high], None, (), True)
        pairs.append((example, tokenizer.encode(example.question, example.context), row))
    pairs.sort(key=lambda pair: len(pair[1].ids))
    found: dict[str, Range] = {}
    for some in (pairs[i : i + size] for i in range(0, len(pairs), size)):
        batch = collate([(example, encoding) for example, encoding, _ in some], 192)
        with torch.inference_mode(), quick():
            out = model(batch.input_ids, batch.attention_mask, batch.token_type_ids)
        start, end = (x.masked_fill(~batch.passage, -1e4).log_softmax(1) for x in (out.start, out.end))
        joint = (start[:, :, None] + end[:, None, :]).triu().tril(30)  # log-probabilities are negative, the rest is 0
        joint = joint.masked_fill(joint == 0, -1e4).flatten(1)
        best, place = joint.max(1)
        for (_, encoding, row), p, at in zip(some, best.exp().tolist(), place.tolist(), strict=True):
            i, j = divmod(at, start.shape[1])
            shift = row.evidence[0][0]
            if p >= sure and i and j:
                found[row.id] = encoding.offsets[i][0] + shift, encoding.offsets[j][1] + shift
    return found


def labelled(rows: list[Row], found: dict[str, Range]) -> list[Row]:
    """The rows with the answers that were found; those of an earlier round go."""

    def answer(row: Row) -> tuple[Range, ...]:
        return ((found[row.id][0], found[row.id][1]),) if row.id in found else ()

    return [replace(row, answers=answer(row)) if row.evidence else row for row in rows]
