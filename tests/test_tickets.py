"""Tickets of a portal on another site: once, for a minute, for no more than the key may see, and seen by nobody."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import jwt
import pytest
from starlette.datastructures import Headers
from starlette.testclient import TestClient

from rag.errors import BadInput
from rag.keys import Keys
from rag.settings import Settings
from rag.state import tickets as kept
from rag.state.tickets import Tickets
from rag.web.identity import Identity, Login
from rag.web.portal import create_app
from tests.fakes import FakeAnswerer

HOME, PORTAL = "https://ask.example.org", "https://portal.example"
OTHER = "https://wiki.example"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(
        index=str(tmp_path), login=("keys", "tickets"), public_url=HOME, session_secret="s" * 32,
        portal_origins=(PORTAL, OTHER), allowed_hosts=("ask.example.org",), request_log=str(tmp_path / "log"),
        audit_log=str(tmp_path / "audit"),
    )  # fmt: skip


@pytest.fixture
def client(settings: Settings) -> Iterator[TestClient]:
    app = create_app(FakeAnswerer(), settings)  # type: ignore[arg-type]
    with TestClient(app, base_url=HOME) as client:
        yield client
    app.state.uploads.stop()


@pytest.fixture
def key(settings: Settings) -> dict[str, str]:
    return keyed(settings, ("ticket",), ("staff", "crew"))


def keyed(settings: Settings, scopes: tuple[str, ...], groups: tuple[str, ...] | None) -> dict[str, str]:
    _, secret = Keys(Path(settings.index) / "keys.sqlite").add("portal", scopes, groups)
    return {"authorization": f"Bearer {secret}"}


def ticket(client: TestClient, key: dict[str, str], user: str = "ann", groups: tuple[str, ...] = ("staff",)) -> str:
    made = client.post("/v1/tickets", json={"user": user, "groups": list(groups)}, headers=key)
    assert made.status_code == 201, made.text
    found: str = made.json()["ticket"]
    assert made.json() == {"ticket": found, "expires_in": 60, "url": f"{HOME}/embed#{found}"}
    return found


def enter(client: TestClient, ticket: str, origin: str | None = PORTAL) -> Any:
    return client.post("/v1/session", json={"ticket": ticket}, headers={"origin": origin} if origin else {})


# ---- what a ticket opens


def test_in_the_portal_s_page_it_opens_a_token_of_that_origin(
    client: TestClient, key: dict[str, str], settings: Settings
) -> None:
    session = enter(client, ticket(client, key))
    assert session.headers["access-control-allow-origin"] == PORTAL
    assert "set-cookie" not in session.headers
    own = {"authorization": f"Bearer {session.json()['session']}"}
    assert client.get("/v1/widget", headers={**own, "origin": PORTAL}).status_code == 200
    uploaded = client.post("/v1/documents?name=a.txt", content=b"x", headers={**own, "origin": PORTAL})
    assert uploaded.status_code == 403  # the key may not either
    assert client.get("/metrics", headers={**own, "origin": PORTAL}).status_code == 403
    again = client.post("/v1/tickets", json={"user": "bob"}, headers={**own, "origin": PORTAL})
    assert again.status_code == 403
    for origin in ({}, {"origin": OTHER}, {"origin": "null"}):
        assert client.get("/v1/widget", headers={**own, **origin}).status_code == 401
    found = Login(settings).identify(Headers({**own, "origin": PORTAL}))
    assert found == Identity("ticket:portal:ann", ("staff", "user:ticket:portal:ann"), frozenset({"ask"}))


def test_in_the_frame_it_opens_a_partitioned_cookie(client: TestClient, key: dict[str, str]) -> None:
    page = client.get("/embed")
    assert page.headers["referrer-policy"] == "no-referrer"
    assert f"frame-ancestors 'self' {PORTAL} {OTHER}" in page.headers["content-security-policy"]
    session = enter(client, ticket(client, key), HOME)
    assert session.json() == {"session": None, "expires_in": 3600}
    cookie = session.headers["set-cookie"]
    assert cookie.startswith("__Host-pullquote-embed=")
    wanted = {"Path=/", "HttpOnly", "Secure", "SameSite=None", "Partitioned", "Max-Age=3600"}
    assert wanted == set(cookie.split("; ")[1:])
    own = {"cookie": cookie.split(";")[0]}
    assert client.get("/v1/widget", headers=own).status_code == 200
    asked = {"question": "How long is parental leave?"}
    assert client.post("/v1/ask", json=asked, headers={**own, "origin": "https://evil.example"}).status_code == 403
    bearer = {"authorization": f"Bearer pqs_{cookie.split(';')[0].partition('=')[2]}", "origin": PORTAL}
    client.cookies.clear()
    assert client.get("/v1/widget", headers=bearer).status_code == 401  # a cookie is no token


# ---- what it does not


def test_it_is_used_once_whoever_is_first(client: TestClient, key: dict[str, str]) -> None:
    given = ticket(client, key)
    assert enter(client, given).status_code == 200
    for origin in (PORTAL, HOME):
        replayed = enter(client, given, origin)
        assert (replayed.status_code, replayed.json()["code"]) == (401, "ticket")
        assert replayed.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("unknown", ["", "x", "pqt_" + "x" * 43, "pqt_" + "é" * 43, "pqt_' OR 1=1 --"])
def test_what_is_no_ticket_opens_nothing(client: TestClient, key: dict[str, str], unknown: str) -> None:
    ticket(client, key)
    assert enter(client, unknown).status_code == 401


def test_it_is_over_after_a_minute(client: TestClient, key: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    given, now = ticket(client, key), time.time()
    monkeypatch.setattr(kept.time, "time", lambda: now + 61)
    assert enter(client, given).status_code == 401
    assert enter(client, ticket(client, key)).status_code == 200


def test_a_foreign_page_changes_no_ticket_and_leaves_it_as_it_is(client: TestClient, key: dict[str, str]) -> None:
    given = ticket(client, key)
    for origin in ("https://evil.example", "null", f"{PORTAL}.evil.example", None):
        assert enter(client, given, origin).status_code == 403
    assert enter(client, given).status_code == 200


def test_only_a_key_of_that_scope_makes_them_and_only_from_a_server(
    client: TestClient, settings: Settings, key: dict[str, str]
) -> None:
    body = {"user": "ann"}
    every = keyed(settings, ("ask", "upload", "admin", "metrics"), None)
    assert client.post("/v1/tickets", json=body).status_code == 401
    assert client.post("/v1/tickets", json=body, headers=every).status_code == 403
    for origin in (PORTAL, HOME, "https://evil.example"):
        assert client.post("/v1/tickets", json=body, headers={**key, "origin": origin}).status_code == 403
    assert client.post("/v1/ask", json={"question": "x"}, headers=key).status_code == 403  # it may do nothing else


def test_it_names_no_more_groups_than_its_key_and_no_other_user(
    client: TestClient, settings: Settings, key: dict[str, str]
) -> None:
    for groups, status in ((["staff", "board"], 403), (["user:key:portal"], 400), (["user:ann"], 400), ([""], 422)):
        made = client.post("/v1/tickets", json={"user": "ann", "groups": groups}, headers=key)
        assert made.status_code == status, groups
    for user in ("", "a\nb", "x" * 201):
        assert client.post("/v1/tickets", json={"user": user}, headers=key).status_code in (400, 422)
    whole = keyed(settings, ("ticket", "upload"), None)
    found = enter(client, ticket(client, whole, groups=("board",)))
    own = Headers({"authorization": f"Bearer {found.json()['session']}", "origin": PORTAL})
    assert Login(settings).identify(own).groups == ("board", "user:ticket:portal:ann")
    assert Login(settings).identify(own).scopes == {"ask", "upload"}
    many = [f"group {n:04}" + "x" * 100 for n in range(100)]
    made = client.post("/v1/tickets", json={"user": "ann", "groups": many}, headers=whole)
    assert (made.status_code, made.json()["code"]) == (403, "too_many_groups")


def test_a_session_cannot_be_made_up_or_outlive_its_hour(client: TestClient, settings: Settings) -> None:
    own = {"user": "ticket:portal:ann", "groups": [], "scopes": ["ask"]}
    good = {"aud": PORTAL, "iss": HOME, "exp": time.time() + 60, "claims": own}

    def status(token: str) -> int:
        headers = {"authorization": f"Bearer pqs_{token}", "origin": PORTAL}
        return client.get("/v1/widget", headers=headers).status_code

    assert status(jwt.encode(good, "s" * 32, "HS256")) == 200
    for wrong in ({"exp": time.time() - 1}, {"aud": OTHER}, {"iss": OTHER}):
        assert status(jwt.encode({**good, **wrong}, "s" * 32, "HS256")) == 401
    assert status(jwt.encode(good, "t" * 32, "HS256")) == 401
    assert status(jwt.encode(good, None, "none")) == 401


def test_it_is_in_no_file_no_log_and_no_figure(client: TestClient, key: dict[str, str], settings: Settings) -> None:
    used, unused = ticket(client, key), ticket(client, key)
    assert enter(client, used).status_code == 200
    figures = client.get("/metrics", headers=keyed(settings, ("metrics",), ())).text
    files = [file.read_bytes() for file in Path(settings.index).rglob("*") if file.is_file()]
    for given in (used, unused):
        assert given not in figures
        assert not [held for held in files if given.encode() in held]
    audited = Path(settings.audit_log).read_text("utf-8")
    assert '"action": "ticket", "holder": "ticket:portal:ann"' in audited
    assert '"action": "session"' in audited


# ---- where they are kept


def _take(settings: Settings, ticket: str) -> bool:
    return Tickets(settings).take(ticket) is not None


def test_of_many_processes_one_gets_it(settings: Settings) -> None:
    held = Tickets(settings)
    given = [held.make({"user": str(n)}) for n in range(5)]
    with ProcessPoolExecutor(2, get_context("spawn")) as processes:
        jobs = [processes.submit(_take, settings, one) for one in given for _ in range(4)]
        assert sum(job.result() for job in jobs) == 5


@pytest.mark.postgres
def test_on_postgresql_one_gets_it(database: str) -> None:
    import psycopg

    with psycopg.connect(database) as db:
        db.execute("CREATE SCHEMA pullquote")
    settings = Settings(index=database)
    given = Tickets(settings).make({"user": "ann"})
    with ThreadPoolExecutor(4) as threads:
        assert sum(threads.map(lambda _: _take(settings, given), range(8))) == 1
    assert not _take(settings, given)


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"login": ("tickets",)}, "keys"), ({"portal_origins": ()}, "portal_origins"),
        ({"session_secret": "short"}, "session_secret"), ({"public_url": "http://ask.example.org"}, "public_url"),
    ],
)  # fmt: skip
def test_settings_that_are_not_safe_are_refused(settings: Settings, changed: dict[str, Any], says: str) -> None:
    with pytest.raises(BadInput, match=says):
        Login(dataclasses.replace(settings, **changed))


def test_without_them_there_is_no_way_in(settings: Settings) -> None:
    plain = dataclasses.replace(settings, login=("keys",))
    with TestClient(create_app(FakeAnswerer(), plain), base_url=HOME) as client:  # type: ignore[arg-type]
        key = keyed(settings, ("ticket",), None)
        assert client.post("/v1/tickets", json={"user": "ann"}, headers=key).status_code == 404
        assert client.get("/embed").status_code == 401
