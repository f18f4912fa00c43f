"""Labels for the calibrator: from a folder with its own documents, from an index, never of two kinds."""

import json

import pytest

from rag.errors import BadInput
from rag.evaluate.labels import labelled
from rag.settings import Settings
from tests.passages import PASSAGE


def plain(rows, total):
    assert total == len(rows)
    return rows


def lines(*rows):
    return "".join(json.dumps(row) + "\n" for row in rows)


def test_a_folder_is_asked_about_its_own_documents(tmp_path):
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "maps.txt").write_text(PASSAGE)
    good = {"id": "1", "question": "Who keeps the key of the map cabinet?", "answers": ["Odalys Ferrand"]}
    gold = next(s for s in PASSAGE.split(". ") if "Odalys" in s)
    good["gold"] = [{"document_id": "maps.txt", "quote": gold}]
    (tmp_path / "questions.jsonl").write_text(
        lines(good, {"id": "2", "question": "Who owns the moon?", "answerable": False}, {"id": "3"})
    )
    found = labelled([tmp_path, tmp_path], Settings(), None, plain)
    assert set(found.kinds) == {"end_to_end", "rerank"}
    for rows in found.kinds.values():
        assert [any(right) for _, right in rows] == [True, False, True, False]
        assert all(len(features) == len(right) for features, right in rows)
    assert all("likeness" in each for features, _ in found.kinds["end_to_end"] for each in features)
    assert all(set(each) == {"mix"} for features, _ in found.kinds["rerank"] for each in features)
    assert [problem.line for problem in found.problems] == [3, 3]


def test_two_kinds_are_calibrated_apart(tmp_path):
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "maps.txt").write_text(PASSAGE)
    (tmp_path / "questions.jsonl").write_text(lines({"question": "Who?", "answerable": False}))
    spans = tmp_path / "spans.jsonl"
    spans.write_text(lines({"id": "s", "question": "Who?", "context": PASSAGE, "answers": [], "is_impossible": True}))
    with pytest.raises(BadInput, match="give one kind"):
        labelled([tmp_path, spans], Settings(), None, plain)


def test_what_the_passage_answers_is_labelled_apart(tmp_path):
    start = PASSAGE.index("Odalys Ferrand")
    gold = {"text": "Odalys Ferrand", "answer_start": start}
    asked = {"question": "Who keeps the key of the map cabinet?", "context": PASSAGE}
    spans = tmp_path / "spans.jsonl"
    spans.write_text(
        lines(
            {**asked, "id": "1", "answers": [gold]},
            {**asked, "id": "2", "question": "Who owns the moon?", "answers": [], "is_impossible": True},
        )
    )
    found = labelled([spans], Settings(), None, plain)
    assert [right for _, right in found.kinds["passage"]] == [[True], [False]]
    assert [right for _, right in found.kinds["forced"]] == [[True]]
    assert found.f1[0] > 0
    assert found.f1[1] is None
