"""`run`: ask every question of a file, write a row for each, and add up the figures. Memory holds numbers only."""

from __future__ import annotations

import dataclasses
import json
import os
import random
import sys
from array import array
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import IO, Any, TypeVar

from rag.errors import BadInput, RagError
from rag.evaluate import summary as sums
from rag.evaluate.ask import Asked, Mode, Retrieval, Scorer, asker, by_search
from rag.evaluate.datasets import Kind, Problem, Question, kind_of, read_passages, read_questions
from rag.evaluate.names import METRICS
from rag.evaluate.score import FAILURES
from rag.evaluate.summary import Summary, Table
from rag.evaluate.typos import with_typos
from rag.types import Document

RESULTS, SUMMARY, REPORT = "results.jsonl", "summary.json", "report.html"
_BREAKS = {ord(mark): f"\\u{ord(mark):04x}" for mark in "\x85\u2028\u2029"}  # some readers end a line at these
READ = 10  # passages whose retrieval an end-to-end run looks at; as many as the engine reads

A = TypeVar("A")
B = TypeVar("B")
Build = Callable[[Iterable[Document]], Any]
Watch = Callable[[Iterable[Any], int], Iterable[Any]]  # (questions, how many) → the same questions, shown as progress


def run(
    questions: str | Path, engine: Any = None, *, out: str | Path | None = None, mode: Mode | None = None,
    open_: bool = False, strict: bool = False, limit: int | None = None, sample: int | None = None,
    progress: Watch | None = None, retrieval: Retrieval | None = None, top: int | None = None, seed: int = 0,
    several: bool = False, typos: bool = False, reread: int | None = None, build_index: Build | None = None,
    scorer: Scorer | None = None, at_once: int = 1,
) -> Summary:  # fmt: skip
    """Evaluate `engine` (an Answerer) on a file of questions, and write results, summary and report to folder `out`.

    mode: None takes what suits the format. open_: answer over all passages of a file of spans at once.
    build_index(documents) → Answerer: indexes the passages of such a file, of a BEIR folder, or the candidate sentences
    that `retrieval` is to rank; an engine that is given has them already.
    reread: with retrieval "reranked" the reader judges so many hits, and the others follow in fused order.
    several: gold spans are parts of one answer. scorer: scores candidate sentences in place of the reader.
    at_once: questions asked at the same time; the figures are the same, the times are not those of one asker.
    sample: so many questions, drawn at random with `seed`. typos: with one typing error in each content word.
    Raises BadInput or NotFound when nothing can be evaluated, and with `strict`, at the end, when a row was skipped.
    """
    path = Path(questions)
    kind = kind_of(path)
    chosen = _mode(path, kind, mode, open_)
    if kind == "sentences" and retrieval == "reranked":
        raise BadInput(f"{path}: the reader ranks candidate sentences when --retrieval is left out")
    searched = retrieval if kind == "sentences" else None
    if engine is None and (open_ or kind == "beir" or (searched and scorer is None)):
        if build_index is None:
            raise BadInput(f"{path}: give build_index to search its passages")
        engine = build_index(read_passages(path, kind))
    if engine is None and scorer is None:
        raise BadInput(f"{path}: give an index to ask")
    if chosen == "retrieval" or kind == "beir":
        retrieval, top = retrieval or "reranked", top or (100 if kind == "beir" else 10)
    else:
        retrieval, top = retrieval or "fused", top or READ
    if searched and scorer is None:
        scorer = by_search(engine, searched)
    ask = asker(engine, chosen, kind, retrieval, top, several, scorer, reread)
    found = Collector(seed)
    total = sum(1 for _ in islice(read_questions(path, kind), limit)) if progress or sample else 0
    source: Iterable[Any] = islice(read_questions(path, kind), limit)
    if sample and sample < total:
        drawn = set(random.Random(seed).sample(range(total), sample))
        source, total = (item for i, item in enumerate(source) if i in drawn), sample

    def one(item: Question | Problem) -> tuple[Question | Problem, Asked | None]:
        if isinstance(item, Problem):
            return item, None
        if typos:
            item = dataclasses.replace(item, question=with_typos(item.question, seed))
        try:
            return item, ask(item)
        except RagError as error:
            return Problem(str(path), item.line, str(error)), None

    with _results(out) as stream:
        for item, asked in _in_order(one, progress(source, total) if progress else source, at_once):
            if isinstance(item, Problem):
                found.problems.append(item)
            elif asked:
                found.add(asked, item)
                stream.write(json.dumps(sums.finite(asked.row), ensure_ascii=False).translate(_BREAKS) + "\n")
        if not found.table.rows:
            raise BadInput(
                f"{path}: no question in it could be evaluated{f'; {found.problems[0]}' if found.problems else ''}"
            )
    searched = retrieval if chosen in ("retrieval", "end-to-end") else searched
    summary = found.summary(str(path), kind, chosen, searched, open_, engine)
    if out is not None:
        _finish(Path(out), summary)
    if strict and found.problems:
        raise BadInput(f"{len(found.problems)} rows could not be used (--strict); the first: {found.problems[0]}")
    return summary


