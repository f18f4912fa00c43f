"""Drafted questions: what the rules make of a small document, and which pages nothing reaches."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from rag.errors import BadInput
from rag.evaluate.command import main
from rag.evaluate.datasets import Question, read_questions
from rag.evaluate.draft import draft, unreached
from rag.load import load
from rag.types import Document, Page
from tests.evaluate_fake import fake

PAGE = """# Harbour rules

## Terms

A pilot is a person who guides ships through the channel. It is a hard job. Demurrage means the fee for a late ship.

## Fees

The fees were last changed on 3 March 2024 by the board.

| Ship | Fee | Berth |
|---|---|---|
| Barge | 40 crowns | north |
| Trawler | 65 crowns | south |
"""


def harbour() -> Document:
    (document,) = load(PAGE.encode(), "harbour.md").documents
    return document


def test_each_rule_by_hand() -> None:
    document = harbour()
    rows = list(draft(document))
    made = {(row["tags"][1], row["question"], *row["answers"]) for row in rows}
    assert made >= {
        ("definition", "What is a pilot?", "a person who guides ships through the channel"),
        ("definition", "What does Demurrage mean?", "the fee for a late ship"),
        ("date", "On what date: “The fees were last changed on … by the board.”", "3 March 2024"),
        ("heading", "What is said about “Terms” in “Harbour rules”?"),
    }
    assert not any("hard job" in row["question"] for row in rows)  # "it" is no subject
    cells = {row["question"]: row["answers"][0] for row in rows if row["tags"][1] == "table"}
    assert len(cells) == 2
    known = {
        "Fee: Barge?": "40 crowns",
        "Berth: Barge?": "north",
        "Fee: Trawler?": "65 crowns",
        "Berth: Trawler?": "south",
    }
    assert cells.items() <= known.items()
    for row in rows:
        (gold,) = row["gold"]
        assert document.text[gold["start"] : gold["end"]] == gold["quote"]
        assert all(answer in gold["quote"] for answer in row["answers"])


def test_the_most_is_spread_over_the_rules() -> None:
    assert [row["tags"][1] for row in draft(harbour(), most=4)] == ["definition", "table", "date", "heading"]
    assert list(draft(Document("empty.txt", "Nothing here.")))[:1] == []


def test_pages_that_nothing_retrieves() -> None:
    text = "The bell rings at noon.\n\nThe lamp burns at night."
    paged = Document("paged.pdf", text, pages=(Page(1, "i", 0, 25), Page(2, "ii", 25, len(text))))
    other = Document("other.md", "Nets are dried on poles.")
    engine = fake((paged, other))
    assert unreached((paged, other), ["Where does the bell ring?"], engine, top=1) == ["paged.pdf, page ii", "other.md"]
    assert unreached((paged, other), ["bell ring", "lamp burn", "nets dried"], engine, top=1) == []


def test_draft_on_the_command_line_gives_questions_that_run_reads(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "harbour.md").write_text(PAGE, "utf-8")
    target = tmp_path / "draft.jsonl"
    assert main(["draft", str(tmp_path / "docs"), "--output", str(target)]) == 0
    out = capsys.readouterr().out
    assert "0 of the pages and unpaged documents" in out
    found = list(read_questions(target, "questions"))
    assert all(isinstance(item, Question) for item in found)
    assert json.loads(target.read_text("utf-8").splitlines()[0])["id"] == "harbour.md#1"
    (tmp_path / "docs" / "harbour.md").write_text("Nothing.", "utf-8")
    with pytest.raises(BadInput, match="nothing in it gives a question"):
        main(["draft", str(tmp_path / "docs"), "--output", str(target)])
