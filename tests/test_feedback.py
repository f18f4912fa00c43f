"""What people thought of answers becomes evaluation rows where it settles what is right, and is shown where not."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from rag.__main__ import main
from rag.evaluate.datasets import Question, read_questions
from rag.evaluate.feedback import lines, rows
from rag.settings import Settings
from rag.state import State
from tests.fakes import HANDBOOK, MEMO, FakeAnswerer, FakeIndex

RIGHT = "Tell your team at least eight weeks ahead, so that the desks stay staffed."


@pytest.fixture
def state(tmp_path: Path) -> State:
    """A good answer, a good silence, an answer where silence was due, one with the right sentence, one without."""
    kept, engine = State.open(Settings(index=str(tmp_path))), FakeAnswerer()
    for question, good, reason, comment in (
        ("How long is parental leave?", True, "", ""),
        ("Who owns the moon?", True, "", ""),
        ("What is the daily meal allowance?", False, "should_be_silent", ""),
        ("How long may I keep a chart?", False, "wrong", f"“{RIGHT}”"),
        ("How deep is the water?", False, "incomplete", "there is more"),
    ):
        turn = kept.begin("ines", None, question)
        kept.finish(turn.id, engine.ask(question).to_dict())
        kept.rate("ines", turn.id, good, reason, comment)
    return kept


def test_ratings_that_settle_what_is_right_become_rows(state: State, tmp_path: Path) -> None:
    made, unsettled = rows(state.feedback(), FakeAnswerer().index)
    assert unsettled == 1
    file = tmp_path / "rows.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in made), "utf-8")
    read = [item for item in read_questions(file, "questions") if isinstance(item, Question)]
    assert [(q.question, q.answerable, q.answers, len(q.gold), q.tags) for q in read] == [
        ("How long is parental leave?", True, ("26 weeks",), 2, ("feedback", "good")),
        ("Who owns the moon?", False, (), 0, ("feedback", "good")),
        ("What is the daily meal allowance?", False, (), 0, ("feedback", "should_be_silent")),
        ("How long may I keep a chart?", True, (), 1, ("feedback", "wrong")),
    ]
    assert (read[3].gold[0].document_id, read[3].gold[0].quote) == (HANDBOOK.id, RIGHT)


def test_a_source_that_changed_since_is_no_gold(state: State) -> None:
    held = {d.id: d for d in FakeAnswerer().documents}
    held[MEMO.id] = dataclasses.replace(MEMO, text=MEMO.text.replace("26", "30"), revision="")
    made, unsettled = rows(state.feedback(), FakeIndex(held))
    assert (len(made), unsettled) == (3, 2)


def test_feedback_can_be_reviewed(state: State) -> None:
    shown = "\n".join(lines(state.feedback()))
    assert "should_be_silent  ines  What is the daily meal allowance?" in shown
    assert "silence (no_span)" in shown
    assert RIGHT in shown


def test_the_command_names_what_is_missing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", "feedback", "--index", str(tmp_path)]) == 1
    assert "no index in" in capsys.readouterr().err
