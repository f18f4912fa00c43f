"""The web app without a browser: who may call it, what it says of itself, and the text windows that it serves."""

from __future__ import annotations

import importlib.util
import json
import socket
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from starlette.testclient import TestClient

from rag.errors import BadInput
from rag.settings import Settings
from rag.types import Document
from rag.web.chat import _examples
from rag.web.portal import Server, create_app, listen
from rag.web.source import AROUND, LARGEST, SNAP, utf16_length, window
from tests.fakes import DOCUMENTS, HANDBOOK, LONG, SCRIPTS, FakeAnswerer

HOME = "http://127.0.0.1:7860"
ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def client() -> Iterator[TestClient]:
    with TestClient(create_app(FakeAnswerer(), Settings()), base_url=HOME) as client:
        yield client


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, FakeAnswerer]]:
    """A real server on a free port, and the answerer behind it."""
    answerer, listener = FakeAnswerer(), listen(Settings(port=0))
    server = Server(create_app(answerer, Settings(index=str(tmp_path_factory.mktemp("index")))))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}", answerer
    finally:
        server.should_exit = True
        thread.join()
        listener.close()


# ---- who may call


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example:7860", "localhost@evil.example", "", "[::2]"])
def test_a_foreign_host_is_refused(client: TestClient, host: str) -> None:
    for path in ("/", "/healthz", "/source", "/ui/chat.js", "/gradio_api/queue/data"):
        assert client.get(path, headers={"host": host}).status_code == 421


@pytest.mark.parametrize("host", ["127.0.0.1:7860", "localhost", "LOCALHOST:80", "[::1]:7860"])
def test_an_allowed_host_is_served(client: TestClient, host: str) -> None:
    assert client.get("/healthz", headers={"host": host}).json() == {"status": "ok"}


def test_no_route_answers_a_foreign_host(client: TestClient) -> None:
    paths = {route.path for route in _routes(client.app)}
    assert {"/healthz", "/source", "/gradio_api/upload", "/gradio_api/queue/join", "/config"} <= paths
    for path in paths:
        assert client.get(path, headers={"host": "evil.example"}).status_code == 421, path


def _routes(app: Any) -> Iterator[Any]:
    """Every route with a path, also of mounted apps and included routers."""
    for route in app.routes:
        inner = getattr(route, "original_router", None) or getattr(route, "app", None)
        if hasattr(inner, "routes"):
            yield from _routes(inner)
        elif hasattr(route, "path"):
            yield route


def _post(address: str, path: str, body: object, **headers: str) -> tuple[int, list[str]]:
    data = json.dumps(body).encode()
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    request = urllib.request.Request(address + path, data, {"content-type": "application/json", **names})
    try:
        response = urllib.request.urlopen(request, timeout=30)
    except urllib.error.HTTPError as error:
        response = error
    with response:
        return response.status, [name.lower() for name in response.headers]


def test_a_foreign_page_can_ask_nothing_and_the_same_request_from_here_works(live: tuple[str, FakeAnswerer]) -> None:
    address, answerer = live
    body = {"question": "How long is parental leave?"}
    for foreign in (
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"origin": "null", "sec_fetch_site": "cross-site"},
        {"origin": address + ".evil.example"},
        {"sec_fetch_site": "cross-site"},
        {"sec_fetch_site": "same-site"},
    ):
        status, headers = _post(address, "/chat/ask", body, cookie="session=1", **foreign)
        assert status == 403, foreign
        assert not [name for name in headers if name.startswith("access-control")]
    assert answerer.asked == []
    status, _ = _post(address, "/chat/ask", body, origin=address, sec_fetch_site="same-origin")
    assert status == 200
    deadline = time.monotonic() + 30
    while not answerer.asked and time.monotonic() < deadline:
        time.sleep(0.02)
    assert [question for question, _ in answerer.asked] == ["How long is parental leave?"]


@pytest.mark.parametrize("path", ["/", "/config", "/source?document=memos/leave.txt&start=0&end=1", "/healthz"])
def test_no_foreign_origin_may_read(client: TestClient, path: str) -> None:
    foreign = {"origin": "https://evil.example", "cookie": "session=1"}
    asked = {**foreign, "access-control-request-method": "POST"}
    for response in (client.get(path, headers=foreign), client.options(path, headers=asked)):
        assert "access-control-allow-origin" not in response.headers
        assert "access-control-allow-credentials" not in response.headers


def test_a_request_states_its_length_and_is_small(client: TestClient) -> None:
    join = "/gradio_api/queue/join"
    assert client.post(join, content=b"x" * 1_000_001).status_code == 413
    assert client.post(join, content=iter([b"x"])).status_code == 411


# ---- what every response says


