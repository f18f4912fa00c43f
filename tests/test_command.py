"""The command line as a user types it, on the real model."""

import json
import subprocess
import sys

import pytest

from rag.__main__ import main

HANDBOOK = {
    "leave.md": "# Leave\n\nEvery employee has 27 days of annual leave. Unused days lapse on 31 March.\n",
    "ferry.txt": " date 2026-03-02 The ferry to Orrin leaves Kelling Quay at 07:15. Bicycles cost £2.50 each way.",
    "page.html": "<!doctype html><title>Lost</title><p>Lost property is kept for 90 days.</p><script>x()</script>",
}


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cli")
    (folder / "docs").mkdir()
    for name, text in HANDBOOK.items():
        (folder / "docs" / name).write_text(text, "utf-8")
    assert main(["index", str(folder / "docs"), "--index", str(folder / "index")]) == 0
    return folder


@pytest.fixture
def rag(built, capsysbinary):
    def run(*args, code=0):
        assert main([*map(str, args), *(["--index", str(built / "index")] if args[0] != "read" else [])]) == code
        out, err = capsysbinary.readouterr()
        return out.decode(), err.decode()

    return run


def rows(path):
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def test_ask_prints_the_quote_and_where_it_stands(rag):
    out, err = rag("ask", "When does the ferry to Orrin leave?", "--threshold", "0")
    assert "[07:15]" in out
    assert "ferry.txt" in out
    assert err == ""


def test_ask_json_is_the_contract_and_verifies(rag, built, tmp_path):
    out, _ = rag("ask", "How long is lost property kept?", "--json", "--threshold", "0")
    answer = json.loads(out)
    assert answer["schema"] == "answer/1"
    for citation in answer["citations"]:
        source, _ = rag("source", citation["document_id"])
        assert source[citation["start"] : citation["end"]] == citation["quote"]
    (tmp_path / "answer.json").write_text(out)
    assert "exact" in rag("verify", tmp_path / "answer.json")[0]
    answer["citations"][0]["start"] += 1
    (tmp_path / "answer.json").write_text(json.dumps(answer))
    assert "moved" in rag("verify", tmp_path / "answer.json", code=3)[0]
    (proof,) = json.loads(rag("verify", tmp_path / "answer.json", "--json", code=3)[0])["citations"][:1]
    assert (proof["state"], proof["start"]) == ("moved", answer["citations"][0]["start"] - 1)


def test_source_is_exact_bytes(rag):
    out, _ = rag("source", "ferry.txt")
    assert out == HANDBOOK["ferry.txt"]
    assert rag("source", "none", code=1)[1].count("\n") == 1


def test_a_batch_answers_every_row_in_order_and_names_the_bad_ones(rag, tmp_path):
    (tmp_path / "in.jsonl").write_text(
        '{"id": "a", "question": "When does the ferry to Orrin leave?"}\n'
        '{"id": "b"}\n'
        "not json\n"
        '{"id": "c", "question": "And bicycles?", "history": ["What does the ferry cost?"]}\n'
        '{"id": "d", "question": "x", "history": [7]}\n'
    )
    _, err = rag("ask", "--batch", tmp_path / "in.jsonl", "--output", tmp_path / "out.jsonl", code=3)
    out = rows(tmp_path / "out.jsonl")
    assert [row["id"] for row in out] == ["a", "b", None, "c", "d"]
    assert out[0]["schema"] == out[3]["schema"] == "answer/1"
    assert [(row["line"], row["error"]["code"]) for row in (out[1], out[2], out[4])] == [
        (2, "bad_input"), (3, "bad_input"), (5, "bad_input"),
    ]  # fmt: skip
    assert "3 of 5" in err
    (tmp_path / "empty.jsonl").write_text("")
    rag("ask", "--batch", tmp_path / "empty.jsonl", "--output", tmp_path / "out.jsonl", code=1)


def test_search_gives_ranges_of_documents(rag, tmp_path, built):
    (tmp_path / "in.jsonl").write_text('{"id": 1, "question": "annual leave"}\n')
    for mode in ("dense", "lexical", "fused", "reranked"):
        rag(
            "search", "--batch", tmp_path / "in.jsonl", "--output", tmp_path / "out.jsonl", "--mode", mode, "--top", "2"
        )
        hits = rows(tmp_path / "out.jsonl")[0]["hits"]
        assert hits[0]["document_id"] == "leave.md"
        assert len(hits) <= 2
        assert set(hits[0]) == {"document_id", "start", "end", "score"}
    assert "leave.md" in rag("search", "annual leave")[0]


