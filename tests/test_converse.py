"""Follow-ups made stand-alone by rules: what changes, what must not, and how it is measured."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from rag.converse import standalone
from rag.evaluate.rewriting import f1, interval, joined, main
from rag.types import turns

FOLLOW_UPS = Path(__file__).parent.parent / "samples" / "questions" / "follow-ups.jsonl"


@pytest.mark.parametrize(
    ("history", "question", "expected"),
    [
        (["What is the IT budget in 2025?"], "And in 2026?", "What is the IT budget in 2026?"),
        (["How tall can a van be on Curlew?"], "And Sandpiper?", "How tall can a van be on Sandpiper?"),
        (["How much leave does a captain get?"], "and a deckhand?", "How much leave does a deckhand get?"),
        (["How is the hybrid ferry paid for?"], "Who lent us money for it?", "Who lent us money for hybrid ferry?"),
        (["Do I need receipts?"], "When do they expire?", "When do receipts expire?"),
        (["Frank Zappa"], "What was his first album?", "What was Frank Zappa’s first album?"),
        (["What is TOIL?", "Who may use it?"], "When is it lost?", "When is TOIL lost?"),
        (["May I swap a shift?"], "Why?", "Why: May I swap a shift?"),
        (["When does it open?"], "", ""),
    ],
)
def test_what_a_follow_up_leaves_out_is_supplied(history: list[str], question: str, expected: str) -> None:
    assert standalone(question, turns(history)) == expected


@pytest.mark.parametrize(
    "question",
    [
        "Who owns the moon?",
        "What is mortadella and where is it from?",
        "Is it possible to leave early?",
        "define NBV",
        "I lost a bag. Who has it?",
    ],
)
def test_a_question_with_a_subject_of_its_own_is_left_alone(question: str) -> None:
    history = turns(["How long is parental leave?", {"role": "assistant", "content": "26 weeks"}])
    assert standalone(question, history) == question
    assert standalone("And for adoption?", ()) == "And for adoption?"


def test_figures_worked_out_by_hand() -> None:
    assert f1("What is it?", "what IS throat cancer") == pytest.approx(2 * 2 / (3 + 4))
    assert f1("a", "b") == 0.0
    assert joined("And x?", turns(["One.", "Two."])) == "One. Two. And x?"
    mean, low, high = interval([0.0, 1.0] * 50)
    assert mean == 0.5
    assert 0.35 < low < 0.5 < high < 0.65


def test_every_sample_follow_up_names_its_stand_alone_form() -> None:
    rows = [json.loads(line) for line in FOLLOW_UPS.read_text("utf-8").splitlines()]
    assert len(rows) >= 100
    assert len({row["id"] for row in rows}) == len(rows)
    assert all(row["history"] and row["standalone"] and row["gold"] for row in rows)


def test_missing_data_is_one_line(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["--data", str(tmp_path)]) == 1
    assert "canard_dev.jsonl.gz: not there" in capsys.readouterr().err
