"""The commands that chose the order of hits and the price of a span's length."""

import json

import numpy as np
import pytest

from rag.neural import SHIPPED, NeuralReader
from rag.spans import LENGTH, Logits
from rag.train import length, order
from rag.types import Excerpt
from tests.passages import PASSAGE


def test_the_mix_orders_what_was_judged_and_leaves_the_rest():
    rows = order.Judged(
        [["miss 0"], ["b"], ["a"]], {"a": 1.0}, np.array([[0.9, 0.1, -5], [0.8, 0.2, 0], [0.7, 0.3, 4]])
    )
    assert rows.ndcg(1, 0, 3, reader=0) == pytest.approx(0.5)  # third: 1 / log2(4)
    assert rows.ndcg(1, 0, 3) == 1.0
    assert rows.ndcg(100, 0, 3) == pytest.approx(0.5)
    assert rows.ndcg(0, 100, 3) == 1.0
    assert rows.ndcg(0, 100, 2) == pytest.approx(0.5)  # the third was not judged


def test_hits_are_read_once_and_then_counted_again(tmp_path, monkeypatch, capsys):
    home = tmp_path / "practice" / "clinic"
    (home / "docs").mkdir(parents=True)
    (home / "docs" / "maps.txt").write_text(PASSAGE)
    (home / "docs" / "other.txt").write_text("The gate opens at seven. Dogs stay outside.")
    gold = next(s for s in PASSAGE.split(". ") if "Odalys" in s)
    good = {"id": "1", "question": "Who keeps the key of the map cabinet?", "answers": ["Odalys Ferrand"]}
    good["gold"] = [{"document_id": "maps.txt", "quote": gold}]
    none = {"id": "2", "question": "Who owns the moon?", "answerable": False}
    (home / "questions.jsonl").write_text("".join(json.dumps(row) + "\n" for row in (good, none)))
    monkeypatch.setattr(order, "SAMPLES", tmp_path)
    monkeypatch.setattr(order, "PRACTICE", ("clinic",))
    monkeypatch.setattr(order, "PUBLIC", ())
    monkeypatch.setattr(order, "HANDBOOK", "clinic")
    out = tmp_path / "read.jsonl"
    asked = ["--data", str(tmp_path), "--out", str(out)]
    assert order.main(asked) == 0
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    assert len(rows) == 1  # the other question has no passage to find
    assert sorted(rows[0]["relevant"]) == ["item 0"]
    assert ["item 0"] in rows[0]["names"]
    first = capsys.readouterr().out
    assert f"| {order.FUSED:g} | {order.DENSE:g} | +" in first
    monkeypatch.setattr(order, "judge", None)  # would fail
    assert order.main(asked) == 0
    assert capsys.readouterr().out == first


def test_a_longer_span_has_to_be_worth_its_price():
    text = "red blue green"
    offsets = np.array([[0, 3], [4, 8], [9, 14]])
    window = Logits(offsets, np.array([3.0, 0, 0]), np.array([2.0, 0, 2.15]), null=0.0)
    assert length.best_text(text, [window], 0.0) == text
    assert length.best_text(text, [window], 0.1) == "red"
    assert length.best_text(text, [], 0.1) == ""


def test_every_price_gets_its_figures(tmp_path, capsys):
    start = PASSAGE.index("Odalys Ferrand")
    row = {"id": "1", "question": "Who keeps the key of the map cabinet?", "context": PASSAGE}
    row["answers"] = [{"text": "Odalys Ferrand", "answer_start": start}]
    (tmp_path / "rows.jsonl").write_text(json.dumps(row) + "\n")
    assert length.main([str(tmp_path / "rows.jsonl")]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2 + len(length.PRICES)
    reader = NeuralReader(SHIPPED, 1)
    asked = row["question"], [Excerpt(PASSAGE, ())]
    best = reader.read(*asked)[0].spans[0]
    assert length.best_text(PASSAGE, reader.logits(*asked)[0], LENGTH) == PASSAGE[best.start : best.end]


def test_the_file_that_ships_stands_beside_its_weights_in_float32(tmp_path, capsys):
    pytest.importorskip("torch")
    from rag.train import validate
    from tests.test_train import TOWNS, span, write

    write(tmp_path, "squad1_train_part", [span(i, town) for i, town in enumerate(TOWNS)])
    assert validate.main(["--data", str(tmp_path), "--rows", "4"]) == 0
    rows = [line.split(" | ") for line in capsys.readouterr().out.splitlines()[2:]]
    assert [row[0] for row in rows] == ["| int8", "| the same in float32"]
    assert rows[0][1] == rows[1][1] != "0"
    assert abs(float(rows[0][3]) - float(rows[1][3])) <= 25  # F1 of the same weights: no more than one of four apart
