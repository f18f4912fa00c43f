import hashlib
import json

import pytest

from rag.types import Answer, Block, Document, Section, Turn, turns


def test_a_document_names_the_revision_of_its_text():
    expected = hashlib.sha256("naïve".encode()).hexdigest()
    assert Document("a", "naïve").revision == f"sha256:{expected}"


def test_a_range_outside_the_text_cannot_be_built():
    with pytest.raises(ValueError, match="5 characters"):
        Document("a", "hello", blocks=(Block("paragraph", 0, 6),))


def test_the_innermost_section_is_found():
    document = Document("a", "x" * 100, sections=(Section(("1",), 0, 100), Section(("1", "1.2"), 40, 60)))
    assert document.section_at(39) == ("1",)
    assert document.section_at(40) == ("1", "1.2")
    assert document.section_at(60) == ("1",)


def test_history_is_strings_or_turns_and_nothing_else():
    assert turns(["a", {"role": "assistant", "content": "b"}]) == (Turn("user", "a"), Turn("assistant", "b"))
    for bad in ([1], [{"role": "system", "content": "x"}], [{"role": "user"}]):
        with pytest.raises(ValueError, match="history item"):
            turns(bad)


def test_the_answer_is_the_json_of_the_contract():
    answer = Answer("q", "q", "abstained", "no_span", 0.25, "v", {"total": 1.0})
    assert json.loads(answer.to_json()) == {
        "schema": "answer/1", "question": "q", "query": "q", "status": "abstained", "reason": "no_span",
        "confidence": 0.25, "index_version": "v", "timings_ms": {"total": 1.0}, "answers": [], "conflict": False,
        "citations": [], "nearest": [],
    }  # fmt: skip
