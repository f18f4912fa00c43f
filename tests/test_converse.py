"""Follow-ups made stand-alone by rules: what changes, what must not, and how it is measured."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from rag.converse import looser, standalone
from rag.evaluate.rewriting import f1, interval, joined, main
from rag.types import turns

FOLLOW_UPS = Path(__file__).parent.parent / "samples" / "questions" / "follow-ups.jsonl"


@pytest.mark.parametrize(
    ("history", "question", "expected"),
    [
        (["What is the IT budget in 2025?"], "And in 2026?", "What is the IT budget in 2026?"),
        (["How tall can a van be on Curlew?"], "And Sandpiper?", "How tall can a van be on Sandpiper?"),
        (["How much leave does a captain get?"], "and a deckhand?", "How much leave does a deckhand get?"),
        (["How is the hybrid ferry paid for?"], "Who lent us money for it?", "Who lent us money for the hybrid ferry?"),
        (["Do I need receipts?"], "When do they expire?", "When do receipts expire?"),
        (["Frank Zappa"], "What was his first album?", "What was Frank Zappa’s first album?"),
        (["What is TOIL?", "Who may use it?"], "When is it lost?", "When is TOIL lost?"),
        (["May I swap a shift?"], "Why?", "Why: May I swap a shift?"),
        (["When does it open?"], "", ""),
        (
            ["Where is the calendar in Harbour Desk?"],
            "How do I request leave there?",
            "How do I request leave in Harbour Desk?",
        ),
        (["Who pays if a bag is lost?"], "How much do they pay then?", "How much do they pay if a bag is lost?"),
        (["What is the lowest fare to Orrin?"], "And the highest?", "What is the highest fare to Orrin?"),
        (["How long are letters kept?"], "And invoices?", "How long are invoices kept?"),
        (["What is the rate for a bus?"], "What about my own van?", "What is the rate for my own van?"),
        (["Do trains run in summer?"], "And outside the summer?", "Do trains run outside the summer?"),
        (["Where do we wait on deck?"], "And in the office?", "Where do we wait in the office?"),
        (["How often does the board meet?"], "How is it made up?", "How is the board made up?"),
        (["What is the fuel card?"], "How does it work?", "How does the fuel card work?"),
        (["May I swap a shift?"], "How do I do it?", "How do I do it: May I swap a shift?"),
        (["Does the US Coastguard answer?"], "Where is it based?", "Where is the US Coastguard based?"),
        (["Who is John  Smith?"], "and Jane Doe?", "Who is Jane Doe?"),
        (["What is the notice period?"], "and?", "What is the notice period?"),
        (["What is the notice period?"], "ok", "What is the notice period?"),
        (["Oil is in the sea. Must the coastguard know?"], "Can they help?", "Can the coastguard help?"),
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
        "If a coach firm cancels, do they get money back?",
        "How far off must an actual be before I justify it?",
        "What are the forms that are sent to the harbour?",
        "What is it called when a ferry turns back?",
        "Is it hard to get a berth?",
        "Which rule says that “they may not board”?",
        "After his promotion, what did Captain Adair do?",
        "Who put himself on the list?",
    ],
)
def test_a_question_with_a_subject_of_its_own_is_left_alone(question: str) -> None:
    history = turns(["How long is parental leave?", {"role": "assistant", "content": "26 weeks"}])
    assert standalone(question, history) == question
    assert standalone("And for adoption?", ()) == "And for adoption?"


def test_further_forms_are_for_what_follows_from_the_last_question() -> None:
    booked = turns(["How do I book a training course?"])
    assert looser("Which person takes the bookings?", booked) == ("training course: Which person takes the bookings?",)
    assert looser("Who pays for it?", booked) == (
        "training course: Who pays for it?",
        "How do I book a training course? Who pays for it?",
    )
    assert looser("Who owns the moon?", booked) == ()
    assert looser("And for part-timers?", booked) == ()  # set in already
    assert looser("Who pays for it?", ()) == ()


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
