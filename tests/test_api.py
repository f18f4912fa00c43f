"""The API: the engine's own values as JSON, problem details, limits, metrics, and the examples of docs/api.md."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from starlette.testclient import TestClient

from rag.errors import BadInput
from rag.keys import Keys
from rag.settings import Settings
from rag.web.limits import Gate, Rate
from rag.web.portal import Server, create_app, listen
from rag.web.problem import Refused
from tests.fakes import HANDBOOK, MEMO, SCRIPT, SCRIPTS, FakeAnswerer

HOME = "http://127.0.0.1:7860"
LEAVE = "How long is parental leave?"
ROOT = Path(__file__).parent.parent


@pytest.fixture
def answerer() -> FakeAnswerer:
    return FakeAnswerer()


@pytest.fixture
def client(answerer: FakeAnswerer, tmp_path: Path) -> Iterator[TestClient]:
    settings = Settings(index=str(tmp_path), request_log=str(tmp_path / "log.jsonl"))
    with TestClient(create_app(answerer, settings), base_url=HOME, raise_server_exceptions=False) as client:  # type: ignore[arg-type]
        yield client


def test_an_answer_is_the_one_of_the_engine(client: TestClient, answerer: FakeAnswerer) -> None:
    asked = {"question": LEAVE, "history": ["Who are you?", {"role": "assistant", "content": "a library"}]}
    found = client.post("/v1/ask", json=asked)
    assert found.status_code == 200
    assert found.json() == json.loads(answerer.ask(LEAVE).to_json())
    assert [turn.content for turn in answerer.asked[0][1]] == ["Who are you?", "a library"]
    for cited in found.json()["citations"]:
        source = client.get(
            "/v1/sources", params={k: cited[k] for k in ("start", "end")} | {"document": cited["document_id"]}
        )
        assert source.json()["text"] == cited["quote"]
        assert source.json()["revision"] == cited["revision"]


def test_a_stream_has_stages_then_citations_then_the_answer(client: TestClient, answerer: FakeAnswerer) -> None:
    found = client.post("/v1/ask", json={"question": LEAVE}, headers={"accept": "text/event-stream"})
    assert found.headers["content-type"].startswith("text/event-stream")
    events = [re.fullmatch(r"event: (\w+)\ndata: (.*)", part) for part in found.text.strip().split("\n\n")]
    assert [event[1] for event in events] == ["stage", "stage", "citation", "citation", "answer"]  # type: ignore[index]
    said = [json.loads(event[2]) for event in events]  # type: ignore[index]
    assert [one["stage"] for one in said[:2]] == ["retrieve", "read"]
    assert said[4] == answerer.ask(LEAVE).to_dict() | json.loads(answerer.ask(LEAVE).to_json())
    assert said[2:4] == said[4]["citations"]
    bad = client.post("/v1/ask", json={"question": "break"}, headers={"accept": "text/event-stream"})
    assert "event: problem" in bad.text
    assert "secret" not in bad.text


def test_what_cannot_be_done_is_a_problem(client: TestClient) -> None:
    for response, status, code in (
        (client.post("/v1/ask", json={"question": "   "}), 400, "bad_input"),
        (client.post("/v1/ask", json={"question": "x" * 2001}), 422, "bad_input"),
        (client.post("/v1/ask", json={"question": "x", "groups": ["all"]}), 422, "bad_input"),
        (client.post("/v1/ask", json={"question": "x", "filters": {"groups": ["all"]}}), 422, "bad_input"),
        (client.post("/v1/ask", content=b"\xff{"), 422, "bad_input"),
        (client.get("/v1/sources", params={"document": "nowhere"}), 404, "not_found"),
        (client.get("/v1/sources", params={"document": MEMO.id, "start": 5, "end": 99_999}), 400, "bad_input"),
        (client.get("/v1/nothing"), 404, "http"),
        (client.get("/v1/ask"), 405, "http"),
        (client.post("/v1/verify", json={"citations": 7}), 422, "bad_input"),
    ):
        assert (response.status_code, response.json()["code"]) == (status, code), response.text
        assert response.headers["content-type"] == "application/problem+json"
        assert response.json()["status"] == status
        assert response.json()["detail"]
    assert client.post("/v1/ask", json={"question": "break"}).status_code == 500
    assert "secret" not in client.post("/v1/ask", json={"question": "break"}).text


def test_documents_are_listed_a_page_at_a_time_and_removed(client: TestClient, answerer: FakeAnswerer) -> None:
    ids, after = [], ""
    while after is not None:
        page = client.get("/v1/documents", params={"limit": 2, "after": after}).json()
        assert len(page["documents"]) <= 2
        ids += [one["id"] for one in page["documents"]]
        after = page["next"]
    assert ids == sorted(answerer.index.held)
    assert client.delete("/v1/documents", params={"document": SCRIPTS.id}).json() == {"removed": 1, "saved_answers": 0}
    assert client.delete("/v1/documents", params={"document": SCRIPTS.id}).status_code == 404
    assert SCRIPTS.id not in answerer.index.held


def test_a_source_tells_its_pages_and_sections(client: TestClient) -> None:
    start = HANDBOOK.text.index("Parents take")
    found = client.get("/v1/sources", params={"document": HANDBOOK.id, "start": start, "end": start + 7}).json()
    assert found["text"] == "Parents"
    assert [page["number"] for page in found["pages"]] == [2]
    assert [section["path"][-1] for section in found["sections"]] == [
        "Harbour Library staff handbook",
        "Parental leave",
    ]
    whole = client.get("/v1/sources", params={"document": HANDBOOK.id}).json()
    assert whole["text"] == HANDBOOK.text


def test_hits_and_proofs(client: TestClient, answerer: FakeAnswerer) -> None:
    hits = client.post("/v1/search", json={"question": "paid parental leave", "top": 2}).json()["hits"]
    assert len(hits) == 2
    for hit in hits:
        assert answerer.index.document(hit["document_id"]).text[hit["start"] : hit["end"]] == hit["text"]
    answer = client.post("/v1/ask", json={"question": LEAVE}).json()
    del answerer.index.held[MEMO.id]
    states = [proof["state"] for proof in client.post("/v1/verify", json=answer).json()["proofs"]]
    assert states == ["exact", "gone"]


@pytest.mark.parametrize(
    "wrong",
    [
        {"document_id": "\ud800"}, {"document_id": ["a"]}, {"document_id": None}, {"quote": "\ud800"}, {"n": [1]},
        {"start": float("nan")}, {"start": float("inf")}, {"start": "x"}, {"start": -1}, {"end": 10**40},
    ],
)  # fmt: skip
def test_a_citation_of_no_shape_is_a_problem_not_a_failure(client: TestClient, wrong: dict[str, object]) -> None:
    cited = {"n": 1, "document_id": MEMO.id, "start": 0, "end": 2, "quote": MEMO.text[:2]}
    headers = {"content-type": "application/json"}
    right = client.post("/v1/verify", content=json.dumps({"citations": [cited]}), headers=headers)
    assert right.json()["proofs"][0]["state"] == "exact"
    found = client.post("/v1/verify", content=json.dumps({"citations": [{**cited, **wrong}]}), headers=headers)
    assert (found.status_code, found.json()["code"]) == (422, "bad_input")


def test_the_openapi_describes_every_route_and_its_problems(client: TestClient) -> None:
    found = client.get("/v1/openapi.json").json()
    assert set(found["paths"]) == {
        "/ask", "/search", "/documents", "/collections", "/uploads", "/uploads/{upload_id}", "/original", "/status",
        "/sources", "/verify", "/widget", "/chat", "/conversations", "/conversations/{conversation}",
        "/conversations/{conversation}/export", "/turns/{turn}", "/turns/{turn}/stop", "/turns/{turn}/share",
        "/turns/{turn}/feedback", "/feedback",
    }  # fmt: skip
    for methods in found["paths"].values():
        for one in methods.values():
            assert {"401", "403", "422", "429", "503"} <= set(one["responses"])
    assert "ProblemJson" in found["components"]["schemas"]
    assert "schema" in found["components"]["schemas"]["AnswerJson"]["properties"]


# ---- limits


def test_a_minute_holds_so_many_requests_and_then_says_when() -> None:
    rate = Rate(lambda *_: None, 2)  # type: ignore[arg-type, return-value]
    assert [rate.take("ann", 0.0), rate.take("ann", 0.0), rate.take("ann", 0.0)] == [0, 0, 30]
    assert rate.take("bob", 0.0) == 0  # each has their own
    assert rate.take("ann", 29.0) == 1
    assert rate.take("ann", 30.0) == 0


def test_too_many_requests_are_429(answerer: FakeAnswerer) -> None:
    with TestClient(create_app(answerer, Settings(requests_per_minute=3)), base_url=HOME) as client:  # type: ignore[arg-type]
        statuses = [client.get("/v1/documents").status_code for _ in range(4)]
        assert statuses == [200, 200, 200, 429]
        assert int(client.get("/v1/documents").headers["retry-after"]) in range(1, 21)
        assert client.get("/healthz").status_code == 200


def test_a_full_queue_is_503_at_once_and_empties() -> None:
    async def run() -> None:
        gate = Gate(at_once=1, waiting=1)
        await gate.enter()
        second = asyncio.create_task(gate.enter())
        await asyncio.sleep(0)
        with pytest.raises(Refused) as full:
            await gate.enter()
        assert (full.value.status, full.value.headers) == (503, {"retry-after": "2"})
        second.cancel()
        await asyncio.sleep(0)
        assert gate.inside == 1  # who gives up waiting takes no room
        gate.leave()
        async with gate:
            assert gate.inside == 1
        assert gate.inside == 0

    asyncio.run(run())


def test_more_questions_than_fit_are_turned_away(answerer: FakeAnswerer) -> None:
    answerer.gate.clear()
    with TestClient(create_app(answerer, Settings(at_once=1, waiting=1)), base_url=HOME) as client:  # type: ignore[arg-type]
        statuses: list[int] = []

        def ask() -> None:
            statuses.append(client.post("/v1/ask", json={"question": LEAVE}).status_code)

        threads = [threading.Thread(target=ask) for _ in range(6)]
        for thread in threads:
            thread.start()
        deadline = time.monotonic() + 20
        while len(statuses) < 4 and time.monotonic() < deadline:
            time.sleep(0.01)
        assert statuses == [503] * 4
        answerer.gate.set()
        for thread in threads:
            thread.join()
        assert sorted(statuses) == [200, 200, 503, 503, 503, 503]
        assert client.post("/v1/ask", json={"question": LEAVE}).status_code == 200


# ---- seen from outside


def test_metrics_count_what_was_asked_and_the_log_keeps_no_question(client: TestClient, tmp_path: Path) -> None:
    client.post("/v1/ask", json={"question": LEAVE})
    client.post("/v1/ask", json={"question": "Who owns the moon?"})
    client.get("/source", params={"document": MEMO.id, "start": 0, "end": 1}, headers={"x-request-id": "abc-1"})
    figures = client.get("/metrics").text
    assert 'pullquote_answers_total{outcome="answered"} 1.0' in figures
    assert 'pullquote_answers_total{outcome="no_span"} 1.0' in figures
    assert 'pullquote_requests_total{area="/v1/ask",method="POST",status="200"} 2.0' in figures
    assert 'pullquote_index_info{version="fake-1"} 1.0' in figures
    text = (tmp_path / "log.jsonl").read_text()
    lines = [json.loads(line) for line in text.splitlines()]
    assert [(line["user"], line["path"], line["status"]) for line in lines[:2]] == [("local", "/v1/ask", 200)] * 2
    assert lines[2]["id"] == "abc-1"
    assert "moon" not in text
    assert MEMO.id not in text
    assert client.get("/healthz", headers={"x-request-id": "a\tb"}).headers["x-request-id"] != "a\tb"


def test_ready_says_when_the_index_cannot_be_read(client: TestClient) -> None:
    assert client.get("/readyz").json() == {"status": "ready"}


def test_the_audit_log_says_who_did_what_and_the_question_only_when_switched_on(
    answerer: FakeAnswerer, tmp_path: Path
) -> None:
    for kept in (0, 1):
        log = tmp_path / f"audit-{kept}.jsonl"
        settings = Settings(index=str(tmp_path / "index"), audit_log=str(log), audit_questions=kept)
        (tmp_path / "index").mkdir(exist_ok=True)
        with TestClient(create_app(answerer, settings), base_url=HOME, client=("127.0.0.1", 1)) as client:  # type: ignore[arg-type]
            client.post("/v1/ask", json={"question": LEAVE}, headers={"x-request-id": "one"})
            client.post("/v1/search", json={"question": LEAVE})
            lines = client.post("/chat/ask", json={"question": LEAVE}).text.splitlines()
            turn = json.loads(lines[0])["id"]
            client.post(f"/chat/turns/{turn}/feedback", json={"good": False, "reason": "wrong"})
            client.delete("/v1/documents", params={"document": (MEMO, SCRIPTS)[kept].id})
            client.get("/v1/documents")
        found = [json.loads(line) for line in log.read_text().splitlines()]
        assert [one["action"] for one in found] == ["ask", "search", "ask", "rate", "remove"]
        assert {one["user"] for one in found} == {"local"}
        assert (found[0]["id"], found[3]["turn"], found[4]["document"]) == ("one", turn, (MEMO, SCRIPTS)[kept].id)
        assert ("parental" in log.read_text()) == bool(kept)
    with pytest.raises(BadInput, match="audit_log"), TestClient(
        create_app(answerer, Settings(audit_log=str(tmp_path / "none/x"))), base_url=HOME  # type: ignore[arg-type]
    ) as client:  # fmt: skip
        client.get("/healthz")


@contextlib.contextmanager
def running(answerer: FakeAnswerer, patience: float) -> Iterator[tuple[Server, str]]:
    listener = listen(Settings(port=0))
    server = Server(create_app(answerer, Settings()), patience)  # type: ignore[arg-type]
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        yield server, f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        answerer.gate.set()
        server.should_exit = True
        thread.join()
        listener.close()


def test_a_stop_lets_answers_finish_and_turns_new_ones_away(answerer: FakeAnswerer) -> None:
    with running(answerer, 30) as (server, address):
        answerer.gate.clear()
        got: list[int] = []
        asking = threading.Thread(
            target=lambda: got.append(httpx.post(f"{address}/v1/ask", json={"question": LEAVE}, timeout=30).status_code)
        )
        asking.start()
        until = time.monotonic() + 20
        while not answerer.asked and time.monotonic() < until:
            time.sleep(0.01)
        server.should_exit = True
        while (ready := httpx.get(f"{address}/readyz")).status_code == 200 and time.monotonic() < until:
            time.sleep(0.02)
        assert (ready.status_code, ready.json()["code"]) == (503, "stopping")
        refused = httpx.post(f"{address}/v1/ask", json={"question": LEAVE})
        assert (refused.status_code, refused.json()["code"]) == (503, "stopping")
        assert refused.headers["retry-after"] == "5"
        answerer.gate.set()
        asking.join()
        assert got == [200]


def test_a_stop_does_not_wait_for_ever(answerer: FakeAnswerer) -> None:
    with running(answerer, 0.2) as (server, address):
        answerer.gate.clear()
        lost = threading.Thread(target=_ask, args=(address,))
        lost.start()
        until = time.monotonic() + 20
        while not answerer.asked and time.monotonic() < until:
            time.sleep(0.01)
        server.should_exit = True
        gone = False
        while not gone and time.monotonic() < until:
            try:
                httpx.get(f"{address}/healthz")
                time.sleep(0.05)
            except httpx.HTTPError:
                gone = True
        assert gone
        answerer.gate.set()
        lost.join()


def _ask(address: str) -> None:
    with contextlib.suppress(httpx.HTTPError):
        httpx.post(f"{address}/v1/ask", json={"question": LEAVE}, timeout=30)


# ---- the portal's pages


def test_only_the_portal_s_origins_may_call_the_api_and_frame_the_chat(answerer: FakeAnswerer) -> None:
    portal, foreign = "https://portal.example", "https://evil.example"
    with TestClient(create_app(answerer, Settings(portal_origins=(portal,))), base_url=HOME) as client:  # type: ignore[arg-type]
        preflight = {"access-control-request-method": "POST", "access-control-request-headers": "content-type"}
        allowed = client.options("/v1/ask", headers={"origin": portal, **preflight})
        assert allowed.status_code == 200
        assert allowed.headers["access-control-allow-origin"] == portal
        cross = {"sec-fetch-site": "cross-site"}
        found = client.post("/v1/ask", json={"question": LEAVE}, headers={"origin": portal, **cross})
        assert (found.status_code, found.headers["access-control-allow-origin"]) == (200, portal)
        assert client.post("/v1/ask", json={"question": LEAVE}, headers={"origin": foreign, **cross}).status_code == 403
        assert client.post("/gradio_api/queue/join", json={}, headers={"origin": portal, **cross}).status_code == 403
        for origin, path in ((foreign, "/v1/documents"), (portal, "/config"), (portal, "/"), (foreign, "/")):
            for response in (
                client.get(path, headers={"origin": origin}),
                client.options(path, headers={"origin": origin, **preflight}),
            ):
                told = [name for name in response.headers if name.startswith("access-control")]
                assert (origin, path) == (portal, "/v1/documents") or "access-control-allow-origin" not in told
        page = client.get("/").headers
        assert f"frame-ancestors 'self' {portal};" in page["content-security-policy"] + ";"
        assert "x-frame-options" not in page


@pytest.mark.parametrize("origin", ["*", "https://a.example/path", "https://a.example; script-src *", "portal.example"])
def test_an_origin_that_is_none_is_refused_at_the_start(origin: str) -> None:
    with (
        pytest.raises(BadInput, match="is not an origin"),
        TestClient(
            create_app(FakeAnswerer(), Settings(portal_origins=(origin,))),
            base_url=HOME,  # type: ignore[arg-type]
        ) as client,
    ):
        client.get("/")


# ---- the guide


def test_the_examples_of_the_guide_run(tmp_path: Path) -> None:
    _, secret = Keys(tmp_path / "keys.sqlite").add("guide", ("ask", "upload", "admin", "metrics"), None)
    listener = listen(Settings(port=0))
    server = Server(create_app(FakeAnswerer(), Settings(index=str(tmp_path), login=("keys",))))  # type: ignore[arg-type]
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        address = f"http://127.0.0.1:{listener.getsockname()[1]}"
        blocks = re.findall(r"```(sh|python)\n(.*?)```", (ROOT / "docs/api.md").read_text("utf-8"), re.DOTALL)
        ran = 0
        for language, code in blocks:
            if "127.0.0.1:7860" not in code:
                continue
            code = code.replace("http://127.0.0.1:7860", address)
            command = ["bash", "-euc", code] if language == "sh" else [sys.executable, "-W", "error", "-c", code]
            done = subprocess.run(
                command, env={"PATH": "/usr/bin:/bin", "PULLQUOTE_KEY": secret}, capture_output=True, timeout=60
            )
            assert done.returncode == 0, (code, done.stderr.decode())
            assert b'"code"' not in done.stdout, (code, done.stdout.decode())
            ran += 1
        assert ran >= 8
    finally:
        server.should_exit = True
        thread.join()
        listener.close()
    assert LEAVE in SCRIPT
