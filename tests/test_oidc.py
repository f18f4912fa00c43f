"""Sign-in against an OpenID Connect provider of our own over HTTP, and every way in which it can be cheated."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import http.server
import json
import secrets
import threading
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from starlette.testclient import TestClient

from rag.errors import BadInput
from rag.settings import Settings
from rag.web.identity import Identity, Login
from rag.web.oidc import local
from rag.web.portal import create_app
from tests.fakes import FakeAnswerer

pytest.importorskip("authlib", reason="needs Authlib (the extra oidc)")

HOME = "http://127.0.0.1:7860"
KEY, OTHER = (rsa.generate_private_key(public_exponent=65537, key_size=2048) for _ in range(2))
CLIENT, SECRET = "pullquote", "a secret of the client"


class Provider(http.server.BaseHTTPRequestHandler):
    """Discovery, keys, authorize and token. `changed` spoils the ID token; `codes` are given out and not yet used."""

    codes: dict[str, dict[str, str]]
    changed: dict[str, Any]
    key: Any
    algorithm: str

    def do_GET(self) -> None:
        issuer = f"http://127.0.0.1:{self.server.server_address[1]}"
        asked = {name: values[0] for name, values in parse_qs(urlsplit(self.path).query).items()}
        path = urlsplit(self.path).path
        if path == "/.well-known/openid-configuration":
            ends = {name: f"{issuer}/{name}" for name in ("token", "authorize")}
            self._say({"issuer": issuer, "jwks_uri": f"{issuer}/keys", "token_endpoint": ends["token"],
                       "authorization_endpoint": ends["authorize"],
                       "id_token_signing_alg_values_supported": ["RS256", "HS256", "none"]})  # fmt: skip
        elif path == "/keys":
            key = {**json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(KEY.public_key())), "kid": "1", "use": "sig"}
            self._say({"keys": [key]})
        elif path == "/authorize":
            code = secrets.token_hex(8)
            self.codes[code] = asked
            self.send_response(302)
            self.send_header(
                "location", f"{asked['redirect_uri']}?{urlencode({'code': code, 'state': asked['state']})}"
            )
            self.end_headers()

    def do_POST(self) -> None:
        sent = parse_qs(self.rfile.read(int(self.headers["content-length"])).decode())
        asked = self.codes.pop(sent["code"][0], None)
        basic = base64.b64encode(f"{CLIENT}:{SECRET.replace(' ', '+')}".encode()).decode()
        plain = base64.b64encode(f"{CLIENT}:{SECRET}".encode()).decode()
        proof = base64.urlsafe_b64encode(hashlib.sha256(sent["code_verifier"][0].encode()).digest()).rstrip(b"=")
        known = self.headers["authorization"] in (f"Basic {basic}", f"Basic {plain}")
        if (
            not asked
            or not known
            or asked["code_challenge"] != proof.decode()
            or asked["code_challenge_method"] != "S256"
        ):
            return self._say({"error": "invalid_grant"}, 400)
        issuer, now = f"http://127.0.0.1:{self.server.server_address[1]}", int(time.time())
        claims = {"iss": issuer, "aud": CLIENT, "sub": "ann", "groups": ["staff", "user:bob"], "iat": now,
                  "exp": now + 60, "nonce": asked["nonce"], **self.changed}  # fmt: skip
        given = {name: value for name, value in claims.items() if value is not None}
        token = jwt.encode(given, self.key, self.algorithm, headers={"kid": "1"})
        self._say({"access_token": "x", "token_type": "Bearer", "id_token": token})

    def _say(self, body: Any, status: int = 200) -> None:
        written = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(written)))
        self.end_headers()
        self.wfile.write(written)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def provider() -> Iterator[Any]:
    made = type("Provided", (Provider,), {"codes": {}, "changed": {}, "key": KEY, "algorithm": "RS256"})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), made)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    made.issuer = f"http://127.0.0.1:{server.server_port}"  # type: ignore[attr-defined]
    yield made
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def settings(provider: Any, tmp_path: Any) -> Settings:
    return Settings(
        index=str(tmp_path), login=("oidc", "keys"), oidc_issuer=provider.issuer, oidc_client=CLIENT,
        oidc_secret=SECRET, public_url=HOME, session_secret="s" * 32, admin_groups=("librarians",),
    )  # fmt: skip


@pytest.fixture
def client(settings: Settings) -> Iterator[TestClient]:
    app = create_app(FakeAnswerer(), settings)  # type: ignore[arg-type]
    with TestClient(app, base_url=HOME, follow_redirects=False) as client:
        yield client
    app.state.uploads.stop()


def callback(client: TestClient, then: str = "/library") -> str:
    """The address to which the provider sends the browser back, of a sign-in that was begun here."""
    begun = client.get("/login/start", params={"next": then})
    assert begun.status_code == 302, begun.text
    return httpx.get(begun.headers["location"]).headers["location"]


def test_a_sign_in_gives_a_session_with_user_and_groups_until_the_sign_out(client: TestClient) -> None:
    page = client.get("/library", headers={"accept": "text/html,*/*"})
    assert (page.status_code, page.headers["location"]) == (303, "/login/start?next=/library")
    assert client.get("/v1/uploads").status_code == 401  # a program is told, not sent away
    came = client.get(callback(client))
    assert (came.status_code, came.headers["location"]) == (303, f"{HOME}/library")
    cookie = next(line for line in came.headers.get_list("set-cookie") if line.startswith("pullquote_session="))
    assert {"HttpOnly", "SameSite=lax", "Path=/", "Max-Age=28800"} <= set(cookie.split("; "))
    assert client.get("/v1/uploads").json()["groups"] == ["staff"]  # and not user:bob
    assert client.get("/metrics").status_code == 403
    assert "data-session" in client.get("/library").text
    assert 'method="post"' in client.get("/login/out").text
    foreign = {"origin": "https://evil.example", "sec-fetch-site": "cross-site"}
    assert client.post("/login/out", headers=foreign).status_code == 403
    assert client.post("/login/out").status_code == 303
    assert client.get("/v1/uploads").status_code == 401
    assert "You are signed out." in client.get("/login/out").text


def test_a_sign_in_replaces_the_session_that_was_there_and_is_used_once(client: TestClient, provider: Any) -> None:
    client.get(callback(client))
    before = client.cookies["pullquote_session"]
    provider.changed["sub"] = "eve"
    back = callback(client)
    assert client.get(back).status_code == 303
    assert client.cookies["pullquote_session"] != before
    assert client.get(back).status_code == 401  # its state is spent


@pytest.mark.parametrize(
    ("changed", "key", "algorithm"),
    [
        ({"nonce": "another"}, KEY, "RS256"), ({"nonce": None}, KEY, "RS256"), ({"aud": "wiki"}, KEY, "RS256"),
        ({"aud": None}, KEY, "RS256"), ({"iss": "https://evil.example"}, KEY, "RS256"), ({"exp": None}, KEY, "RS256"),
        ({"exp": 1_000_000_000}, KEY, "RS256"), ({}, OTHER, "RS256"), ({}, KEY, "RS512"), ({}, None, "none"),
        ({}, SECRET * 3, "HS256"), ({"sub": "key:reports"}, KEY, "RS256"), ({"sub": None}, KEY, "RS256"),
    ],
)  # fmt: skip
def test_an_id_token_that_is_not_right_signs_nobody_in(
    client: TestClient, provider: Any, changed: dict[str, Any], key: Any, algorithm: str
) -> None:
    provider.changed, provider.key, provider.algorithm = changed, key, algorithm
    refused = client.get(callback(client))
    assert (refused.status_code, "pullquote_session" in client.cookies) == (401, False)
    assert client.get("/v1/uploads").status_code == 401


def test_more_groups_than_a_cookie_holds_are_said(client: TestClient, provider: Any) -> None:
    provider.changed["groups"] = [f"group {n}" for n in range(1_000)]
    refused = client.get(callback(client))
    assert (refused.status_code, refused.json()["code"]) == (403, "too_many_groups")


def test_only_the_browser_that_began_a_sign_in_can_finish_it(client: TestClient) -> None:
    back = callback(client)
    spoiled = back.replace("state=", "state=x")
    assert client.get(spoiled).status_code == 401
    back = callback(client)
    client.cookies.clear()  # a link that an attacker sends: another browser, without the state
    assert client.get(back).status_code == 401
    assert client.get("/login/callback").status_code == 401
    assert client.get("/login/callback?error=access_denied&state=x").status_code == 401


@pytest.mark.parametrize(
    "place",
    ["//evil.example", "https://evil.example", "/\\evil.example", "/a\r\nset-cookie: x", "javascript:x", "", "/é"],
)
def test_a_sign_in_leads_to_no_other_place(client: TestClient, place: str) -> None:
    assert local(place) == "/"
    assert client.get(callback(client, place)).headers["location"] == f"{HOME}/"


def test_a_session_cannot_be_made_up_or_prolonged(client: TestClient, settings: Settings) -> None:
    sessions = Login(settings).sessions
    assert sessions
    own = {"aud": sessions.name, "iss": HOME, "exp": time.time() + 60, "claims": {"sub": "ann"}}

    def identified(token: str) -> int:
        return client.get("/v1/uploads", headers={"cookie": f"{sessions.name}={token}"}).status_code

    assert identified(jwt.encode(own, "s" * 32, "HS256")) == 200
    for wrong in ({"exp": time.time() - 1}, {"aud": "x"}, {"iss": "https://other"}):
        assert identified(jwt.encode({**own, **wrong}, "s" * 32, "HS256")) == 401
    assert identified(jwt.encode(own, "t" * 32, "HS256")) == 401
    assert identified(jwt.encode(own, None, "none")) == 401
    assert identified("") == 401


def test_behind_tls_the_cookie_is_of_this_host_alone(settings: Settings) -> None:
    from starlette.datastructures import Headers
    from starlette.responses import Response

    login = Login(dataclasses.replace(settings, public_url="https://ask.example.org"))
    response = Response()
    assert login.sessions
    login.sessions.begin(response, login.sessions.made({"sub": "ann", "groups": ["librarians"]}))
    cookie = response.headers["set-cookie"]
    assert cookie.startswith("__Host-pullquote=")
    assert "Secure" in cookie
    found = login.identify(Headers({"cookie": cookie.split(";")[0]}))
    assert found == Identity("ann", ("librarians", "user:ann"), frozenset({"ask", "upload", "admin", "metrics"}), True)


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"session_secret": "short"}, "session_secret"), ({"public_url": "http://ask.example.org"}, "public_url"),
        ({"public_url": ""}, "public_url"), ({"oidc_secret": ""}, "oidc_issuer"),
        ({"identity_algorithms": ("HS256",)}, "public-key algorithms"),
    ],
)  # fmt: skip
def test_settings_that_are_not_safe_are_refused(settings: Settings, changed: dict[str, Any], says: str) -> None:
    with pytest.raises(BadInput, match=says):
        create_app(FakeAnswerer(), dataclasses.replace(settings, **changed))  # type: ignore[arg-type]


def test_a_provider_that_is_away_is_said(settings: Settings) -> None:
    away = dataclasses.replace(settings, oidc_issuer="http://127.0.0.1:9")
    with TestClient(create_app(FakeAnswerer(), away), base_url=HOME) as client:  # type: ignore[arg-type]
        assert client.get("/login/start").status_code == 503
