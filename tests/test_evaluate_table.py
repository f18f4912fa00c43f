"""`rag evaluate table`: every kind of set run, resumed and written, and the ways of ranking that it needs."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rag.errors import BadInput, RagError
from rag.evaluate import run, tables
from rag.evaluate.command import main
from rag.evaluate.datasets import read_passages
from rag.evaluate.markdown import at_threshold
from rag.evaluate.sets import FORCED, OPEN, runs
from rag.types import Document, Hit
from tests.encoder import HashingEncoder
from tests.evaluate_fake import FakeAnswerer, fake

TOWN = (
    "The bell of Orrin was cast in 1650 by two brothers.",
    "The ferry carries 40 bicycles on Sundays.",
    "Lamp oil is kept in the cellar of the museum.",
)
ASKED = ("When was the bell of Orrin cast?", "How many bicycles does the ferry carry?", "Where is lamp oil kept?")
ANSWERS = ("1650", "40", "the cellar of the museum")


def rows_to(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return path


def spans(prefix: str = "s", unanswerable: bool = False) -> list[dict[str, Any]]:
    rows = [
        {"id": f"{prefix}{i}", "question": ASKED[i], "context": TOWN[i], "is_impossible": False,
         "answers": [{"text": ANSWERS[i], "answer_start": TOWN[i].index(ANSWERS[i])}]}
        for i in range(3)
    ]  # fmt: skip
    if unanswerable:
        rows.append(
            {"id": "n", "question": "Who painted it?", "context": TOWN[0], "answers": [], "is_impossible": True}
        )
    return rows


def candidates() -> list[dict[str, Any]]:
    return [
        {"id": f"c{i}", "question": asked, "candidates": [{"text": t, "label": int(t == right)} for t in TOWN]}
        for i, (asked, right) in enumerate(zip(ASKED, TOWN, strict=True))
    ]


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in the layout of --data with five small sets; the encoder is a small one."""
    monkeypatch.setattr("rag.embed.open_encoder", lambda *_: HashingEncoder())
    folder = tmp_path / "data"
    rows_to(folder / "eval/squad1_dev_full.jsonl.gz", spans())
    rows_to(folder / "eval/squad_paraphrase_eval.jsonl.gz", spans("dev_orig:") + spans("dev_para:"))
    for half in ("1", "2_rebuilt"):
        rows_to(folder / f"eval/squad2_dev_half{half}.jsonl.gz", spans(unanswerable=True))
    rows_to(folder / "eval/multispanqa_valid.jsonl.gz", spans())
    rows_to(folder / "eval/wikiqa_test.jsonl.gz", candidates())
    beir = folder / "retrieval/covid_faq"
    rows_to(beir / "corpus.jsonl", [{"_id": str(i), "title": "", "text": text} for i, text in enumerate(TOWN)])
    rows_to(beir / "queries.jsonl", [{"_id": str(i), "text": text} for i, text in enumerate(ASKED)])
    (beir / "qrels.tsv").write_text("".join(f"{i}\t{i}\t1\n" for i in range(3)), "utf-8")
    return folder


