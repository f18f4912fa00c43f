"""What the chat page asks of the server: answers are kept, belong to their asker, and hide what must be hidden."""

from __future__ import annotations

import dataclasses
import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from rag.keys import Keys
from rag.settings import Settings
from rag.state import State
from rag.web.portal import create_app
from rag.web.takeaway import marked
from tests.fakes import HANDBOOK, LEAVE, MEMO, PAYLOAD, FakeAnswerer

HOME = "http://127.0.0.1:7860"
LEAVE_ASKED = "How long is parental leave?"


@pytest.fixture
def answerer() -> FakeAnswerer:
    return FakeAnswerer()


@pytest.fixture
def client(answerer: FakeAnswerer, tmp_path: Path) -> Iterator[TestClient]:
    app = create_app(answerer, Settings(index=str(tmp_path)))  # type: ignore[arg-type]
    with TestClient(app, base_url=HOME, client=("127.0.0.1", 1)) as client:
        yield client


def ask(client: TestClient, question: str, **more: Any) -> list[dict[str, Any]]:
    """The lines that come back."""
    response = client.post("/chat/ask", json={"question": question, **more})
    assert response.status_code == 200, response.text
    return [json.loads(line) for line in response.text.splitlines()]


def opened(client: TestClient, conversation: str) -> list[dict[str, Any]]:
    """The turns of a conversation as they are shown now."""
    return client.get(f"/chat/conversations/{conversation}").json()["turns"]


def test_an_answer_comes_in_lines_and_is_kept(client: TestClient, answerer: FakeAnswerer) -> None:
    first, evidence, *stages, last = ask(client, LEAVE_ASKED)
    assert (first["kind"], [s["stage"] for s in stages], last["kind"]) == ("asked", ["retrieve", "read"], "answer")
    assert evidence["passages"][0]["title"] in (HANDBOOK.title, MEMO.title)
    assert [c["proof"]["state"] for c in last["turn"]["answer"]["citations"]] == ["exact", "exact"]
    ask(client, "And for sailors?", conversation=first["conversation"])
    ask(client, "What is the daily meal allowance?", conversation=first["conversation"], alone=True)
    histories = [[turn.content for turn in history] for _, history in answerer.asked]
    assert histories == [[], [LEAVE_ASKED, "26 weeks"], []]
    turns = opened(client, first["conversation"])
    assert [turn["question"] for turn in turns] == [
        LEAVE_ASKED,
        "And for sailors?",
        "What is the daily meal allowance?",
    ]
    assert turns[0] == last["turn"]
    for citation in turns[0]["answer"]["citations"]:
        held = answerer.index.document(citation["document_id"])
        assert held.text[citation["start"] : citation["end"]] == citation["quote"]


def test_what_cannot_be_asked_is_one_line(client: TestClient) -> None:
    assert ask(client, "  ") == [{"kind": "problem", "code": "bad_input", "message": "the question is empty; type one"}]
    (lost,) = ask(client, "Who?", conversation="0" * 32)
    assert lost["code"] == "not_found"
    assert client.get("/chat/conversations").json() == {"conversations": []}
    broken = ask(client, "break")[-1]
    assert "secret" not in json.dumps(broken)
    assert client.post("/chat/ask", json={"question": "x", "groups": ["board"]}).status_code == 422


def test_silence_names_the_words_that_occur_nowhere(client: TestClient) -> None:
    answer = ask(client, "Who paints the zeppelin at the Harbour Library?")[-1]["turn"]["answer"]
    assert answer["missing"] == ["paints", "zeppelin"]
    assert [near["title"] for near in answer["nearest"]] == ["Harbour Library staff handbook"] * 3


