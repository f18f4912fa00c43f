"""Going on from the shipped model: it starts from what ships, and ships only what is better."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from rag.errors import BadInput  # noqa: E402
from rag.neural import NeuralReader  # noqa: E402
from rag.train import shipped, tune  # noqa: E402
from rag.types import Excerpt  # noqa: E402
from tests.passages import PASSAGE  # noqa: E402
from tests.test_train import TOWNS, span, write  # noqa: E402


def test_the_float_model_says_what_the_shipped_file_says() -> None:
    reader = NeuralReader(tune.SHIPPED, 2)
    pair = reader.tokenizer.raw.encode("How long may maps be borrowed?", PASSAGE)
    inputs = {"input_ids": pair.ids, "attention_mask": pair.attention_mask, "token_type_ids": pair.type_ids}
    model = shipped.load(tune.SHIPPED / "model.onnx")
    with torch.inference_mode():
        ours = [out[0].numpy() for out in model(*(torch.tensor([row]) for row in inputs.values()))]
    for mine, theirs in zip(ours[:3], reader.model.run([inputs])[0][:3], strict=True):
        assert np.corrcoef(mine, theirs)[0, 1] > 0.99


def test_another_graph_is_no_start(tmp_path: Path) -> None:
    import onnx

    graph = onnx.helper.make_graph([], "empty", [], [])
    onnx.save(onnx.helper.make_model(graph), tmp_path / "model.onnx")
    with pytest.raises(SystemExit, match="not a reader of this shape"):
        shipped.load(tmp_path / "model.onnx")


def whole_sentences(folder: Path) -> Path:
    """Rows that want the whole sentence, which the shipped model does not give by itself."""
    rows = []
    for i, town in enumerate(TOWNS * 6):
        row = span(i, town)
        text = f"It has {i + 2} bridges in the town."
        rows.append(row | {"answers": [{"text": text, "answer_start": row["context"].index(text)}]})
    write(folder, "mine", rows)
    return folder / "mine.jsonl"


def test_nothing_is_shipped_that_is_not_better(tmp_path: Path, capsys) -> None:
    own = whole_sentences(tmp_path)
    assert tune.main(["--from-shipped", "--data", str(own), "--out", str(tmp_path / "new"), "--minutes", "0"]) == 1
    assert not (tmp_path / "new").exists()
    assert "was not written" in capsys.readouterr().err


@pytest.mark.slow
def test_a_better_model_is_shipped_and_opens(tmp_path: Path, capsys) -> None:
    own = whole_sentences(tmp_path)
    assert tune.main(["--from-shipped", "--data", str(own), "--out", str(tmp_path / "new"), "--minutes", "1"]) == 0
    found = NeuralReader(tmp_path / "new", 2).read("How many bridges has Alba?", [Excerpt("It has 9 bridges.", ())])
    assert found[0].spans
    said = capsys.readouterr().err
    before, after = (
        json.loads(line.split(" ", 1)[1]) for line in said.splitlines() if line[:6] in ("before", "after ")
    )
    assert after["own"]["f1"] > before["own"]["f1"]


def test_too_few_rows_and_questions_without_documents_are_refused(tmp_path: Path) -> None:
    write(tmp_path, "few", [span(0, "Alba")])
    with pytest.raises(BadInput, match="1 usable rows; at least 40"):
        tune.main(["--from-shipped", "--data", str(tmp_path / "few.jsonl")])
    write(tmp_path, "asked", [{"question": "How many bridges?", "answerable": False}])
    with pytest.raises(BadInput, match="say with --index"):
        tune.main(["--from-shipped", "--data", str(tmp_path / "asked.jsonl")])