def test_read_reads_the_context_as_given(rag, tmp_path):
    context = "Intro\r\n\r\nThe fee is £12.50 a day. It is due in May."
    (tmp_path / "in.jsonl").write_text(
        json.dumps({"id": "x", "question": "How much is the fee?", "context": context})
        + '\n{"id": "y", "question": "?", "context": ""}\n{"id": "z", "question": "q"}\n'
    )
    rag("read", "--batch", tmp_path / "in.jsonl", "--output", tmp_path / "out.jsonl", "--threshold", "0", code=3)
    row, empty, bad = rows(tmp_path / "out.jsonl")
    assert set(row) == {
        "id", "text", "start", "end", "score", "no_answer_score", "answerable", "probability", "relevance", "spans",
        "quotes",
    }  # fmt: skip
    assert context[row["start"] : row["end"]] == row["text"]
    assert "£12.50" in row["text"]
    assert row["answerable"]
    assert context[row["quotes"][0]["start"] : row["quotes"][0]["end"]] == "The fee is £12.50 a day."
    assert (empty["text"], empty["answerable"], empty["quotes"]) == ("", False, [])
    assert bad["error"]["code"] == "bad_input"
    rag("read", "--batch", tmp_path / "in.jsonl", "--output", tmp_path / "out.jsonl", "--threshold", "1.1", code=3)
    row = rows(tmp_path / "out.jsonl")[0]
    assert (row["answerable"], row["quotes"]) == (False, [])
    assert "£12.50" in row["text"]


def test_status_and_remove(rag, tmp_path):
    assert json.loads(rag("status", "--json")[0])["documents"] == 3
    assert "documents  3" in rag("status")[0]
    assert "no such document" in rag("remove", "none", code=1)[1]


def test_wrong_usage_is_2_and_a_failure_1_with_one_line(built, capsys, tmp_path):
    for wrong in (
        ["ask"],
        ["ask", "q", "--batch", "x"],
        ["none"],
        ["search", "--batch", "x"],
        ["ask", "q", "--since", "May"],
    ):
        with pytest.raises(SystemExit) as stopped:
            main(wrong)
        assert stopped.value.code == 2
    (tmp_path / "empty").mkdir()
    capsys.readouterr()
    for failing in (
        ["ask", "q", "--index", str(tmp_path / "none")],
        ["ask", " ", "--index", str(built / "index")],
        ["ask", "x" * 2001, "--index", str(built / "index")],
        ["index", str(tmp_path / "none"), "--index", str(tmp_path / "i")],
        ["index", str(tmp_path / "empty"), "--index", str(tmp_path / "i")],
        ["ask", "q", "--index", str(built / "index"), "--model", "other/model"],
        ["ask", "q", "--index", str(built / "index"), "--history", str(tmp_path / "none.json")],
        ["verify", str(built / "docs/leave.md"), "--index", str(built / "index")],
        ["ask", "--batch", str(tmp_path / "none"), "--output", str(tmp_path / "o"), "--index", str(built / "index")],
    ):
        assert main(failing) == 1, failing
        err = capsys.readouterr().err
        assert err.startswith("rag: "), failing
        assert err.count("\n") == 1, failing


def test_bad_files_make_exit_code_3(tmp_path, capsys):
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs/good.txt").write_text("A good page.")
    (tmp_path / "docs/bad.txt").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(range(256)))
    (tmp_path / "docs/page.html").write_text("<html><p>Dogs travel free.</p><p hidden>Not so.</p></html>")
    assert main(["index", str(tmp_path / "docs"), "--index", str(tmp_path / "i")]) == 3
    out, err = capsys.readouterr()
    assert "2 added" in out
    assert "characters left out on purpose: hidden text 7 (see `rag inspect FILE`)" in out
    assert "bad.txt" in err


def test_a_question_in_a_fresh_process_loads_neither_torch_nor_gradio(built):
    code = (
        "import sys; from rag.__main__ import main; code = main(sys.argv[1:]);"
        "heavy = {'torch', 'gradio', 'transformers', 'sentence_transformers', 'fastapi'} & set(sys.modules);"
        "sys.exit(f'loaded {heavy}' if heavy else code)"
    )
    args = ["ask", "When does the ferry to Orrin leave?", "--index", str(built / "index")]
    done = subprocess.run([sys.executable, "-c", code, *args], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
