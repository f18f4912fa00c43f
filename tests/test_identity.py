"""Who may call: no route but health answers a stranger; keys and signed tokens, and every way to forge them."""

from __future__ import annotations

import datetime
import json
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from starlette.datastructures import Headers
from starlette.testclient import TestClient

from rag.__main__ import main
from rag.errors import BadInput, NotFound
from rag.keys import Keys
from rag.settings import Settings
from rag.web.identity import LOCAL, Identity, Login
from rag.web.portal import create_app, listen
from rag.web.problem import Refused
from tests.fakes import MEMO, FakeAnswerer

HOME = "http://127.0.0.1:7860"
RSA = rsa.generate_private_key(public_exponent=65537, key_size=2048)
OTHER = rsa.generate_private_key(public_exponent=65537, key_size=2048)
CURVE = ec.generate_private_key(ec.SECP256R1())
PEM = (
    RSA.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo).decode()
)
OPEN = {"/healthz", "/readyz", "/ui/widget.js", "/ui/parts.js"}


def claims(**changed: Any) -> dict[str, Any]:
    now = int(time.time())
    own = {"sub": "ann", "groups": ["staff"], "aud": "pullquote", "iss": "https://id.example", "exp": now + 60}
    return {name: value for name, value in {**own, **changed}.items() if value is not None}


def token(key: Any = RSA, algorithm: str = "RS256", headers: dict[str, Any] | None = None, **changed: Any) -> str:
    return jwt.encode(claims(**changed), key, algorithm, headers=headers)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    (tmp_path / "key.pem").write_text(PEM)
    return Settings(
        index=str(tmp_path),
        login=("keys", "header"),
        keys=str(tmp_path / "keys.sqlite"),
        identity_key=str(tmp_path / "key.pem"),
        identity_audience="pullquote",
        identity_issuer="https://id.example",
        admin_groups=("librarians",),
    )


@pytest.fixture
def client(settings: Settings) -> Iterator[TestClient]:
    app = create_app(FakeAnswerer(), settings)  # type: ignore[arg-type]
    with TestClient(app, base_url=HOME) as client:
        yield client
    app.state.uploads.stop()


def bearer(secret: str, kind: str = "Bearer") -> Headers:
    return Headers({"authorization": f"{kind} {secret}"})


def _routes(app: Any, before: str = "") -> Iterator[tuple[str, str]]:
    """(method, path) of every route, also of mounted apps and included routers."""
    for route in app.routes:
        inner = getattr(route, "original_router", None) or getattr(route, "app", None)
        if hasattr(inner, "routes"):
            yield from _routes(inner, before + getattr(route, "path", ""))
        elif hasattr(route, "path"):
            for method in getattr(route, "methods", None) or ("GET",):
                yield method, before + route.path


# ---- strangers


def test_every_route_but_health_wants_to_know_who_asks(client: TestClient) -> None:
    routes = sorted(set(_routes(client.app)))
    paths = {path for _, path in routes}
    assert {"/v1/ask", "/v1/documents", "/v1/openapi.json", "/source", "/metrics", "/gradio_api/queue/join"} <= paths
    named = ("another key", "no signature", "public key as a secret", "another audience", "expired")
    forged = [_forgeries()[name] for name in named] + ["pq_000000000000_x"]
    strangers = [{}, {"x-forwarded-user": "ann"}, *({"authorization": f"Bearer {secret}"} for secret in forged)]
    for method, path in routes:
        for headers in strangers:
            found = client.request(method, path, headers=headers)
            if path in OPEN:
                assert found.status_code in (200, 405), path
            elif found.status_code == 404:
                assert path.startswith("/gradio_api/")  # shut for everyone, by the guard
            else:
                assert found.status_code == 401, (method, path)
                assert found.headers["www-authenticate"] == "Bearer"
    for path in ("/ui/chat.js", "/v1/ask", "/"):
        assert client.get(path).status_code == 401


