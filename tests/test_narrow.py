"""Limits that are typed in a question: what is one, and what only looks like one."""

from __future__ import annotations

import datetime
import json
from pathlib import Path

import pytest

from rag.narrow import narrowed
from rag.types import Filters

TODAY = datetime.date(2026, 2, 10)
NAMED = (("t/1", "Travel policy", "finance"), ("p/1", "Annual leave", "people"), ("d", "Notes", "default"))
QUESTIONS = Path(__file__).parent.parent / "samples" / "questions"


@pytest.mark.parametrize(
    ("typed", "question", "filters"),
    [
        ("What changed since January?", "What changed?", Filters(since="2026-01-01")),
        ("What changed since March?", "What changed?", Filters(since="2025-03-01")),
        ("what is new since 3 Mar 2024", "what is new", Filters(since="2024-03-03")),
        ("What changed since 2025-06-30?", "What changed?", Filters(since="2025-06-30")),
        ("Which rules apply, published before 2024?", "Which rules apply?", Filters(until="2024-01-01")),
        ("Is alcohol paid in the travel policy?", "Is alcohol paid?", Filters(documents=("t/1",))),
        ("Who signs off in our people documents?", "Who signs off?", Filters(collections=("people",))),
        ("Is it paid in the travel policy since May?", "Is it paid?", Filters(documents=("t/1",), since="2025-05-01")),
    ],
)
def test_a_limit_at_the_end_becomes_a_filter(typed: str, question: str, filters: Filters) -> None:
    found = narrowed(typed, Filters(), lambda: NAMED, TODAY)
    assert (found.question, found.filters) == (question, filters)
    assert all(words in typed for words in found.typed)


@pytest.mark.parametrize(
    "question",
    [
        "Since March?",
        "What changed since the merger?",
        "How late may I cancel before 1 May?",
        "What was the budget in 2025?",
        "What happened since 31 February?",
        "Who works in the office?",
        "What is in the default collection?",
        "Since when is smoking banned in the lounge, and why?",
    ],
)
def test_what_only_looks_like_a_limit_stays(question: str) -> None:
    assert narrowed(question, Filters(), lambda: NAMED, TODAY).question == question


def test_what_was_chosen_already_is_kept() -> None:
    chosen = Filters(collections=("people",), groups=("staff",))
    found = narrowed("What is paid in the travel policy since May?", chosen, lambda: NAMED, TODAY)
    assert found.filters == Filters(collections=("people",), groups=("staff",), since="2025-05-01")


def test_no_sample_question_is_cut() -> None:
    rows = [json.loads(line) for file in QUESTIONS.glob("*.jsonl") for line in file.read_text("utf-8").splitlines()]
    assert len(rows) > 250
    changed = [q["question"] for q in rows if narrowed(q["question"], Filters(), lambda: NAMED).typed]
    assert changed == []
