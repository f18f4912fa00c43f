"""The weights of the order of hits: `python -m rag.train.order --data DIR --out FILE`.

Every hit of every question is read once and kept in FILE (one JSON line a question), so a second run only counts again.
The questions are of organisations and sets that the reader was not trained on and on which no figure of rereading is
reported: of MedQuAD those whose document was not drawn for training.
"""

from __future__ import annotations

import argparse
import itertools
import json
import random
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from rag.answer import Answerer
from rag.decide import DENSE, FUSED, log_odds
from rag.evaluate import metrics
from rag.evaluate.datasets import Problem, Question, kind_of, read_passages, read_questions
from rag.evaluate.evidence import evidence, ranking
from rag.index import Index
from rag.retrieve import retrieve
from rag.settings import Settings
from rag.train.data import MIXTURE, WRITTEN, document_rows, sampled
from rag.types import Document, Filters

READ = 50  # hits of a question
QUESTIONS, OWN = 200, 80  # of a public set and of an organisation, at most
OTHERS = 2_500  # documents beside those that answer, where a set has more
HANDBOOK = "handbook"
PRACTICE = ("clinic", "museum", "utility", "orchard", "housing", "hotel")
PAGES = "pages-held"
PUBLIC = (PAGES, "retrieval/medquad", "retrieval/pubmedqa_l", "train/bioasq_6b9b_snippets_part.jsonl.gz")
SAMPLES = Path(__file__).parents[2] / "samples"
DEPTHS = (10, 50)
Questions = Sequence[Question | Problem]
GRID = tuple(itertools.product((0, 25, 50, 75, 100, 150, 200, 300, 400), (0, 10, 20, 30, 40, 60, 80)))


@dataclass(frozen=True, slots=True)
class Judged:
    """A question: for its n fused hits what each names, and float [n, 3]: fused, dense, log-odds of relevance."""

    names: Sequence[Sequence[str]]  # of a hit: its document, or the items of evidence that it touches
    relevant: Mapping[str, float]
    scores: np.ndarray

    def ndcg(self, fused: float, dense: float, depth: int, reader: float = 1.0) -> float:
        """nDCG@10 when the first `depth` hits are put in the order of this mix."""
        mix = self.scores[:depth] @ np.array([fused, dense, reader])
        order = [*np.argsort(-mix, kind="stable"), *range(depth, len(self.names))]
        named = dict.fromkeys(name for i in order for name in self.names[i])
        return metrics.ndcg_at(list(named), self.relevant, 10)


def medquad(path: Path) -> tuple[Questions, list[Document]]:
    """Questions whose documents the reader was not shown as answers, and the documents to find them among."""
    rows = document_rows("medquad", path)
    shown = {row.id for row in sampled(rows, "medquad", MIXTURE["medquad"][1])}
    texts = {row.context for row in rows if row.id in shown}
    unseen = {row.id for row in rows if row.id not in shown and row.context not in texts}
    questions = [q for q in read_questions(path, "beir") if isinstance(q, Question) and q.id in unseen]
    questions = random.Random(0).sample(questions, QUESTIONS)
    wanted = {name for question in questions for name in question.relevant}
    documents = list(read_passages(path, "beir"))
    others = random.Random(0).sample([d for d in documents if d.id not in wanted], OTHERS)
    return questions, [*(d for d in documents if d.id in wanted), *others]


def public(path: Path) -> tuple[Questions, list[Document]]:
    """Questions of a retrieval set, or of rows whose passages together are the documents."""
    if path.name == "medquad":
        return medquad(path)
    if path.name == PAGES:  # found among the pages for training
        beside = list(read_passages(path.parent / "pages", "beir"))
        return list(read_questions(path, "beir")), [*read_passages(path, "beir"), *beside]
    kind = kind_of(path)
    questions = [q for q in read_questions(path, kind) if isinstance(q, Question)]
    return questions, list(read_passages(path, kind))


