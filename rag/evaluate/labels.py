"""Labelled candidates to calibrate on: the features of each, and whether it is right."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from rag import decide
from rag.errors import BadInput, RagError
from rag.evaluate import metrics
from rag.evaluate.datasets import Problem, Question, kind_of, read_questions
from rag.evaluate.evidence import evidence
from rag.evaluate.score import RIGHT_F1
from rag.settings import Settings

Rows = tuple[Sequence[Mapping[str, float]], Sequence[bool]]  # of one question: features, and whether each is right
Watch = Callable[[Iterable[Any], int], Iterable[Any]]


@dataclass(frozen=True, slots=True)
class Labelled:
    """What calibrators are fitted on: for each kind ("end_to_end" and "rerank", or "passage" and "forced") the rows of
    every question."""

    reader: str
    kinds: Mapping[str, list[Rows]]
    problems: list[Problem]
    f1: Sequence[float | None] = ()  # of "passage": token F1 of the best span; None where the passage does not answer


def labelled(paths: Sequence[Path], settings: Settings, limit: int | None, watch: Watch) -> Labelled:
    """The labels of every file; a folder's questions are asked of its own `docs/`, the others of the settings' index.

    Raises BadInput when questions about documents and rows with their passage are mixed.
    """
    from rag.answer import Answerer
    from rag.index import Index
    from rag.read import PassageReader

    made: list[Labelled] = []
    for path in paths:
        file = path / "questions.jsonl" if path.is_dir() else path
        kind = kind_of(file)
        rows = list(islice(read_questions(file, kind), limit))
        if kind in ("spans", "squad"):
            reader = PassageReader.open(settings)
            made.append(read_labels(reader, watch(rows, len(rows))))
        elif kind != "questions":
            raise BadInput(f"{path}: give questions about an index, or rows with their passage")
        else:
            with tempfile.TemporaryDirectory(prefix="rag-calibrate-") as scratch:
                if path.is_dir():
                    index = Index.open(scratch, settings, create=True)
                    index.add(path / "docs")
                    index.close()
                answerer = Answerer.open(scratch if path.is_dir() else settings.index, settings)
                made.append(ask_labels(answerer, watch(rows, len(rows))))
                answerer.index.close()
    if len({tuple(found.kinds) for found in made}) > 1:
        raise BadInput("questions about documents and rows with their passage are calibrated apart; give one kind")
    kinds = {kind: [rows for found in made for rows in found.kinds[kind]] for kind in made[0].kinds}
    problems = [problem for found in made for problem in found.problems]
    return Labelled(made[0].reader, kinds, problems, [f1 for found in made for f1 in found.f1])


def ask_labels(answerer: Any, questions: Iterable[Question | Problem]) -> Labelled:
    """End to end: every quote that was proposed, right when it overlaps gold evidence; and every hit, likewise."""

    def one(question: Question) -> tuple[Rows, Rows]:
        items = evidence(question, lambda name: answerer.index.document(name).text)
        gold = [place for item in items for place in item]
        query = answerer.query(question.question, question.history)
        hits, readings, proposed = answerer.look(query)

        def holds(document: str, start: int, end: int) -> bool:
            return any(metrics.overlaps((document, start, end), place) for place in gold)

        quotes = [holds(c.hit.document_id, c.start, c.end) for c in proposed]
        found = [holds(hit.document_id, hit.start, hit.end) for hit in hits]
        ranked = [decide.rank_features(hit, reading) for hit, reading in zip(hits, readings, strict=True)]
        return ([c.features for c in proposed], quotes), (ranked, found)

    done, problems = _all(one, questions)
    kinds = {"end_to_end": [quotes for quotes, _ in done], "rerank": [hits for _, hits in done]}
    return Labelled(answerer.reader.name, kinds, problems)


def read_labels(reader: Any, questions: Iterable[Question | Problem]) -> Labelled:
    """A given passage: its best span; right when it overlaps a gold span or has F1 ≥ 0.5. "forced": only where the
    passage answers, as for who asks with threshold 0."""

    def one(question: Question) -> tuple[float | None, Rows]:
        reading = reader.look(question.question, question.context)
        best = (reading.spans[0].start, reading.spans[0].end) if reading.spans else (0, 0)
        f1 = metrics.token_f1(question.context[slice(*best)], question.answers) if question.answerable else None
        near = any(metrics.span_iou(best, span) > 0 for span in question.spans)
        return f1, ([reading.features], [f1 is not None and (near or f1 >= RIGHT_F1)])

    done, problems = _all(one, questions)
    kinds = {"passage": [rows for _, rows in done], "forced": [rows for f1, rows in done if f1 is not None]}
    return Labelled(reader.reader.name, kinds, problems, [f1 for f1, _ in done])


def _all(one: Callable[[Question], Any], questions: Iterable[Question | Problem]) -> tuple[list[Any], list[Problem]]:
    done: list[Any] = []
    problems: list[Problem] = []
    for question in questions:
        if isinstance(question, Problem):
            problems.append(question)
            continue
        try:
            done.append(one(question))
        except RagError as error:
            problems.append(Problem("", question.line, str(error)))
    return done, problems
