"""Labelled questions of one's own as training rows."""

from rag.evaluate.datasets import Gold, Question
from rag.index import Index
from rag.train.data import span_row
from rag.train.own import WRONG, span_rows
from rag.types import Document
from tests.encoder import HashingEncoder

HOUSE = "The gate opens at six. Dogs stay on the lead. Visitors park behind the mill."
RULES = "The gate of the orchard closes at nine. Apples are picked in September."


def rows_of(tmp_path, *questions):
    index = Index.open(tmp_path, create=True, encoder=HashingEncoder())
    index.put([Document("house", HOUSE), Document("rules", RULES), Document("far", "Nothing like it is told here.")])
    return list(span_rows(list(questions), index, "farm"))


def test_the_passage_that_answers_is_a_positive_and_the_others_that_are_found_are_not(tmp_path):
    gold = (Gold("house", "The gate opens at six."),)
    rows = rows_of(tmp_path, Question("q", 1, "When does the gate open?", answers=("six",), gold=gold))
    good = [row for row in rows if not row.get("is_impossible")]
    assert len(good) == 1
    answer = good[0]["answers"][0]
    assert good[0]["context"][answer["answer_start"] :].startswith("six")
    wrong = [row["context"] for row in rows if row.get("is_impossible")]
    assert RULES in wrong
    assert HOUSE not in wrong
    assert len(wrong) <= WRONG
    assert len({row["id"] for row in rows}) == len(rows)
    assert all(span_row("farm", row).answerable != bool(row.get("is_impossible")) for row in rows)


def test_a_question_without_an_answer_gives_only_negatives(tmp_path):
    rows = rows_of(tmp_path, Question("q", 1, "When does the gate burn?", answerable=False))
    assert rows
    assert all(row["is_impossible"] and not row["answers"] for row in rows)