@pytest.mark.parametrize("path", ["/", "/healthz", "/ui/chat.js", "/no-such-page", "/source", "/config"])
def test_every_response_has_the_security_headers(client: TestClient, path: str) -> None:
    headers = client.get(path).headers
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["cross-origin-resource-policy"] == "same-origin"
    policy = dict(part.strip().split(" ", 1) for part in headers["content-security-policy"].split(";"))
    assert policy["frame-ancestors"] == policy["default-src"] == policy["connect-src"] == "'self'"
    assert "unsafe-inline" not in policy["script-src"]


def test_a_refusal_has_the_security_headers_too(client: TestClient) -> None:
    headers = client.get("/", headers={"host": "evil.example"}).headers
    assert "frame-ancestors 'self'" in headers["content-security-policy"]


def test_only_the_scripts_of_this_page_run(client: TestClient) -> None:
    first, second = client.get("/"), client.get("/")
    nonces = [r.headers["content-security-policy"].split("'nonce-")[1].split("'")[0] for r in (first, second)]
    assert nonces[0] != nonces[1]
    assert first.text.count("<script") == first.text.count(f'<script nonce="{nonces[0]}"') > 0


def test_gradio_is_set_up_shut(client: TestClient) -> None:
    config = client.get("/config").json()
    assert config["analytics_enabled"] is False
    assert config["footer_links"] == []
    assert not config.get("run_history")
    assert {one["api_visibility"] for one in config["dependencies"]} == {"private"}
    assert "fonts.googleapis" not in client.get("/theme.css").text


# ---- files


@pytest.mark.parametrize(
    "path",
    [
        "/gradio_api/file={secret}",
        "/gradio_api/file/{secret}",
        "/gradio_api/file={own}",
        "//gradio_api/file={secret}",
        "/file={secret}",
        "/file/{secret}",
        "/gradio_api/proxy=http://127.0.0.1/",
        "/gradio_api/stream/x",
        "/gradio_api/component_server",
        "/gradio_api/info",
        "/gradio_api/openapi.json",
        "/gradio_api/runs",
        "/gradio_api/mcp/sse",
        "/ui/../portal.py",
        "/ui/%2e%2e/portal.py",
        "/ui/..%2fportal.py",
        "/ui/{secret}",
        "/assets/..%2f..%2f..%2froutes.py",
        "/static/..%2f..%2froutes.py",
        "/svelte/..%2f..%2froutes.py",
        "/source?document={secret}&start=0&end=5",
        "/docs",
        "/redoc",
        "/openapi.json",
        "/monitoring",
    ],
)
def test_no_route_gives_a_file_or_a_description_away(client: TestClient, tmp_path: Path, path: str) -> None:
    secret = tmp_path / "secret.txt"
    secret.write_text("the secret of the file")
    response = client.get(path.format(secret=secret, own=ROOT / "rag/web/portal.py"))
    assert response.status_code in (400, 401, 403, 404, 405)
    for leak in ("the secret of", "import ", "endpoints", "swagger"):
        assert leak not in response.text


def test_nothing_can_be_uploaded(client: TestClient) -> None:
    response = client.post("/gradio_api/upload", files={"files": ("x.html", b"<script>1</script>", "text/html")})
    assert response.status_code == 404


# ---- the source


def test_a_window_has_exactly_the_cited_characters(client: TestClient) -> None:
    quote = "Parents take up to 26 weeks of paid leave"
    start = HANDBOOK.text.index(quote)
    asked = {"document": HANDBOOK.id, "start": start, "end": start + len(quote)}
    found = client.get("/source", params=asked).json()
    assert found["text"] == HANDBOOK.text  # shorter than a window
    assert found["text"][found["range"]["start"] : found["range"]["end"]] == quote
    assert (found["from"], found["to"], found["utf16_from"]) == (0, len(HANDBOOK.text), 0)
    assert found["section"] == ["Harbour Library staff handbook", "Parental leave"]
    assert found["on_pages"] == [2, 2]
    assert found["revision"] == HANDBOOK.revision
    assert (found["more_before"], found["more_after"]) == (False, False)
    heading = next(block for block in found["blocks"] if block["start"] > 0)
    assert found["text"][heading["start"] : heading["end"]] == "Opening the building"


def test_an_id_of_any_shape_is_found(client: TestClient) -> None:
    found = client.get("/source", params={"document": SCRIPTS.id, "start": 0, "end": 1}).json()
    assert found["document_id"] == "odd/🌊 scripts & <signs>.txt"
    assert found["title"] == SCRIPTS.title


def test_a_window_of_a_long_document_stays_small(client: TestClient) -> None:
    start = LONG.text.index("Entry 15000 ")
    found = client.get("/source", params={"document": LONG.id, "start": start, "end": start + 11}).json()
    assert len(found["text"]) <= 2 * (AROUND + SNAP) + 11 < len(LONG.text)
    assert found["text"] == LONG.text[found["from"] : found["to"]]
    units = found["text"].encode("utf-16-le")[2 * found["range"]["start"] : 2 * found["range"]["end"]]
    assert units.decode("utf-16-le") == "Entry 15000"
    assert found["text"].startswith(("Entry ", "\nEntry "))
    assert found["utf16_from"] == found["from"] + LONG.text[: found["from"]].count("🌊")
    assert (found["more_before"], found["more_after"]) == (True, True)
    wide = {"document": LONG.id, "start": start, "end": start + 11, "from": 0, "to": 9_999_999}
    widest = client.get("/source", params=wide).json()
    assert LARGEST <= widest["to"] - widest["from"] <= LARGEST + 2 * SNAP