def test_limits_become_filters_typed_or_chosen(client: TestClient, answerer: FakeAnswerer) -> None:
    first = ask(client, "What is the daily allowance in the Travel rules 2025 since March 2020?")[0]
    assert first["filters"] == {"documents": ["travel/2025.md"], "since": "2020-03-01", "titles": ["Travel rules 2025"]}
    assert answerer.asked[-1][0] == "What is the daily allowance?"
    chosen = {"collections": ["handbook"], "until": "2024-01-01"}
    assert ask(client, "What is new since March?", filters=chosen, alone=True)[0]["filters"] == chosen
    assert answerer.asked[-1][0] == "What is new since March?"


# ---- what is another's, or hidden


@pytest.fixture
def two(answerer: FakeAnswerer, tmp_path: Path) -> Iterator[tuple[TestClient, TestClient, TestClient]]:
    """Ines of the board, Otto of no group, and a reviewer, over a handbook that only the board may read."""
    answerer.index.held[HANDBOOK.id] = dataclasses.replace(HANDBOOK, groups=("board",))
    settings = Settings(index=str(tmp_path), login=("keys",), keys=str(tmp_path / "keys.sqlite"))
    keys = Keys(tmp_path / "keys.sqlite")
    secrets = [
        keys.add(name, scopes, groups)[1]
        for name, scopes, groups in (
            ("ines", ("ask",), ("board",)),
            ("otto", ("ask",), ()),
            ("review", ("ask", "admin"), None),
        )
    ]
    app = create_app(answerer, settings)  # type: ignore[arg-type]
    with TestClient(app, base_url=HOME) as first:
        clients = (first, TestClient(app, base_url=HOME), TestClient(app, base_url=HOME))
        for client, secret in zip(clients, secrets, strict=True):
            client.headers["authorization"] = f"Bearer {secret}"
        yield clients


def test_a_conversation_is_its_askers_and_a_shared_answer_shows_what_its_reader_may_read(
    two: tuple[TestClient, TestClient, TestClient],
) -> None:
    ines, otto, reviewer = two
    first, *_, last = ask(ines, LEAVE_ASKED)
    conversation, turn = first["conversation"], last["turn"]["id"]
    for path in (f"/chat/conversations/{conversation}", f"/chat/turns/{turn}"):
        assert otto.get(path).status_code == reviewer.get(path).status_code == 404
    assert otto.get(f"/chat/conversations/{conversation}/export").status_code == 404
    assert otto.post(f"/chat/turns/{turn}/share", json={"shared": True}).status_code == 404
    assert otto.get("/chat/conversations").json() == {"conversations": []}
    ines.post(f"/chat/turns/{turn}/share", json={"shared": True})
    seen = otto.get(f"/chat/turns/{turn}")
    shown = seen.json()
    assert [bool(c["quote"]) for c in shown["answer"]["citations"]] == [False, True]
    assert [c["document_id"] for c in shown["answer"]["citations"]] == ["", MEMO.id]
    for hidden in (LEAVE, HANDBOOK.id, HANDBOOK.title):
        assert hidden not in seen.text
    assert "conversation" not in shown
    ines.post(f"/chat/turns/{turn}/share", json={"shared": False})
    assert otto.get(f"/chat/turns/{turn}").status_code == 404


def test_who_may_no_longer_read_a_document_sees_its_words_no_longer(
    two: tuple[TestClient, TestClient, TestClient], answerer: FakeAnswerer
) -> None:
    ines = two[0]
    conversation = ask(ines, LEAVE_ASKED)[0]["conversation"]
    answerer.index.held[HANDBOOK.id] = dataclasses.replace(HANDBOOK, groups=("captains",))
    assert LEAVE not in ines.get(f"/chat/conversations/{conversation}").text
    del answerer.index.held[HANDBOOK.id]  # removed for everyone: whoever asked keeps what was quoted
    (turn,) = opened(ines, conversation)
    assert [(c["quote"] == LEAVE, c["proof"]["state"]) for c in turn["answer"]["citations"]] == [
        (True, "gone"),
        (False, "exact"),
    ]


