"""Labelled candidates to calibrate on: the features of each, and whether it is right."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from rag.converse import standalone
from rag.errors import BadInput, RagError
from rag.evaluate import metrics
from rag.evaluate.datasets import Problem, Question, kind_of, read_questions
from rag.evaluate.evidence import evidence
from rag.evaluate.score import RIGHT_F1
from rag.settings import Settings
from rag.types import Filters

Labels = tuple[list[list[Mapping[str, float]]], list[list[bool]], list[Problem]]
Watch = Callable[[Iterable[Any], int], Iterable[Any]]


@dataclass(frozen=True, slots=True)
class Labelled:
    """What a calibrator is fitted on: features [question][candidate] and whether each is right."""

    reader: str
    kind: str  # "end_to_end" or "passage"
    features: list[list[Mapping[str, float]]]
    right: list[list[bool]]
    problems: list[Problem]


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
            made.append(Labelled(reader.reader.name, "passage", *read_labels(reader, watch(rows, len(rows)))))
        elif kind != "questions":
            raise BadInput(f"{path}: give questions about an index, or rows with their passage")
        else:
            with tempfile.TemporaryDirectory(prefix="rag-calibrate-") as scratch:
                if path.is_dir():
                    index = Index.open(scratch, settings, create=True)
                    index.add(path / "docs")
                    index.close()
                answerer = Answerer.open(scratch if path.is_dir() else settings.index, settings)
                made.append(Labelled(answerer.reader.name, "end_to_end", *ask_labels(answerer, watch(rows, len(rows)))))
                answerer.index.close()
    if len({found.kind for found in made}) > 1:
        raise BadInput("questions about documents and rows with their passage are calibrated apart; give one kind")
    return Labelled(
        made[0].reader,
        made[0].kind,
        [row for found in made for row in found.features],
        [row for found in made for row in found.right],
        [problem for found in made for problem in found.problems],
    )


def ask_labels(answerer: Any, questions: Iterable[Question | Problem]) -> Labels:
    """End to end: every quote that was proposed; right when it overlaps gold evidence."""

    def one(question: Question) -> tuple[list[Mapping[str, float]], list[bool]]:
        items = evidence(question, lambda name: answerer.index.document(name).text)
        gold = [place for item in items for place in item]
        query = answerer.spelled(standalone(question.question, question.history), Filters())
        _, _, proposed = answerer.look(query)
        right = [any(metrics.overlaps((c.hit.document_id, c.start, c.end), g) for g in gold) for c in proposed]
        return [c.features for c in proposed], right

    return _all(one, questions)


def read_labels(reader: Any, questions: Iterable[Question | Problem]) -> Labels:
    """A given passage: its best span; right when it overlaps a gold span or has F1 ≥ 0.5."""

    def one(question: Question) -> tuple[list[Mapping[str, float]], list[bool]]:
        reading = reader.look(question.question, question.context)
        if not reading.spans:
            return [reading.features], [False]
        best = (reading.spans[0].start, reading.spans[0].end)
        text = question.context[slice(*best)]
        near = any(metrics.span_iou(best, span) > 0 for span in question.spans)
        return [reading.features], [
            question.answerable and (near or metrics.token_f1(text, question.answers) >= RIGHT_F1)
        ]

    return _all(one, questions)


def _all(one: Any, questions: Iterable[Question | Problem]) -> Labels:
    rows: list[list[Mapping[str, float]]] = []
    right: list[list[bool]] = []
    problems: list[Problem] = []
    for question in questions:
        if isinstance(question, Problem):
            problems.append(question)
            continue
        try:
            found, good = one(question)
        except RagError as error:
            problems.append(Problem("", question.line, str(error)))
            continue
        rows.append(found)
        right.append(good)
    return rows, right, problems