def test_every_route_is_shut_to_foreign_origins_and_hosts(client: TestClient) -> None:
    own = {"authorization": f"Bearer {token()}", "cookie": "session=1"}
    seen = 0
    endless = ("/gradio_api/heartbeat/{session_hash}", "/gradio_api/queue/data")
    for method, path in sorted(set(_routes(client.app))):
        for foreign in () if path in endless else ("https://evil.example", "null"):
            found = client.request(method, path, headers={**own, "origin": foreign, "sec-fetch-site": "cross-site"})
            told = {name: value for name, value in found.headers.items() if name.startswith("access-control-allow")}
            assert told == ({"access-control-allow-origin": "*"} if path in OPEN and path.startswith("/ui/") else {})
            assert method in ("GET", "HEAD", "OPTIONS") or found.status_code in (403, 404), (method, path)
            seen += found.status_code == 403
        assert client.request(method, path, headers={**own, "host": "evil.example"}).status_code == 421, path
    assert seen >= 20


def test_every_route_says_404_of_what_is_another_s(client: TestClient) -> None:
    ann, eve = ({"authorization": f"Bearer {token(sub=name)}"} for name in ("ann", "eve"))
    lines = client.post("/v1/chat", json={"question": "How long is parental leave?"}, headers=ann).text.splitlines()
    turn = json.loads(lines[0])
    upload = client.post("/v1/documents", params={"name": "a.txt"}, content="secret", headers=ann).json()
    names = {"{conversation}": turn["conversation"], "{turn}": turn["id"], "{upload_id}": upload["id"]}
    bodies = {"share": {"shared": True}, "feedback": {"good": True}, "{conversation}": {"title": "mine"}}
    walked = 0
    for method, path in sorted(set(_routes(client.app))):
        name = next((name for name in names if name in path), None)
        if name is None or method == "HEAD":
            continue
        body = bodies.get(path.rsplit("/", 1)[1]) if method == "POST" else None
        theirs = client.request(method, path.replace(name, names[name]), json=body, headers=eve)
        none = client.request(method, path.replace(name, "0" * 32), json=body, headers=eve)
        assert (theirs.status_code, none.status_code) == (404, 404), (method, path)
        assert theirs.text == none.text.replace("0" * 32, names[name])
        walked += 1
    assert walked >= 16  # under /chat and under /v1
    for path in (f"/v1/conversations/{turn['conversation']}", f"/v1/turns/{turn['id']}", f"/v1/uploads/{upload['id']}"):
        assert client.get(path, headers=ann).status_code == 200


@pytest.mark.parametrize(
    "name",
    ["x-forwarded-user", "x-forwarded-email", "x-auth-request-user", "x-auth-request-groups", "remote-user", "cookie"],
)
def test_a_header_that_is_not_signed_is_no_identity(client: TestClient, name: str) -> None:
    assert client.get("/v1/documents", headers={name: "ann"}).status_code == 401


# ---- signed identities


def test_a_signed_identity_has_its_user_and_groups(settings: Settings) -> None:
    login = Login(settings)
    assert login.identify(bearer(token())) == Identity("ann", ("staff", "user:ann"), frozenset({"ask", "upload"}))
    assert login.identify(bearer(token(groups="staff"))).groups == ("staff", "user:ann")
    assert login.identify(bearer(token(groups=None))).groups == ("user:ann",)
    assert login.identify(bearer(token(groups=["user:bob", "staff"]))).groups == ("staff", "user:ann")
    assert login.identify(bearer(token(groups=["staff", "librarians"]))).scopes == {"ask", "upload", "admin", "metrics"}