def test_a_table_is_run_taken_up_again_and_written(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    args = ["table", "--data", str(data), "--out", str(out), "--reader", "overlap", "--only"]
    assert main([*args, "squad1"]) == 0  # taken up below, where it stopped
    assert main([*args, "", "--only", "typos"]) == 3  # most sets are not there
    text, complaints = capsys.readouterr()
    before = (out / "table.md").read_text("utf-8")
    assert text.endswith(before)
    assert complaints.count("overlap/squad1_dev_full: ") == 1
    assert "skipped eval/qed_nq_dev.jsonl.gz: no such set" in complaints
    lines = text.splitlines()
    for start in (
        "| squad1_dev_full | overlap | 3 | 33.3 (6.1–79.2) | 73.7 (",
        "| multispanqa_valid | overlap | 3 | ",
        "| squad2_dev_half2_rebuilt, best threshold of half 1 | overlap | 4 | ",
        "| squad1_dev_full, `--typos --sample 2000` | overlap | 3 | ",
        "| squad_paraphrase_eval, originals and paraphrases | overlap | 3 | ",
        "| wikiqa_test | 3 | BM25 alone | 1.000 (0.439–1.000) | 1.000 (",
        "| wikiqa_test | 3 | vectors alone | ",
        "| wikiqa_test | 3 | overlap | ",
        "| covid_faq | 3 | nDCG@10 | 1.000 (0.439–1.000) | ",
        "| lexical | 3 | 100.0 | 100.0 | 100.0 | – | – | – | ",
        "| overlap | 3 | ",
    ):
        assert any(line.startswith(start) for line in lines), start
    assert "`rag evaluate run D/eval/squad1_dev_full.jsonl.gz --open --threshold 0 --sample 1000`" in text
    assert "rag evaluate run D/retrieval/covid_faq --retrieval HOW --sample 1000" in text

    def never(*_: object, **__: object) -> None:
        raise AssertionError("a finished run was done again")

    monkeypatch.setattr(tables, "run", never)
    capsys.readouterr()
    assert main([*args, "squad"]) == 0
    assert capsys.readouterr().out == (out / "table.md").read_text("utf-8") == before
    with pytest.raises(BadInput, match=r"holds figures with seed 0; choose another --out"):
        main([*args, "squad", "--seed", "1"])


def test_an_index_that_was_stopped_half_way_is_made_again(data: Path, tmp_path: Path) -> None:
    (tmp_path / "out/indexes/covid_faq.part/store.sqlite").mkdir(parents=True)
    args = ["table", "--data", str(data), "--out", str(tmp_path / "out"), "--reader", "overlap", "--only"]
    assert main([*args, "covid_faq"]) == 0
    assert [p.name for p in (tmp_path / "out/indexes").iterdir()] == ["covid_faq"]


def test_every_command_of_the_table_is_one_that_the_grammar_takes(data: Path, capsys: Any) -> None:
    import shlex

    from rag.evaluate.grammar import grammar

    for made in runs(rereads=True):
        given = shlex.split(made.command(seed=3))[2:]
        parsed = grammar().parse_args(given)
        assert parsed.questions == f"D/{made.file}"
        wanted = {
            "open": made.open,
            "mode": made.mode,
            "retrieval": made.retrieval,
            "reread": made.reread,
            "sample": made.sample,
            "threshold": made.threshold,
            "several": made.several,
            "typos": made.typos,
        }
        assert {name: getattr(parsed, name) for name in wanted} == wanted  # fmt: skip


def test_names_of_runs_are_their_folders_and_so_unique() -> None:
    names = [made.name for made in runs(rereads=True)]
    assert len(names) == len(set(names))
    assert {FORCED[0].name, OPEN.name, "bioasq_8b9b_abstracts-reread50"} <= set(names)


def test_candidate_sentences_are_ranked_by_a_search_over_them_all(tmp_path: Path) -> None:
    path = rows_to(tmp_path / "c.jsonl", candidates())
    assert [d.text for d in read_passages(path, "sentences")] == list(TOWN)
    summary = run(path, build_index=fake, retrieval="lexical", out=tmp_path)
    assert (summary.mode, summary.retrieval, summary.metrics["mrr"].value) == ("sentences", "lexical", 1)
    first = json.loads((tmp_path / "results.jsonl").read_text("utf-8").splitlines()[0])
    assert first["candidates"][0]["text"] == TOWN[0]
    assert first["candidates"][-1]["score"] == -1  # shares no word with the question
    with pytest.raises(BadInput, match="left out"):
        run(path, build_index=fake, retrieval="reranked")


def test_rereading_judges_the_first_hits_and_keeps_the_order_of_the_rest(tmp_path: Path) -> None:
    class Ranked(FakeAnswerer):
        """Fused: a, b, c, d; the reader thinks the opposite."""

        def search(self, question: str, filters: Any = None, mode: str = "reranked", top: int = 10) -> list[Hit]:
            hits = [Hit(name, 0, 5, "lamps", ()) for name in "abcd"][:top]
            return hits[::-1] if mode == "reranked" else hits

    folder = tmp_path / "set"
    rows_to(folder / "corpus.jsonl", [{"_id": name, "title": "", "text": "lamps"} for name in "abcd"])
    rows_to(folder / "queries.jsonl", [{"_id": "1", "text": "lamps"}])
    (folder / "qrels.tsv").write_text("1\ta\t1\n", "utf-8")
    engine = Ranked(fake([Document(name, "lamps") for name in "abcd"]).index)

    def order(**how: Any) -> list[str]:
        run(folder, engine, out=tmp_path, **how)
        row: Callable[[str], Any] = json.loads
        return [h["document_id"] for h in row((tmp_path / "results.jsonl").read_text("utf-8"))["hits"]]

    assert order(retrieval="fused") == list("abcd")
    assert order(retrieval="reranked") == list("dcba")
    assert order(retrieval="reranked", reread=2) == list("bacd")
    assert order(retrieval="reranked", reread=2, top=3) == list("bac")


def test_figures_at_a_threshold_by_hand() -> None:
    scores: list[dict[str, Any]] = [
        {"confidence": 0.9, "answerable": True, "span_em": 1.0, "span_f1": 1.0},
        {"confidence": 0.4, "answerable": True, "span_em": 0.0, "span_f1": 0.5},
        {"confidence": 0.8, "answerable": False},
        {"confidence": 0.1, "answerable": False},
    ]
    assert at_threshold(scores, 0.8) == (0.5, 0.5, 0.5, 0.5)  # the cut itself answers
    assert at_threshold(scores, 0.3) == (0.5, 0.625, 0.75, 0.5)
    assert at_threshold(scores, 0.95) == (0.5, 0.5, 0, 1)


def test_the_curves_of_runs_are_drawn(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from xml.etree import ElementTree

    path = rows_to(tmp_path / "s.jsonl", spans(unanswerable=True))
    for name, engine in (("a", fake(threshold=0)), ("b", fake(threshold=0, broken="reader"))):
        run(path, engine, out=tmp_path / name)
    out = tmp_path / "curve.svg"
    assert main(["curve", f"<first> & best={tmp_path / 'a'}", str(tmp_path / "b"), "--output", str(out)]) == 0
    assert capsys.readouterr().out == f"{out}: <first> & best, b\n"
    svg = ElementTree.fromstring(out.read_text("utf-8"))
    assert "<first> & best: 25.0 % wrong when 100 % are answered" in "".join(svg.itertext())
    lines = [line.get("points", "") for line in svg.iter("{http://www.w3.org/2000/svg}polyline")]
    assert [len(line.split()) for line in lines] == [4, 4]
    (tmp_path / "c").mkdir()
    (tmp_path / "c/summary.json").write_text("{}", "utf-8")
    for folder, words in (("c", "not the summary"), ("d", "no such file")):
        with pytest.raises(RagError, match=words):
            main(["curve", str(tmp_path / folder), "--output", str(out)])
    with pytest.raises(BadInput, match="too many"):
        main(["curve", *["x"] * 5, "--output", str(out)])