def judge(engine: Answerer, questions: Questions) -> Iterator[dict[str, Any]]:
    """One JSON object for every question that has an answer."""
    for question in questions:
        if isinstance(question, Problem):
            continue
        items = () if question.relevant else evidence(question, lambda name: engine.index.document(name).text)
        if not items and not question.relevant:
            continue
        query = engine.query(question.question)
        hits = retrieve(engine.index, query, Filters(), top=READ)
        readings = engine.reader.read(query, [hit.excerpt for hit in hits])
        places = [(hit.document_id, hit.start, hit.end) for hit in hits]
        touched = [[f"item {i}" for i, item in enumerate(items) if ranking([p], (item,)) == ["item 0"]] for p in places]
        names = [[place[0]] if question.relevant else found for place, found in zip(places, touched, strict=True)]
        yield {
            "names": [found or [f"miss {i}"] for i, found in enumerate(names)],
            "relevant": dict(question.relevant) or {f"item {i}": 1.0 for i in range(len(items))},
            "fused": [hit.fused for hit in hits],
            "dense": [hit.dense or 0.0 for hit in hits],
            "relevance": [log_odds(reading.relevance) for reading in readings],
        }


def collect(data: Path, out: Path, settings: Settings) -> None:
    """Read what FILE does not have yet, a set at a time."""
    done = {json.loads(line)["set"] for line in out.read_text("utf-8").splitlines()} if out.exists() else set()
    homes = {name: SAMPLES / "practice" / name for name in PRACTICE}
    own = {HANDBOOK: (SAMPLES / "questions" / "tune.jsonl", SAMPLES / "handbook")}
    own |= {name: (home / "questions.jsonl", home / "docs") for name, home in homes.items()}
    for name in [*own, *PUBLIC]:
        if name in done:
            continue
        with tempfile.TemporaryDirectory(prefix="rag-order-") as folder:
            with closing(Index.open(folder, settings, create=True)) as index:
                if name in own:
                    asked: Questions = list(read_questions(own[name][0], "questions"))
                    index.add(own[name][1])
                else:
                    asked, documents = public((WRITTEN if name == PAGES else data) / name)
                    index.put(documents)
            most = OWN if name in own else QUESTIONS
            asked = random.Random(0).sample(asked, min(most, len(asked)))
            rows = list(judge(Answerer.open(folder, settings), asked))
        with out.open("a", encoding="utf-8") as stream:
            for row in rows:
                stream.write(json.dumps({"set": name, **row}) + "\n")
        print(f"{name}: {len(rows)} questions", file=sys.stderr, flush=True)


def judged(out: Path) -> dict[str, list[Judged]]:
    """The rows of FILE by set."""
    sets: dict[str, list[Judged]] = {}
    for line in out.read_text("utf-8").splitlines():
        row = json.loads(line)
        scores = np.array([row["fused"], row["dense"], row["relevance"]]).T
        sets.setdefault(row["set"], []).append(Judged(row["names"], row["relevant"], scores))
    return sets


def gains(sets: Mapping[str, Sequence[Judged]], fused: float, dense: float) -> list[float]:
    """nDCG@10 against the fused order, in points, at each depth of each set."""
    return [
        100 * float(np.mean([j.ndcg(fused, dense, depth) - j.ndcg(1.0, 0.0, depth, reader=0.0) for j in rows]))
        for rows in sets.values()
        for depth in DEPTHS
    ]


def main(argv: list[str] | None = None) -> int:
    """Read what is missing in FILE, then print the mixes, best first: by what they give on the set and depth that gains
    least, to a tenth of a point, then by their mean."""
    parser = argparse.ArgumentParser(prog="python -m rag.train.order", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="folder with train/ and retrieval/")
    parser.add_argument("--out", type=Path, required=True, help="one JSON line a question; read again when it is there")
    options = parser.parse_args(argv)
    collect(options.data, options.out, Settings())
    sets = judged(options.out)
    found = {mix: gains(sets, *mix) for mix in (*GRID, (FUSED, DENSE))}
    best = sorted(found, key=lambda mix: (-round(min(found[mix]), 1), -sum(found[mix])))
    print(f"| fused | dense | {' | '.join(f'{s} ({len(sets[s])}) {d}' for s in sets for d in DEPTHS)} |")
    print(f"|---|---|{'---|' * len(sets) * len(DEPTHS)}")
    for mix in best:
        print(f"| {mix[0]:g} | {mix[1]:g} | {' | '.join(f'{gain:+.1f}' for gain in found[mix])} |")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
