"""How close the stand-alone question comes to a person's: `python -m rag.evaluate.rewriting --data DIR`.

With `--follow-ups FILE --index DIR` it asks follow-ups end to end instead: right with their history against right when
their stand-alone form (the row's `standalone`) is asked.

The follow-ups with an odd id were tuned on, those with an even id are reported.
The first half of `canard_dev` and `trec_cast` is for tuning; the second halves and all of `mtrag_rewrite` are reported.
"""

from __future__ import annotations

import argparse
import dataclasses
import gzip
import json
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from rag.converse import standalone
from rag.errors import BadInput, RagError
from rag.evaluate.ask import asker
from rag.evaluate.datasets import Question, read_questions, read_rows
from rag.evaluate.intervals import wilson
from rag.settings import Settings
from rag.types import Turn

SETS = ("canard_dev", "trec_cast", "mtrag_rewrite")
RESAMPLES = 1_000
_ABOUT = re.compile(r"\W*(?:(?:and|but|so|ok|okay)\W+)?(?:what|how) about\b", re.I)
Rewriter = Callable[[str, Sequence[Turn]], str]


@dataclass(frozen=True, slots=True)
class Row:
    """A follow-up, what was said before it, and the stand-alone question that a person wrote."""

    question: str
    history: tuple[Turn, ...]
    reference: str


def unchanged(question: str, history: Sequence[Turn]) -> str:
    """Baseline: the follow-up as it was typed."""
    return question


def joined(question: str, history: Sequence[Turn]) -> str:
    """Baseline: everything that was said, then the follow-up."""
    return " ".join([*(turn.content for turn in history), question])


REWRITERS: dict[str, Rewriter] = {"rules": standalone, "no change": unchanged, "all joined": joined}


