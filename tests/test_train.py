"""The recipe of the reader: rows are checked, nothing leaks, a killed run ends like one that was not, export agrees."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import onnx  # noqa: E402
from onnx.numpy_helper import to_array  # noqa: E402
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors  # noqa: E402

from rag.train import data, examples, export, loop, negatives, selftrain, validate  # noqa: E402
from rag.train.loop import Budget, Recipe, Run  # noqa: E402
from rag.train.model import Reader, Shape  # noqa: E402

TINY = Shape(vocabulary=64, hidden=16, layers=2, heads=2, inner=32, positions=64)
RECIPE = Recipe(batch=4, chunk=16, longest=48, bf16=False)
TOWNS = ("Alba", "Bergen", "Corvo", "Delft", "Evora", "Fano", "Gent", "Hobro")


def tokenizer() -> Tokenizer:
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *"the town of has bridges a river where how many ? . in was".split()]
    made = Tokenizer(models.WordPiece({w: i for i, w in enumerate(dict.fromkeys(words))}, unk_token="[UNK]"))
    made.normalizer = normalizers.BertNormalizer()
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    made.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    return made


def span(i: int, town: str, shift: int = 0) -> dict:
    context = f"The town of {town} was old. It has {i + 2} bridges in the town. A river was in the town."
    text = f"{i + 2} bridges"
    return {"id": f"{town}-{i}", "question": f"How many bridges has {town}?", "context": context, "title": town,
            "answers": [{"text": text, "answer_start": context.index(text) + shift}]}  # fmt: skip


def write(folder: Path, name: str, rows: list[dict | str]) -> None:
    lines = (row if isinstance(row, str) else json.dumps(row) for row in rows)
    (folder / f"{name}.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")


@pytest.fixture
def corpus(tmp_path: Path) -> data.Corpus:
    write(tmp_path, "a", [span(i, town) for town in TOWNS for i in range(4)])
    lone = [
        {
            "id": f"s-{i}",
            "question": f"Where is {town}?",
            "candidates": [{"text": f"{town} has {i} bridges.", "label": 1}],
        }
        for i, town in enumerate(TOWNS)
    ]
    write(tmp_path, "s", lone)
    return data.load(tmp_path, {"a": (0.7, None), "s": (0.3, None)}, share=0.2)


def run(corpus: data.Corpus, work: Path, recipe: Recipe = RECIPE, every: float = 1e9, total: int = 40) -> Run:
    torch.manual_seed(7)
    return Run(Reader(TINY), corpus, tokenizer(), recipe, Budget(examples=total), work, every)


def test_bad_rows_are_counted_named_and_skipped(tmp_path: Path) -> None:
    impossible = {**span(1, "Alba"), "is_impossible": True}
    moved = span(1, "Alba", shift=1)
    write(tmp_path, "a", [span(0, "Alba"), moved, "{broken", {"id": "x"}, impossible, span(2, "Fano")])
    found = data.load(tmp_path, {"a": (1.0, None)})
    assert found.bad == {"a": 4}
    assert "a:2" in found.named[0]
    assert sum(len(rows) for side in (found.train, found.held) for rows in side.values()) == 2


def test_no_set_is_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="no training set"):
        data.load(tmp_path)


def test_the_split_is_by_article(corpus: data.Corpus) -> None:
    train, held = ({row.group for row in side["a"]} for side in (corpus.train, corpus.held))
    assert train
    assert held
    assert not train & held


def test_lone_sentences_get_neighbours_and_keep_their_evidence() -> None:
    texts = [f"Sentence {i}." for i in range(9)]
    raws = [{"id": f"s-{i}", "question": "q?", "candidates": [{"text": t, "label": 1}]} for i, t in enumerate(texts)]
    for text, row in zip(texts, data.sentence_rows("s", raws), strict=True):
        assert [row.context[a:b] for a, b in row.evidence] == [text]
        assert row.answerable
        assert not row.answers


def test_our_own_questions_take_their_passage_from_its_set(tmp_path: Path, monkeypatch) -> None:
    write(tmp_path, "a", [span(i, town) for town in TOWNS for i in range(4)])
    asked = [
        {"passage": "a/Alba-1", "question": "How often can one cross the water?", "start": 33, "end": 42},
        {"passage": "a/Alba-1", "question": "How many bridges had Alba lost?"},
        {"passage": "a/Ghent-9", "question": "How old is Ghent?"},
    ]
    (tmp_path / "questions.jsonl").write_text("".join(json.dumps(row) + "\n" for row in asked), "utf-8")
    monkeypatch.setattr(data, "WRITTEN", tmp_path)
    found = data.load(tmp_path, {"a": (0.7, None), "written": (0.3, None)}, share=0.2)
    first, second = sorted(found.train["written"] + found.held["written"], key=lambda row: row.id)
    assert first.context == second.context == span(1, "Alba")["context"]
    assert [first.context[a:b] for a, b in first.answers] == ["3 bridges"]
    assert first.group == "Alba"
    assert not second.answerable
    assert found.bad == {"written": 1}
    assert "a/Ghent-9" in found.named[0]


def test_what_we_wrote_has_places_and_no_passage() -> None:
    rows = [json.loads(line) for line in (data.WRITTEN / "questions.jsonl").read_text("utf-8").splitlines()]
    assert len(rows) > 10_000
    assert {key for row in rows for key in row} == {"passage", "question", "start", "end"}
    assert all(0 <= row["start"] < row["end"] for row in rows if "start" in row)
    assert 0.45 < sum("start" in row for row in rows) / len(rows) < 0.55


def test_a_document_that_answers_teaches_relevance_and_no_place(tmp_path: Path) -> None:
    folder = tmp_path / "retrieval" / "faq"
    folder.mkdir(parents=True)
    texts = [f"{town} has a bridge. It is {'long and ' * 60}old." for town in TOWNS]
    write(
        folder, "corpus", [{"_id": town, "title": town, "text": text} for town, text in zip(TOWNS, texts, strict=True)]
    )
    write(folder, "queries", [{"_id": f"q-{town}", "text": f"What of {town}?"} for town in TOWNS])
    (folder / "qrels.tsv").write_text("".join(f"q-{town}\t{town}\t1\n" for town in TOWNS), "utf-8")
    (tmp_path / "train").mkdir()
    found = data.load(tmp_path, {"faq": (1.0, None)}, share=0.2)
    rows = found.train["faq"]
    assert all(row.whole and row.answerable and row.context.startswith(f"{row.id[2:]}. ") for row in rows)
    example = examples.positive(rows[0], 120, random.Random(0))
    assert example.answerable
    assert (example.answer, example.evidence) == (None, ())
    assert rows[0].context.startswith(example.context)
    drawn = examples.Source(found, 1, 64).chunk(0, 1.0)
    assert {one.answerable for one in drawn} == {True, False}
    out = Reader(TINY)(*(torch.ones(2, 8, dtype=torch.int64),) * 3)
    batch = examples.collate([(e, tokenizer().encode(e.question, e.context)) for e in drawn if e.answerable][:2], 8)
    assert loop.losses(out, batch, RECIPE)["evidence"].item() == 0


def test_a_question_with_several_right_documents_is_shown_none_of_them_as_wrong(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(data, "WRITTEN", tmp_path)
    (tmp_path / "pages").mkdir()
    write(tmp_path / "pages", "corpus", [{"_id": f"site/{i}", "title": "", "text": f"Bridge {i}."} for i in range(6)])
    write(tmp_path / "pages", "queries", [{"_id": "q", "text": "Which bridge is old?"}])
    (tmp_path / "pages" / "qrels.tsv").write_text("q\tsite/1\t1\nq\tsite/2\t1\nq\tsite/3\t0\n", "utf-8")
    rows = data.read(tmp_path / "train", "pages", None, data.Corpus({}, {}, {}))
    assert [(row.context, row.group) for row in rows] == [("Bridge 1.", "site"), ("Bridge 2.", "site")]
    others = [replace(rows[0], id=str(i), question=f"And {i}?", context=f"Bridge {i}.") for i in (4, 5)]
    near = negatives.NearMisses([*rows, *others])
    assert {near.draw(rows[0], random.Random(seed)) for seed in range(30)} == {"Bridge 4.", "Bridge 5."}


def test_the_pages_that_we_wrote_are_a_retrieval_set() -> None:
    documents: set[str] = set()
    for name in ("pages", "pages-held"):
        rows = data.document_rows(name, data.WRITTEN / name)
        assert {row.group for row in rows}.isdisjoint(documents)
        documents |= {row.group for row in rows}
        assert len(rows) > 300
        assert all(row.whole and row.question and len(row.context) > 40 for row in rows)


def test_sentences_cover_the_text() -> None:
    text = 'He said "No." Then he left.\n\nAt 3.5 km it ended! '
    assert "".join(text[a:b] for a, b in data.sentences(text)) == text
    assert len(data.sentences(text)) == 3


@pytest.mark.parametrize("limit", [1, 30, 60, 1000])
def test_a_crop_keeps_the_answer(limit: int) -> None:
    row = data.span_row("a", span(5, "Alba"))
    for seed in range(20):
        made = examples.positive(row, limit, random.Random(seed))
        assert made.answer
        assert made.context[slice(*made.answer)] == "7 bridges"
        assert made.context[slice(*made.evidence[0])].strip() == "It has 7 bridges in the town."


def test_labels_are_the_answers_tokens() -> None:
    made = examples.positive(data.span_row("a", span(5, "Alba")), 1000, random.Random(0))
    encoding = tokenizer().encode(made.question, made.context)
    batch = examples.collate([(made, encoding)], 48)
    first, last = encoding.offsets[batch.start[0]], encoding.offsets[batch.end[0]]
    assert made.context[first[0] : last[1]] == "7 bridges"
    assert batch.passage[0, batch.start[0]]
    assert not batch.passage[0, 0]
    cut = examples.collate([(made, encoding)], 16)  # the answer lies in the tail that is lost
    assert cut.start[0] == -1
    assert cut.input_ids[0, 15] == 3


def test_negatives_do_not_hold_the_answer(corpus: data.Corpus) -> None:
    near = negatives.NearMisses(corpus.train["a"])
    for row in corpus.train["a"]:
        answer = row.context[slice(*row.answers[0])]
        passage = near.draw(row, random.Random(3))
        assert passage is None or answer not in passage
        rest = negatives.without_answer(row)
        assert rest is None or answer not in rest
    assert negatives.edited(corpus.train["a"][0], random.Random(0)) != corpus.train["a"][0].question
    assert negatives.mistyped("bridges", random.Random(1), 1.0) != "bridges"


def test_a_chunk_depends_on_nothing_but_its_number(corpus: data.Corpus) -> None:
    one, two = (examples.Source(corpus, seed=1, size=16) for _ in range(2))
    one.chunk(0, 0.0)
    assert one.chunk(3, 0.5) == two.chunk(3, 0.5)
    assert one.chunk(1, 0.0) != one.chunk(2, 0.0)


def test_self_training_stays_inside_the_known_sentence(corpus: data.Corpus) -> None:
    rows = corpus.train["s"]
    found = selftrain.answers(Reader(TINY).eval(), tokenizer(), rows, 0.0)
    assert found.keys() == {row.id for row in rows}
    for row in selftrain.labelled(rows, found):
        (start, end), sentence = row.answers[0], row.evidence[0]
        assert sentence[0] <= start < end <= sentence[1]
    assert all(not row.answers for row in selftrain.labelled(rows, {}))


def test_a_killed_run_ends_like_one_that_was_not(
    corpus: data.Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "SURE", 0.0)  # so that the killed run has labels to find again
    whole = run(corpus, tmp_path / "whole").train().state_dict()
    killed = run(corpus, tmp_path / "cut", every=0.0)  # a checkpoint after every step
    step = killed.step

    def dies(batch: examples.Batch) -> dict[str, float]:
        if killed.at.steps == 9:  # in the middle of the third chunk, after the first self-training
            raise KeyboardInterrupt
        return step(batch)

    killed.step = dies  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        killed.train()
    again = run(corpus, tmp_path / "cut")
    resumed = again.train().state_dict()
    assert again.at.examples == 40
    for name, value in whole.items():
        assert torch.equal(value, resumed[name]), name


def test_another_recipe_is_refused(corpus: data.Corpus, tmp_path: Path) -> None:
    run(corpus, tmp_path, total=4).train()
    with pytest.raises(SystemExit, match="another recipe"):
        run(corpus, tmp_path, replace(RECIPE, rate=1e-5)).train()


def test_export_agrees_with_torch(tmp_path: Path) -> None:
    ort = pytest.importorskip("onnxruntime")
    torch.manual_seed(0)
    model = Reader(TINY).eval()
    tokenizer().save(str(tmp_path / "tokenizer.json"))
    made = examples.positive(data.span_row("a", span(5, "Alba")), 1000, random.Random(0))
    sample = list(examples.batches([made] * 4, tokenizer(), 2, 48, "sample"))
    for int8, room in ((False, 1e-5), (True, 0.3)):
        out = tmp_path / str(int8)
        export.ship(model, tmp_path / "tokenizer.json", out, RECIPE, {"data": ["a"]}, sample, int8)
        session = ort.InferenceSession(out / "model.onnx")
        facts = json.loads((out / "reader.json").read_text("utf-8"))
        assert [o.name for o in session.get_outputs()] == facts["outputs"]
        assert facts["weight_bits"] == (7 if int8 else 32)
        weights = [v for i in onnx.load(out / "model.onnx").graph.initializer if (v := to_array(i)).dtype == np.int8]
        assert bool(weights) == int8
        assert all(np.abs(each.astype(int)).max() <= 64 for each in weights)  # two products with 255 fit in 16 bits
        for b, t in ((1, 5), (3, 24)):
            ids = np.random.default_rng(t).integers(4, 20, (b, t))
            mask = np.ones_like(ids)
            mask[-1, t // 2 :] = 0
            inputs = dict(zip(export.INPUTS, (ids, mask, np.zeros_like(ids)), strict=True))
            expected = validate.torch_predict(model)(*inputs.values())
            for ours, theirs in zip(session.run(None, inputs), expected, strict=True):
                assert ours.shape == theirs.shape
                assert np.abs(ours - theirs).max() < room


def test_validation_figures(corpus: data.Corpus) -> None:
    assert validate.auc(np.array([3.0, 1.0, 2.0]), np.array([True, False, False])) == 1.0
    assert validate.best_span(np.array([0.0, 5.0, 1.0]), np.array([9.0, 1.0, 2.0]))[:2] == (0, 0)
    rows = validate.rows_for(corpus, 4)
    figures = validate.validate(validate.torch_predict(Reader(TINY).eval()), tokenizer(), rows, 48)
    assert figures["rows"] == len(rows)
    assert 0 <= figures["em"] <= figures["f1"] <= 100
