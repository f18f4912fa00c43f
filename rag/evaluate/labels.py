"""Labelled candidates to calibrate on: the features of each, and whether it is right."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from rag.converse import standalone
from rag.errors import RagError
from rag.evaluate import metrics
from rag.evaluate.datasets import Problem, Question
from rag.evaluate.evidence import evidence
from rag.evaluate.score import RIGHT_F1
from rag.types import Filters

Labels = tuple[list[list[Mapping[str, float]]], list[list[bool]], list[Problem]]


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