def read(folder: Path, name: str, half: str = "report") -> list[Row]:
    """The rows of a set; `half` is "tune" or "report". Raises BadInput when the file is not there."""
    path = folder / "conversation" / f"{name}.jsonl.gz"
    if not path.is_file():
        raise BadInput(f"{path}: not there; --data names the folder that holds conversation/")
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        raw = [json.loads(line) for line in lines]
    if not name.startswith("mtrag"):
        raw = raw[: len(raw) // 2] if half == "tune" else raw[len(raw) // 2 :]
    answers = name.startswith("canard")  # title and section, then questions and answers in turn
    return [Row(one["question"], _turns(one["history"], answers), one["rewrite"]) for one in raw]


def _turns(said: Sequence[str], answers: bool) -> tuple[Turn, ...]:
    roles = ["assistant" if answers and n > 2 and n % 2 else "user" for n in range(len(said))]
    return tuple(Turn(role, text) for role, text in zip(roles, said, strict=True))  # type: ignore[arg-type]


def f1(text: str, reference: str) -> float:
    """Token F1 of two texts, 0 to 1: lower case, punctuation apart, repeated words counted."""
    ours, theirs = (Counter(re.findall(r"\w+", one.lower())) for one in (text, reference))
    shared = sum((ours & theirs).values())
    return 2 * shared / (ours.total() + theirs.total()) if shared else 0.0


def interval(scores: Sequence[float], seed: int = 0) -> tuple[float, float, float]:
    """The mean and its 95 % bootstrap interval."""
    values = np.asarray(scores)
    drawn = np.random.default_rng(seed).integers(0, len(values), (RESAMPLES, len(values)))
    low, high = np.percentile(values[drawn].mean(axis=1), [2.5, 97.5])
    return float(values.mean()), float(low), float(high)


def kept(rows: Sequence[Row], whole: bool = False) -> tuple[int, int]:
    """(left as they were, all) of the follow-ups that stand alone already: their reference has the same words.

    `whole` counts whole questions only: "What about X?" asks nothing by itself, also where its reference leaves it so.
    """
    alone = [row for row in rows if row.history and f1(row.question, row.reference) == 1.0]
    alone = [row for row in alone if not (whole and _ABOUT.match(row.question))]
    return sum(standalone(row.question, row.history) == row.question for row in alone), len(alone)


def follow_ups(path: Path, engine: Any) -> list[tuple[str, bool, bool]]:
    """(id, right with history, right stand-alone) of each row. Raises BadInput or NotFound."""
    ask = asker(engine, "end-to-end", "questions", "fused", 10, False, None)
    forms = {str(row["id"]): str(row.get("standalone") or "") for _, row in _rows(path)}
    pairs = []
    for question in read_questions(path, "questions"):
        if not isinstance(question, Question) or not forms[question.id]:
            raise BadInput(f"{path}: every row needs history, gold and standalone")
        alone = dataclasses.replace(question, question=forms[question.id], history=())
        pairs.append((question.id, bool(ask(question).scores["right"]), bool(ask(alone).scores["right"])))
    return pairs


def _table(pairs: Sequence[tuple[str, bool, bool]]) -> str:
    """What follow-ups came to, with 95 % Wilson intervals."""
    both = [(name, followed) for name, followed, alone in pairs if alone]
    counted = (
        ("right with history", sum(followed for _, followed, _ in pairs), len(pairs)),
        ("right stand-alone", len(both), len(pairs)),
        ("right with history among these", sum(followed for _, followed in both), len(both)),
    )
    lines = ["| follow-ups | right | of | share |", "|---|---|---|---|"]
    for name, right, count in counted:
        low, high = wilson(right, count)
        lines.append(f"| {name} | {right} | {count} | {right / max(1, count):.2f} ({low:.2f}–{high:.2f}) |")
    return "\n".join([*lines, "", f"lost by the history: {', '.join(n for n, f in both if not f) or 'none'}"])


def _rows(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    return (row for row in read_rows(path) if isinstance(row, tuple))


def main(argv: Sequence[str] | None = None) -> int:
    """Print a table in Markdown; 0, or 1 with one line when the data is not there."""
    parser = argparse.ArgumentParser(prog="python -m rag.evaluate.rewriting", description=__doc__)
    parser.add_argument("--data", metavar="DIR", help="the folder that holds conversation/ (default: RAG_DATA)")
    parser.add_argument("--half", choices=("report", "tune"), default="report")
    parser.add_argument("--follow-ups", metavar="FILE", help="rows with history and standalone, asked end to end")
    parser.add_argument("--index", metavar="DIR")
    args = parser.parse_args(argv)
    try:
        if args.follow_ups:
            from rag.answer import Answerer

            chosen = Settings.load({"index": args.index})
            pairs = follow_ups(Path(args.follow_ups), Answerer.open(chosen.index, chosen))
            odd = [pair for pair in pairs if pair[0][-1] in "13579"]
            even = [pair for pair in pairs if pair not in odd]
            print(
                "\n\n".join(
                    f"{title}\n\n{_table(half)}"
                    for title, half in (("tuned on: odd ids", odd), ("reported: even ids", even), ("all", pairs))
                )
            )
            return 0
        data = args.data or Settings.load().data
        if not data:
            raise BadInput("name the data: --data DIR, or RAG_DATA")
        sets = {name: read(Path(data), name, args.half) for name in SETS[: 3 if args.half == "report" else 2]}
    except RagError as error:
        print(f"rag: {error}", file=sys.stderr)
        return 1
    print(f"| set | rows | {' | '.join(REWRITERS)} | stand-alone kept | whole questions kept |")
    print(f"|---|---|{'---|' * len(REWRITERS)}---|---|")
    for name, rows in sets.items():
        cells = []
        for rewrite in REWRITERS.values():
            mean, low, high = interval([f1(rewrite(row.question, row.history), row.reference) for row in rows])
            cells.append(f"{mean:.3f} ({low:.3f}–{high:.3f})")
        cells += [
            f"{same}/{alone} ({same / max(1, alone):.1%})" for same, alone in (kept(rows), kept(rows, whole=True))
        ]
        print(f"| {name} | {len(rows)} | {' | '.join(cells)} |")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
