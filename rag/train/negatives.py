"""Questions made harder: near-miss passages, cut answers, edited questions, typing errors.

Everything here is a pure function of its arguments and a `random.Random`, so that a run can be repeated exactly.
"""

from __future__ import annotations

import math
import random
import re
from collections import Counter, defaultdict

import numpy as np

from rag.train.data import Range, Row, sentences

_WORD = re.compile(r"\w+")
_NAME = re.compile(r"\b(?:[A-Z][\w'’-]+(?:\s+(?:of\s+)?(?=[A-Z]))?)+|\b\d[\d,.]*\b")
_SMALL = frozenset(
    "a an and are as at be by can could did do does for from had has have how in is it of on or that the their there "
    "this to was were what when where which who whom whose why will with would".split()
)
_OPPOSITE = dict(
    pair
    for a, b in (w.split("/") for w in (
        "first/last most/least largest/smallest highest/lowest before/after north/south east/west oldest/newest "
        "northern/southern eastern/western more/less best/worst longest/shortest early/late increase/decrease "
        "always/never male/female men/women won/lost above/below begin/end started/ended old/new higher/lower "
        "larger/smaller upper/lower maximum/minimum earliest/latest common/rare father/mother inside/outside"
    ).split())
    for pair in ((a, b), (b, a))
)  # fmt: skip


class NearMisses:
    """BM25 over the distinct passages of one set: passages that look right for a question and are not."""

    def __init__(self, rows: list[Row]) -> None:
        first = {row.context: row.group for row in rows}
        self.passages, self.groups = list(first), list(first.values())
        self.members: dict[str, list[int]] = defaultdict(list)
        self.right: dict[str, set[str]] = defaultdict(set)  # the passages that answer a question
        for row in rows:
            if row.answerable:
                self.right[row.question].add(row.context)
        counts = [Counter(w.lower() for w in _WORD.findall(p)) for p in self.passages]
        mean = sum(c.total() for c in counts) / max(1, len(counts))
        postings: dict[str, tuple[list[int], list[float]]] = defaultdict(lambda: ([], []))
        for i, count in enumerate(counts):
            self.members[self.groups[i]].append(i)
            for word, n in count.items():
                ids, weights = postings[word]
                ids.append(i)
                weights.append(2.2 * n / (n + 1.2 * (0.25 + 0.75 * count.total() / mean)))
        size = len(counts)
        self.postings = {
            word: (np.array(ids), np.array(weights) * math.log(1 + (size - len(ids) + 0.5) / (len(ids) + 0.5)))
            for word, (ids, weights) in postings.items()
            if len(ids) < 0.2 * size + 2
        }

    def draw(self, row: Row, rng: random.Random) -> str | None:
        """Another passage for `row.question` that holds none of its answers: of the article, or of the top eight."""
        answers = [row.context[a:b].lower() for a, b in row.answers or row.evidence]
        right = self.right.get(row.question, set()) | {row.context}
        siblings = self.members.get(row.group, [])
        if len(siblings) > 2 and rng.random() < 0.3:
            order = rng.sample(siblings, min(4, len(siblings)))
        else:
            scores = np.zeros(len(self.passages))
            for word in {w.lower() for w in _WORD.findall(row.question)}:
                if (posting := self.postings.get(word)) is not None:
                    scores[posting[0]] += posting[1]
            top = np.argsort(-scores, kind="stable")[:9]
            order = rng.sample(list(top), len(top))
        for i in order:
            passage = self.passages[i]
            if passage not in right and not any(answer in passage.lower() for answer in answers):
                return passage
        return None


def without_answer(row: Row) -> str | None:
    """The passage with every sentence cut that holds an answer; None if little is left."""
    texts = {row.context[a:b].lower() for a, b in row.answers or row.evidence}
    parts = [row.context[a:b] for a, b in sentences(row.context)]
    kept = [p for p in parts if not any(t in p.lower() for t in texts)]
    rest = "".join(kept).strip()
    return rest if len(kept) < len(parts) and len(rest) > 60 and not any(t in rest.lower() for t in texts) else None


def edited(row: Row, rng: random.Random) -> str | None:
    """The question with a name, number or key word exchanged, so that the passage no longer answers it."""
    changes: list[tuple[Range, str]] = []
    others = sorted({m.group().strip() for m in _NAME.finditer(row.context)})
    for match in _NAME.finditer(row.question):
        old = match.group().strip()
        if match.start() == 0 or old.lower() in _SMALL:
            continue
        number = old[0].isdigit()
        new = [o for o in others if o[0].isdigit() == number and o.lower() not in _SMALL
               and o not in row.question and old not in o and o.lower() not in old.lower()]  # fmt: skip
        if new:
            changes.append(((match.start(), match.start() + len(old)), rng.choice(new)))
    words = ((match.span(), match.group().lower()) for match in _WORD.finditer(row.question))
    changes += [(place, _OPPOSITE[word]) for place, word in words if word in _OPPOSITE]
    if not changes:
        return None
    (start, end), text = rng.choice(changes)
    return row.question[:start] + text + row.question[end:]


def mistyped(question: str, rng: random.Random, share: float) -> str:
    """One edit (swap, drop, double or replace a letter) in this share of the content words."""

    def edit(match: re.Match[str]) -> str:
        word = match.group()
        if len(word) < 4 or word.lower() in _SMALL or rng.random() > share:
            return word
        i, kind = rng.randrange(len(word) - 1), rng.randrange(4)
        middle = (word[i + 1] + word[i], word[i + 1], word[i] * 2 + word[i + 1],
                  rng.choice("abcdefghijklmnopqrstuvwxyz") + word[i + 1])[kind]  # fmt: skip
        return word[:i] + middle + word[i + 2 :]

    return _WORD.sub(edit, question)


def roughened(question: str, rng: random.Random) -> str:
    """The question as people type it: now and then with errors, without its mark, or as bare key words."""
    chance = rng.random()
    if chance < 0.12:
        question = mistyped(question, rng, rng.choice((0.3, 0.6, 1.0)))
    elif chance < 0.16:
        question = " ".join(w for w in question.split() if w.lower() not in _SMALL) or question
    return question.rstrip("? ") if rng.random() < 0.15 else question