@pytest.mark.parametrize(
    ("asked", "status", "says"),
    [
        ({"document": "nowhere.txt", "start": 0, "end": 1}, 404, "'nowhere.txt' is not in the index"),
        ({"document": "memos/leave.txt", "start": 5, "end": 99_999}, 400, "5:99999 leaves the text of"),
        ({"document": "memos/leave.txt", "start": 9, "end": 3}, 400, "9:3 leaves the text of"),
        ({"document": LONG.id, "start": 0, "end": LARGEST + 1}, 400, "more than 400000 characters"),
    ],
)
def test_a_wrong_range_is_one_line(client: TestClient, asked: dict[str, object], status: int, says: str) -> None:
    response = client.get("/source", params=asked)  # type: ignore[arg-type]
    assert response.status_code == status
    assert says in response.json()["error"]["message"]
    assert "\n" not in response.json()["error"]["message"]


def test_a_range_that_is_no_number_is_refused(client: TestClient) -> None:
    assert client.get("/source", params={"document": "memos/leave.txt", "start": "x", "end": -1}).status_code == 422


@hypothesis_settings(deadline=None)
@given(data=st.data(), text=st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=300))
def test_utf16_offsets_select_the_range_in_any_text(data: st.DataObject, text: str) -> None:
    text = data.draw(st.sampled_from([text, text * 200]))
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, min(len(text), start + 50)))
    first = data.draw(st.none() | st.integers(0, len(text)))
    last = data.draw(st.none() | st.integers(0, 2 * len(text)))
    found = window(Document("d", text), start, end, first, last)
    assert found["text"] == text[found["from"] : found["to"]]
    assert found["from"] <= start <= end <= found["to"]
    units = found["text"].encode("utf-16-le")
    assert units[2 * found["range"]["start"] : 2 * found["range"]["end"]].decode("utf-16-le") == text[start:end]
    assert found["utf16_from"] == len(text[: found["from"]].encode("utf-16-le")) // 2


def test_utf16_length_counts_across_its_steps() -> None:
    text = "a🌊" * 1_500_001
    assert utf16_length(text, len(text)) == 4_500_003
    assert utf16_length(text, 1_000_001) == 1_500_001


# ---- the empty page


def test_examples_are_asked_of_telling_headings_and_only_answered_ones_are_shown() -> None:
    answerer = FakeAnswerer()
    assert _examples(answerer) == []  # type: ignore[arg-type]
    asked = [question for question, _ in answerer.asked]
    assert "What does “Harbour Library staff handbook” say about “Opening the building”?" in asked
    assert not any("“Meals”" in question for question in asked)
    assert _examples(FakeAnswerer(documents=())) == []  # type: ignore[arg-type]


# ---- the address


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.7"])
def test_the_network_is_refused_without_the_flag(host: str) -> None:
    with pytest.raises(BadInput, match=r"would open the documents to the network.*--network"):
        listen(Settings(host=host, port=0))


def test_the_network_is_served_with_the_flag() -> None:
    with listen(Settings(host="0.0.0.0", port=0), network=True) as listener:
        assert listener.getsockname()[0] == "0.0.0.0"


def test_a_taken_port_names_itself_and_the_next_step() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(BadInput, match=rf"port {port} on 127.0.0.1 is taken.*RAG_PORT={port + 1}"):
            listen(Settings(port=port))


@pytest.mark.parametrize("port", [70_000, -1])
def test_an_impossible_port_is_one_line(port: int) -> None:
    with pytest.raises(BadInput, match=f"port {port} does not exist"):
        listen(Settings(port=port))


def test_an_address_of_another_machine_is_one_line() -> None:
    with pytest.raises(BadInput, match=r"cannot listen on 192.0.2.7, port 0: .*choose another host"):
        listen(Settings(host="192.0.2.7", port=0), network=True)


def test_app_says_in_one_line_what_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RAG_INDEX", "no-such-index")
    spec = importlib.util.spec_from_file_location("app", ROOT / "app.py")
    assert spec
    assert spec.loader
    app = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(app)
    assert app.main() == 1
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 1
    assert "no-such-index" in said[0]


def test_the_fake_keeps_the_contract_of_offsets() -> None:
    answerer = FakeAnswerer()
    for question in answerer.script:
        for cited in answerer.ask(question).citations:
            text = next(d.text for d in DOCUMENTS if d.id == cited.document_id)
            assert text[cited.start : cited.end] == cited.quote
            assert cited.answer is not None
            assert text[cited.answer.start : cited.answer.end] == cited.answer.text