def _in_order(function: Callable[[A], B], items: Iterable[A], at_once: int) -> Iterator[B]:
    """`map`, with so many calls at the same time and few results waiting."""
    if at_once == 1:
        yield from map(function, items)
        return
    with ThreadPoolExecutor(at_once) as pool:
        waiting: deque[Future[B]] = deque()
        for item in items:
            waiting.append(pool.submit(function, item))
            if len(waiting) > 2 * at_once:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def _mode(path: Path, kind: Kind, mode: Mode | None, open_: bool) -> Mode:
    """The mode to run in. Raises BadInput when the format does not have what the mode needs."""
    if open_ and kind not in ("spans", "squad"):
        raise BadInput(f"{path}: --open is for files whose rows carry a passage; leave it out")
    passages = kind in ("spans", "squad") and not open_
    allowed: tuple[Mode, ...] = ("retrieval",) if kind == "beir" else ("end-to-end", "retrieval")
    if kind == "sentences" or passages:
        allowed = ("sentences",) if kind == "sentences" else ("reader",)
    elif open_:
        allowed = ("end-to-end", "retrieval")
    if mode is None:
        return allowed[0]
    if mode not in allowed and not (kind == "sentences" and mode == "reader"):
        hint = "; --open makes an index of its passages" if passages else ""
        raise BadInput(f"{path}: mode {mode} does not suit this file, {' or '.join(allowed)} does{hint}")
    return "sentences" if kind == "sentences" else mode


class Collector:
    """Numbers of the questions so far, and what could not be used."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.table, self.times = Table(), Table()
        self.failures: Counter[str] = Counter()
        self.tags: dict[str, array[int]] = {}
        self.problems: list[Problem] = []

    def add(self, asked: Asked, question: Question) -> None:
        """One question more."""
        for tag in question.tags:
            self.tags.setdefault(tag, array("q")).append(self.table.rows)
        self.table.add({**asked.scores, "_answerable": float(question.answerable)})
        self.times.add(asked.times)
        if asked.failure:
            self.failures[asked.failure] += 1

    def summary(
        self, questions: str, kind: Kind, mode: Mode, retrieval: Retrieval | None, open_: bool, engine: Any
    ) -> Summary:
        """The figures of everything added so far."""
        answerable = int(self.table["_answerable"].sum())
        best, cut = sums.thresholds(self.table)
        found = sums.figures(self.table, self.seed) | sums.more_figures(self.table, self.seed) | best
        seconds = self.times["total"].sum() / 1000
        return Summary(
            questions=questions,
            format=kind,
            mode=mode,
            retrieval=retrieval,
            open=open_,
            seed=self.seed,
            created=datetime.now(UTC).isoformat(timespec="seconds"),
            index_version=engine.index.version if mode in ("retrieval", "end-to-end") else None,
            counts={
                "evaluated": self.table.rows,
                "answerable": answerable,
                "unanswerable": self.table.rows - answerable,
                "skipped": len(self.problems),
            },
            metrics={name: found[name] for name in METRICS if name in found},
            by_tag={tag: sums.figures(self.table, self.seed, rows) for tag, rows in sorted(self.tags.items())},
            failures={kind: self.failures[kind] for kind in FAILURES},
            stages=sums.stages(self.times),
            questions_per_second=self.table.rows / seconds if seconds else 0.0,
            peak_memory_mib=_peak_memory(),
            best_threshold=cut,
            curves=sums.curves(self.table, self.times),
            problems=tuple(map(str, self.problems[: sums.SHOWN_PROBLEMS])),
        )


def _peak_memory() -> float | None:
    """MiB that this process has had at most; None where the system does not tell."""
    try:
        import resource
    except ImportError:
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1024 * 1024 if sys.platform == "darwin" else 1024)


@contextmanager
def _results(out: str | Path | None) -> Iterator[IO[str]]:
    """Where rows go: results.jsonl, put in its place when all are written; nowhere without a folder."""
    if out is None:
        with open(os.devnull, "w") as stream:
            yield stream
        return
    try:
        Path(out).mkdir(parents=True, exist_ok=True)
        part = Path(out) / f"{RESULTS}.part"
        stream = part.open("w", encoding="utf-8", errors="backslashreplace")
    except OSError as error:
        raise BadInput(f"{out}: {error.strerror}; choose another --out") from None
    try:
        with stream:
            yield stream
    except BaseException:
        part.unlink()
        raise
    part.replace(Path(out) / RESULTS)


def _finish(out: Path, summary: Summary) -> None:
    from rag.evaluate.report import write_report

    text = json.dumps(summary.to_dict(), ensure_ascii=False, indent=1)
    (out / SUMMARY).write_text(text + "\n", "utf-8", errors="backslashreplace")
    write_report(out / RESULTS, summary.to_dict(), out / REPORT)
