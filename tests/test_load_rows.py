"""A JSONL file of any size: its documents are made from the file one by one, and only its ids are held."""

from __future__ import annotations

import json
import tracemalloc
from pathlib import Path

import pytest

from rag.errors import LoadError
from rag.load import has_rows, load, load_rows


def row(number: int, text: str = "A sentence that fills a row. ") -> bytes:
    return json.dumps({"_id": f"d{number}", "text": text * 70}).encode() + b"\n"


def test_a_large_file_costs_little_memory(tmp_path: Path) -> None:
    file = tmp_path / "large.jsonl"
    with file.open("wb") as stream:
        stream.writelines(row(number) for number in range(10_000))  # 20 MB
    tracemalloc.start()
    loaded = load_rows(file, "large.jsonl")
    seen = sum(document.id == f"d{number}" for number, document in enumerate(loaded.documents))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert seen == len(loaded.documents) == 10_000
    assert peak < 4 << 20 < file.stat().st_size / 4


def test_the_documents_are_those_of_the_bytes(tmp_path: Path) -> None:
    file = tmp_path / "a.jsonl"
    data = b"\xef\xbb\xbf" + row(1) + b"\n{bad\n" + row(2) + row(1) + row(3).rstrip()
    file.write_bytes(data)
    assert has_rows(file)
    streamed, whole = load_rows(file, "a.jsonl", collection="c"), load(data, "a.jsonl", collection="c")
    assert list(streamed.documents) == list(whole.documents)
    assert [document.id for document in whole.documents] == ["d1", "d2", "d3"]
    assert [problem.split(":")[0] for problem in streamed.problems] == ["line 3", "line 5"]
    assert streamed.problems == whole.problems
    assert (whole.documents[-1].id, [d.id for d in whole.documents[1:]]) == ("d3", ["d2", "d3"])


def test_a_row_without_end_and_a_flood_of_bad_rows_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rag.load.jsonl._LONGEST", 1000)
    loaded = load(b'{"_id": "x", "text": "' + b"a" * 5000 + b'"}\n{"_id": "y", "text": "b"}\n', "a.jsonl")
    assert [document.id for document in loaded.documents] == ["y"]
    assert loaded.problems == ("line 1: longer than 0 MiB; the row is skipped",)
    loaded = load(b'{"_id": "y", "text": "b"}\n' + b"x\n" * 1500, "a.jsonl")
    assert len(loaded.problems) == 1001
    assert loaded.problems[-1] == "1500 rows are skipped; the first are named"


def test_a_file_that_changed_after_the_first_look_is_said(tmp_path: Path) -> None:
    file = tmp_path / "a.jsonl"
    file.write_bytes(row(1) + row(2))
    documents = load_rows(file, "a.jsonl").documents
    file.write_bytes(row(1) + b"x" * 100)
    with pytest.raises(LoadError, match="changes while it is read"):
        list(documents)
