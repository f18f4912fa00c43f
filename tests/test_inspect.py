"""`rag inspect`: what a file became is said before a question fails."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from rag.errors import NotFound
from rag.inspect import inspect
from tests.papers import pdf
from tests.test_load_formats import paged


def count(texts: object) -> list[int]:
    return [len(text.split()) for text in texts]  # type: ignore[attr-defined]


def test_the_report_holds_the_text_its_structure_and_what_was_left_out(tmp_path: Path) -> None:
    file = tmp_path / "a.pdf"
    file.write_bytes(pdf(paged(4)))
    report = inspect(str(file), count)
    (document,) = report.documents
    assert report.left_out["running heads and feet"] == 4 * len("Quay Handbook") + 4
    assert [page["label"] for page in document.pages] == ["1", "2", "3", "4"]
    assert document.sections[0]["path"] == ("Parental leave",)
    assert document.blocks["heading"] == 4
    covered = {n for passage in document.passages for n in range(passage["start"], passage["end"])}
    assert all(n in covered or document.text[n].isspace() for n in range(document.characters))
    lines = list(report.lines(text=True))
    assert "left out   hyphens at line ends: 4 characters" in lines
    assert lines[-1] == document.text
    assert json.loads(json.dumps(report.to_dict()))["documents"][0]["text"] == document.text


def test_a_missing_file_is_a_line(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="check the path"):
        inspect(str(tmp_path / "none.pdf"), count)