def _forgeries() -> dict[str, str]:
    now = int(time.time())
    body = token().split(".")
    none = jwt.encode(claims(), None, "none")
    with_public_key_as_secret = _hmac_with(PEM)
    return {
        "another key": token(OTHER),
        "no signature": none,
        "a cut signature": ".".join(body[:2]) + ".",
        "public key as a secret": with_public_key_as_secret,
        "algorithm not listed": token(algorithm="RS512"),
        "elliptic key": token(CURVE, "ES256"),
        "another audience": token(aud="wiki"),
        "no audience": token(aud=None),
        "expired": token(exp=now - 1),
        "no expiry": token(exp=None),
        "not yet": token(nbf=now + 600),
        "another issuer": token(iss="https://evil.example"),
        "no user": token(sub=None),
        "an empty user": token(sub=""),
        "the user of an API key": token(sub="key:reports"),
        "groups of no shape": token(groups={"staff": True}),
        "its own key": token(OTHER, headers={"jku": "https://evil.example/keys", "kid": "x"}),
        "changed": ".".join((body[0], token(sub="root").split(".")[1], body[2])),
        "no token": "x.y.z",
        "nothing": "",
    }


def _hmac_with(pem: str) -> str:
    """A token signed with HMAC and the public key as its secret, which PyJWT itself refuses to make."""
    import base64
    import hashlib
    import hmac

    def part(data: bytes) -> bytes:
        return base64.urlsafe_b64encode(data).rstrip(b"=")

    signed = part(json.dumps({"alg": "HS256", "typ": "JWT"}).encode()) + b"." + part(json.dumps(claims()).encode())
    return (signed + b"." + part(hmac.new(pem.encode(), signed, hashlib.sha256).digest())).decode()


@pytest.mark.parametrize("name", list(_forgeries()))
def test_a_forged_identity_is_401(client: TestClient, name: str) -> None:
    assert client.get("/v1/documents", headers={"authorization": f"Bearer {token()}"}).status_code == 200
    refused = client.get("/v1/documents", headers={"authorization": f"Bearer {_forgeries()[name]}"})
    assert refused.status_code == 401
    assert refused.json()["code"] == "unauthenticated"


def test_two_identities_in_one_request_are_none(client: TestClient) -> None:
    twice = [("authorization", f"Bearer {token()}"), ("authorization", f"Bearer {token(sub='root')}")]
    assert client.get("/v1/documents", headers=twice).status_code == 401


def test_keys_of_a_jwks_file_rotate_without_a_restart(settings: Settings, tmp_path: Path) -> None:
    import dataclasses

    file = tmp_path / "jwks.json"

    def publish(**keys: Any) -> None:
        made = [
            {
                **json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(key.public_key())),
                "kid": kid,
                "use": "sig",
                "alg": "RS256",
            }
            for kid, key in keys.items()
        ]
        file.write_text(json.dumps({"keys": made}))

    publish(old=RSA)
    login = Login(dataclasses.replace(settings, identity_key=str(file)))
    old, new = bearer(token(headers={"kid": "old"})), bearer(token(OTHER, headers={"kid": "new"}))
    assert login.identify(old).user == "ann"
    assert login.identify(bearer(token())).user == "ann"  # one key needs no name
    with pytest.raises(Refused):
        login.identify(new)
    time.sleep(0.02)
    publish(new=OTHER)
    assert login.identify(new).user == "ann"
    with pytest.raises(Refused):
        login.identify(old)


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"login": ("password",)}, "login: unknown"),
        ({"identity_key": ""}, "needs identity_key"),
        ({"identity_audience": ""}, "needs identity_key"),
        ({"identity_algorithms": ("HS256",)}, "public-key algorithms"),
        ({"identity_algorithms": ("none",)}, "public-key algorithms"),
        ({"identity_algorithms": ()}, "public-key algorithms"),
        ({"identity_key": "http://id.example/keys"}, "must come over https"),
        ({"identity_key": "no-such-file"}, "not a PEM public key or JWKS"),
        ({"keys": "", "index": "postgresql://db/x"}, "RAG_KEYS"),
    ],
)
def test_settings_that_would_let_anyone_in_are_refused(settings: Settings, changed: dict[str, Any], says: str) -> None:
    import dataclasses

    with pytest.raises(BadInput, match=says):
        Login(dataclasses.replace(settings, **changed))


def test_a_private_key_in_the_wrong_place_is_said(settings: Settings, tmp_path: Path) -> None:
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (tmp_path / "key.pem").write_bytes(RSA.private_bytes(*form))
    with pytest.raises(BadInput, match="private key"):
        Login(settings)