def test_feedback_is_kept_and_reviewed_by_who_may(two: tuple[TestClient, TestClient, TestClient]) -> None:
    ines, otto, reviewer = two
    turn = ask(ines, LEAVE_ASKED)[-1]["turn"]["id"]
    given = {"good": False, "reason": "bad_quote", "comment": "cut"}
    assert otto.post(f"/chat/turns/{turn}/feedback", json=given).status_code == 404
    assert ines.post(f"/chat/turns/{turn}/feedback", json={"good": False, "reason": "rude"}).status_code == 400
    assert ines.post(f"/chat/turns/{turn}/feedback", json=given).status_code == 200
    assert ines.get(f"/chat/turns/{turn}").json()["rating"] == {"good": False, "reason": "bad_quote"}
    assert ines.get("/chat/feedback").status_code == 403
    (kept,) = reviewer.get("/chat/feedback").json()["feedback"]
    assert (kept["owner"], kept["reason"], kept["turn"]["question"]) == ("key:ines", "bad_quote", LEAVE_ASKED)


def test_without_a_login_each_browser_from_elsewhere_has_its_own_history(tmp_path: Path) -> None:
    app = create_app(FakeAnswerer(), Settings(index=str(tmp_path)))  # type: ignore[arg-type]
    with TestClient(app, base_url=HOME, client=("192.0.2.7", 1)) as one:
        other = TestClient(app, base_url=HOME, client=("192.0.2.7", 1))
        for visitor in (one, other):
            cookie = visitor.get("/chat/conversations").headers["set-cookie"].lower()
            assert "httponly" in cookie
            assert "samesite=lax" in cookie
        ask(one, LEAVE_ASKED)
        assert len(one.get("/chat/conversations").json()["conversations"]) == 1
        assert other.get("/chat/conversations").json()["conversations"] == []


# ---- what became of the sources, and of the program


def test_a_source_that_moved_changed_or_went_is_said(client: TestClient, answerer: FakeAnswerer) -> None:
    conversation = ask(client, LEAVE_ASKED)[0]["conversation"]

    def proofs() -> list[dict[str, Any]]:
        return [c["proof"] for c in opened(client, conversation)[0]["answer"]["citations"]]

    before = "🌊 New first line.\n\n" + HANDBOOK.text
    answerer.index.held[HANDBOOK.id] = dataclasses.replace(HANDBOOK, text=before, sections=(), pages=(), revision="")
    changed = MEMO.text.replace("26", "30")
    answerer.index.held[MEMO.id] = dataclasses.replace(MEMO, text=changed, revision="")
    moved, differs = proofs()
    assert (moved["state"], differs["state"]) == ("moved", "changed")
    now = moved["now"]
    assert before[now["start"] : now["end"]] == LEAVE
    assert now["utf16"]["start"] == now["start"] + 1  # the wave is two units
    assert {"- 26", "+ 30"} <= set(differs["difference"])
    del answerer.index.held[MEMO.id]
    assert proofs()[1]["state"] == "gone"


def test_an_answer_is_kept_although_nobody_waits_and_a_stopped_one_is_not(
    client: TestClient, answerer: FakeAnswerer
) -> None:
    answerer.gate.clear()
    asking = threading.Thread(target=ask, args=(client, LEAVE_ASKED))
    asking.start()
    deadline = time.monotonic() + 20
    while not answerer.asked and time.monotonic() < deadline:
        time.sleep(0.01)
    (saved,) = client.get("/chat/conversations").json()["conversations"]
    (pending,) = opened(client, saved["id"])
    assert (pending["state"], pending["answer"]) == ("pending", None)
    client.post(f"/chat/turns/{pending['id']}/stop", json={})
    answerer.gate.set()
    asking.join()
    assert client.get(f"/chat/turns/{pending['id']}").json()["state"] == "stopped"


