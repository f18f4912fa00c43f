"""From rows to batches: what is drawn, how it is made harder, and the tensors the model sees.

The k-th chunk of examples is a pure function of (seed, k, progress): a killed run needs to remember only k.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from tokenizers import Encoding, Tokenizer
from torch import Tensor

from rag.train import negatives
from rag.train.data import Corpus, Range, Row, sentences

CHARACTERS = 4.4  # about as many characters as one token has
WHOLE = 0.6  # share of the rows with a whole document that are shown with another one


@dataclass(frozen=True)
class Example:
    """What is learned from one pair. A positive whose short answer is not known has `answer` None."""

    question: str
    context: str
    answer: Range | None
    evidence: tuple[Range, ...]
    answerable: bool


@dataclass(frozen=True)
class Batch:
    """Tensors of B pairs of T tokens; start and end are token indices, -1 where there is no known span."""

    input_ids: Tensor  # int64 [B, T]
    attention_mask: Tensor  # int64 [B, T]
    token_type_ids: Tensor  # int64 [B, T]
    passage: Tensor  # bool [B, T]  tokens of the passage, without the last [SEP]
    evidence: Tensor  # float [B, T]
    start: Tensor  # int64 [B]
    end: Tensor  # int64 [B]
    answerable: Tensor  # float [B]


def open_tokenizer(path: str) -> Tokenizer:
    """The tokenizer without the truncation and the padding to 128 that the packaged file carries."""
    tokenizer = Tokenizer.from_file(path)
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


def crop(context: str, keep: Range | None, limit: int, rng: random.Random) -> Range:
    """A run of whole sentences of about `limit` characters that carries `keep`, at a random place."""
    if len(context) <= limit:
        return 0, len(context)
    parts = sentences(context)
    if keep is None:
        first = last = rng.randrange(len(parts))
    else:
        first = next(i for i, part in enumerate(parts) if part[1] > keep[0])
        last = next(i for i, part in enumerate(parts) if part[1] >= keep[1])
    while True:
        room = limit - (parts[last][1] - parts[first][0])
        left = first > 0 and parts[first][0] - parts[first - 1][0] <= room
        right = last + 1 < len(parts) and parts[last + 1][1] - parts[last][1] <= room
        if not left and not right:
            return parts[first][0], parts[last][1]
        if left and (not right or rng.random() < 0.5):
            first -= 1
        else:
            last += 1


def positive(row: Row, limit: int, rng: random.Random, question: str | None = None) -> Example:
    """The row itself, its passage cropped; of several answers a random one."""
    answer = rng.choice(row.answers) if row.answers else None
    keep = answer or (rng.choice(row.evidence) if row.evidence else None)
    if row.whole:
        keep = sentences(row.context)[0]
    low, high = crop(row.context, keep, limit, rng)
    shift = None if answer is None else (answer[0] - low, answer[1] - low)
    known = row.evidence or tuple(s for s in sentences(row.context) if answer and s[0] < answer[1] and answer[0] < s[1])
    known = () if row.whole else known
    inside = tuple((max(a, low) - low, min(b, high) - low) for a, b in known if a < high and low < b)
    return Example(question or row.question, row.context[low:high], shift, inside, row.answerable)


def negative(row: Row, near: negatives.NearMisses, limit: int, rng: random.Random) -> Example | None:
    """The question with a passage that does not answer it, or an edited question; None if that cannot be made."""
    question, context, kind = row.question, None, rng.random()
    if kind < 0.25 and row.answers and (new := negatives.edited(row, rng)):
        made = positive(row, limit, rng, new)
        return Example(new, made.context, None, (), False)
    if kind < 0.55:
        context = negatives.without_answer(row)
    context = context or near.draw(row, rng)
    if context is None:
        return None
    low, high = crop(context, None, limit, rng)
    return Example(question, context[low:high], None, (), False)


class Source:
    """Examples of a corpus, drawn by weight; each set is gone through in a new order every epoch."""

    def __init__(self, corpus: Corpus, seed: int, size: int = 1024, share: float = 0.28, short: float = 0.5) -> None:
        self.rows = {name: rows for name, rows in corpus.train.items() if rows}
        self.seed, self.share, self.short = seed, share, short
        total = sum(corpus.weights[name] for name in self.rows)
        self.quota = {name: max(1, round(size * corpus.weights[name] / total)) for name in self.rows}
        self.near = {name: negatives.NearMisses(rows) for name, rows in self.rows.items()}
        self.orders: dict[tuple[str, int], list[int]] = {}

    def row(self, name: str, draw: int) -> Row:
        rows = self.rows[name]
        epoch, place = divmod(draw, len(rows))
        if (name, epoch) not in self.orders:
            order = list(range(len(rows)))
            random.Random(f"{self.seed}/{name}/{epoch}").shuffle(order)
            self.orders[name, epoch] = order
        return rows[self.orders[name, epoch][place]]

    def chunk(self, k: int, progress: float) -> list[Example]:
        """The k-th chunk. Passages are short at first: most is learned there, at half the cost."""
        rng, made = random.Random(f"{self.seed}/{k}"), []
        for name, quota in self.quota.items():
            for draw in range(k * quota, (k + 1) * quota):
                row = self.row(name, draw)
                tokens = 110 if progress < self.short else rng.choice((140, 160, 190, 235))
                limit = int(tokens * CHARACTERS)
                example = None
                if row.answerable and rng.random() < (WHOLE if row.whole else self.share):
                    example = negative(row, self.near[name], limit, rng)
                example = example or positive(row, limit, rng)
                made.append((negatives.roughened(example.question, rng), example))
        rng.shuffle(made)
        return [Example(q, e.context, e.answer, e.evidence, e.answerable) for q, e in made]


def tokens_of(encoding: Encoding, wanted: Range, length: int) -> tuple[int, int] | None:
    """First and last passage token that overlap the range of characters, if both are within `length` tokens."""
    hits = [
        i
        for i, ((a, b), part) in enumerate(zip(encoding.offsets, encoding.sequence_ids, strict=True))
        if part == 1 and a < wanted[1] and wanted[0] < b and i < length - 1
    ]
    return (hits[0], hits[-1]) if hits else None


def collate(pairs: list[tuple[Example, Encoding]], longest: int, multiple: int = 8) -> Batch:
    """One batch, padded to a multiple of `multiple`; a pair over `longest` tokens loses the passage's tail."""
    width = min(longest, max(len(e.ids) for _, e in pairs))
    width += -width % multiple
    shape = (len(pairs), width)
    ids, mask, kinds = (torch.zeros(shape, dtype=torch.int64) for _ in range(3))
    passage, evidence = torch.zeros(shape, dtype=torch.bool), torch.zeros(shape)
    start, end = torch.full((len(pairs),), -1), torch.full((len(pairs),), -1)
    answerable = torch.tensor([float(example.answerable) for example, _ in pairs])
    for i, (example, encoding) in enumerate(pairs):
        n = min(len(encoding.ids), longest)
        ids[i, :n] = torch.tensor(encoding.ids[: n - 1] + encoding.ids[-1:])
        mask[i, :n] = 1
        kinds[i, :n] = torch.tensor(encoding.type_ids[:n])
        passage[i, :n] = torch.tensor([part == 1 for part in encoding.sequence_ids[: n - 1]] + [False])
        for wanted in example.evidence:
            if found := tokens_of(encoding, wanted, n):
                evidence[i, found[0] : found[1] + 1] = 1.0
        if example.answer and (found := tokens_of(encoding, example.answer, n)):
            start[i], end[i] = found
    return Batch(ids, mask, kinds, passage, evidence, start, end, answerable)


def batches(made: list[Example], tokenizer: Tokenizer, size: int, longest: int, seed: str) -> Iterator[Batch]:
    """The examples of a chunk in batches of similar length, in random order."""
    encodings = tokenizer.encode_batch([(example.question, example.context) for example in made])
    pairs = sorted(zip(made, encodings, strict=True), key=lambda pair: len(pair[1].ids))
    groups = [pairs[i : i + size] for i in range(0, len(pairs), size)]
    random.Random(seed).shuffle(groups)
    for group in groups:
        yield collate(group, longest)