# ---- API keys


def test_a_key_works_until_it_is_revoked_and_only_its_hash_is_kept(client: TestClient, settings: Settings) -> None:
    keys = Keys(Path(settings.keys))
    key, secret = keys.add("reports", ("ask",), ("staff",))
    assert Login(settings).identify(bearer(secret)) == Identity("key:reports", ("staff", "user:key:reports"))
    assert Path(settings.keys).stat().st_mode & 0o077 == 0
    assert secret.split("_", 2)[2].encode() not in Path(settings.keys).read_bytes()
    headers = {"authorization": f"Bearer {secret}"}
    assert client.get("/v1/documents", headers=headers).status_code == 200
    assert client.delete("/v1/documents", params={"document": MEMO.id}, headers=headers).status_code == 403
    assert client.get("/metrics", headers=headers).status_code == 403
    assert client.get("/v1/status", headers=headers).status_code == 403
    for wrong in (secret[:-1], secret + "x", secret.swapcase(), f"pq_{key.id}_", "pq_", secret.removeprefix("pq_")):
        assert client.get("/v1/documents", headers={"authorization": f"Bearer {wrong}"}).status_code == 401
    assert client.get("/v1/documents", headers={"authorization": f"Basic {secret}"}).status_code == 401
    keys.revoke(key.id)
    assert client.get("/v1/documents", headers=headers).status_code == 401
    with pytest.raises(NotFound, match="rag keys list"):
        keys.revoke("nobody")


def test_a_key_expires(tmp_path: Path) -> None:
    keys = Keys(tmp_path / "keys.sqlite")
    key, secret = keys.add("month", ("ask",), None, days=30)
    assert keys.check(secret) == key
    day = datetime.timedelta(days=1)
    now = datetime.datetime.now(datetime.UTC)
    assert key.valid(now + 29 * day)
    assert not key.valid(now + 30 * day)
    with sqlite3.connect(tmp_path / "keys.sqlite") as db:
        db.execute("UPDATE keys SET expires = ?", ((now - day).isoformat(),))
    db.close()
    assert keys.check(secret) is None


def test_a_metrics_key_reads_figures_and_nothing_else(client: TestClient, settings: Settings) -> None:
    _, secret = Keys(Path(settings.keys)).add("prometheus", ("metrics",), ())
    headers = {"authorization": f"Bearer {secret}"}
    assert client.get("/metrics", headers=headers).status_code == 200
    assert client.post("/v1/ask", json={"question": "x"}, headers=headers).status_code == 403
    asked = {"document": MEMO.id, "start": 0, "end": 1}
    assert client.get("/source", params=asked, headers=headers).status_code == 403


def test_the_command_makes_lists_and_revokes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RAG_KEYS", "keys.sqlite")
    assert main(["keys", "add", "wiki bot", "--group", "staff", "--days", "9"]) == 0
    secret = capsys.readouterr().out.strip()
    key = Keys(tmp_path / "keys.sqlite").check(secret)
    assert key
    assert (key.name, key.scopes, key.groups) == ("wiki bot", ("ask",), ("staff",))
    assert main(["keys", "list"]) == 0
    listed = capsys.readouterr().out
    assert f"{key.id}  valid   wiki bot  ask; groups staff; until " in listed
    assert secret not in listed
    assert main(["keys", "revoke", key.id]) == 0
    assert main(["keys", "add", "x", "--group", "a", "--all-documents"]) == 1
    assert main(["keys", "add", "x", "--days", "0"]) == 1
    assert Keys(tmp_path / "keys.sqlite").check(secret) is None


# ---- off


def test_without_a_login_the_asker_is_local_and_the_network_stays_shut() -> None:
    assert Login(Settings()).identify(Headers({"authorization": "Bearer x"})) == LOCAL
    with pytest.raises(BadInput, match="without a login"):
        listen(Settings(host="0.0.0.0", port=0))
    with listen(Settings(host="0.0.0.0", port=0, login=("keys",))) as listener:
        assert listener.getsockname()[0] == "0.0.0.0"