def test_a_question_that_the_end_of_the_program_cut_off_is_said(tmp_path: Path) -> None:
    turn = State.open(Settings(index=str(tmp_path))).begin("local", None, LEAVE_ASKED)
    app = create_app(FakeAnswerer(), Settings(index=str(tmp_path)))  # type: ignore[arg-type]
    with TestClient(app, base_url=HOME, client=("127.0.0.1", 1)) as client:
        found = client.get(f"/chat/turns/{turn.id}").json()
    assert (found["state"], found["problem"]) == (
        "failed",
        "The program ended before this was answered. Ask again.",
    )


def test_where_nothing_can_be_kept_questions_are_answered_all_the_same(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    app = create_app(FakeAnswerer(), Settings(index=str(tmp_path / "missing")))  # type: ignore[arg-type]
    with TestClient(app, base_url=HOME, client=("127.0.0.1", 1)) as client:
        assert ask(client, LEAVE_ASKED)[-1]["kind"] == "answer"
        assert len(client.get("/chat/conversations").json()["conversations"]) == 1
    assert "forgotten when the program ends" in caplog.text


# ---- taking it along


def test_exports_hold_the_quotes_and_nothing_that_runs(client: TestClient) -> None:
    first = ask(client, "What did the visitor write?")[0]
    ask(client, "Who owns the moon?", conversation=first["conversation"])
    path = f"/chat/conversations/{first['conversation']}/export?form="
    taken = {form: client.get(path + form) for form in ("markdown", "json", "html")}
    assert "attachment" in taken["markdown"].headers["content-disposition"]
    assert "<img" not in taken["markdown"].text.replace("\\<img", "")
    assert marked(PAYLOAD) in taken["markdown"].text
    assert "<img" not in taken["html"].text
    assert "<script" not in taken["html"].text
    assert "No answer found." in taken["html"].text
    turns = json.loads(taken["json"].text)["turns"]
    (citation,) = turns[0]["answer"]["citations"]
    position, quote = citation["selector"]
    assert (position["start"], quote["exact"]) == (citation["start"], citation["quote"])
    assert PAYLOAD in citation["quote"]
    assert client.get(path + "word").status_code == 422


def test_exports_say_that_documents_differ_and_show_rows_as_a_table(client: TestClient) -> None:
    first = ask(client, "What is the daily meal allowance?")[0]
    ask(client, "Is a chart lent for 10 days?", conversation=first["conversation"])
    path = f"/chat/conversations/{first['conversation']}/export?form="
    taken = {form: client.get(path + form).text for form in ("markdown", "json", "html")}
    for form in ("markdown", "html"):
        assert taken[form].count("The documents differ. Each answer is shown with its own source") == 1
        assert "Your question says 10 days; the quote says 3 days." in taken[form]
    assert (
        "> | Item | Loan period | Renewals |\n> | --- | --- | --- |\n> | Charts of the estuary |" in taken["markdown"]
    )
    assert '<th scope="col">Item</th>' in taken["html"]
    assert "<td>3 days</td>" in taken["html"]
    differ, row = (turn["answer"] for turn in json.loads(taken["json"])["turns"])
    assert (differ["conflict"], row["conflict"]) == (True, False)
    assert row["citations"][0]["quote"] == "Charts of the estuary | 3 days | none"


def test_markdown_shows_exactly_these_characters() -> None:
    markdown_it = pytest.importorskip("markdown_it")
    for text in (
        PAYLOAD,
        "1. not a list",
        "# no heading",
        "a_b_ *c* `d` [e](f) | g",
        "=1+1",
        "- x\n+ y",
        "&amp; ~~z~~",
    ):
        rendered = markdown_it.MarkdownIt().enable("strikethrough").parse(marked(text))
        inner = [part for token in rendered for part in token.children or []]
        shown = "".join("\n" if part.type == "softbreak" else part.content for part in inner)
        assert shown == text
        assert [token.type for token in rendered] == ["paragraph_open", "inline", "paragraph_close"]
