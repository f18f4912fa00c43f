"""The guide's own nginx and settings blocks, run: nginx before the app, and a stand-in for oauth2-proxy beside it."""

from __future__ import annotations

import datetime
import http.server
import ipaddress
import json
import os
import re
import shutil
import socket
import ssl
import subprocess
import threading
import time
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import jwt
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from rag.settings import Settings
from rag.web.portal import Server, create_app, listen
from tests.fakes import FakeAnswerer

NGINX = shutil.which("nginx", path=f"/usr/sbin:{os.environ.get('PATH', '')}")
if NGINX is None and "nginx" not in os.environ.get("REQUIRE", ""):
    pytest.skip("needs nginx (Debian package nginx-light)", allow_module_level=True)
pytestmark = pytest.mark.tools

GUIDE = (Path(__file__).parent.parent / "docs/portal.md").read_text("utf-8")
KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
LEAVE = "How long is parental leave?"


class _Proxy(http.server.BaseHTTPRequestHandler):
    """What nginx asks of oauth2-proxy: 202 with the ID token for a session it knows, else 401; and the sign-in page."""

    issuer = "https://id.example.org"

    def do_GET(self) -> None:
        session = re.search(r"_oauth2_proxy=(\w+)", self.headers.get("cookie", ""))
        if self.path == "/keys":
            key = {**json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(KEY.public_key())), "kid": "1", "use": "sig"}
            return self._say(200, json.dumps({"keys": [key]}))
        if self.path != "/oauth2/auth":
            return self._say(403, f"sign in to {self.headers['host']}")
        if not session:
            return self._say(401, "")
        claims = {"email": f"{session[1]}@example.org", "groups": ["staff"], "aud": "pullquote", "iss": self.issuer}
        token = jwt.encode({**claims, "exp": int(time.time()) + 60}, KEY, "RS256", headers={"kid": "1"})
        self._say(202, "", authorization=f"Bearer {token}")

    def _say(self, status: int, body: str, **headers: str) -> None:
        self.send_response(status)
        for name, value in {"content-length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, format: str, *args: object) -> None:
        pass


def _certificate(folder: Path) -> None:
    name = x509.Name([x509.NameAttribute(x509.oid.NameOID.COMMON_NAME, "ask.example.org")])
    now, own = datetime.datetime.now(datetime.UTC), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    made = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(KEY.public_key())
    made = made.serial_number(1).not_valid_before(now).not_valid_after(now + datetime.timedelta(days=1))
    made = made.add_extension(x509.SubjectAlternativeName([own]), critical=False)
    made = made.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (folder / "key.pem").write_bytes(KEY.private_bytes(*form))
    (folder / "cert.pem").write_bytes(made.sign(KEY, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))


def _block(language: str, having: str) -> str:
    return next(code for code in re.findall(rf"```{language}\n(.*?)```", GUIDE, re.DOTALL) if having in code)


def _free() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port


@pytest.fixture(scope="module")
def answerer() -> FakeAnswerer:
    return FakeAnswerer()


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory, answerer: FakeAnswerer) -> Iterator[tuple[str, Path]]:
    """(https address, folder) of nginx with the guide's configuration; every port is one that is free here."""
    folder = tmp_path_factory.mktemp("guide")
    _certificate(folder)
    proxy = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Proxy)
    threading.Thread(target=proxy.serve_forever, daemon=True).start()
    listener = listen(Settings(port=0))
    written = tomllib.loads(_block("toml", "identity_key"))
    written |= {"identity_key": f"http://127.0.0.1:{proxy.server_port}/keys", "index": str(folder)}
    written |= {name: str(folder / name) for name in ("request_log", "audit_log")}
    server = Server(create_app(answerer, Settings.load(written, {}, "none")))  # type: ignore[arg-type]
    running = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    running.start()
    port, block = _free(), _block("nginx", "auth_request ")
    for old, new in (
        ("listen 443 ssl", f"listen 127.0.0.1:{port} ssl"), ("127.0.0.1:4180", f"127.0.0.1:{proxy.server_port}"),
        ("127.0.0.1:7860", f"127.0.0.1:{listener.getsockname()[1]}"),
        ("/etc/ssl/certs/ask.example.org.pem", f"{folder}/cert.pem"),
        ("/etc/ssl/private/ask.example.org.key", f"{folder}/key.pem"),
    ):  # fmt: skip
        assert old in block
        block = block.replace(old, new)
    temporary = "".join(
        f"{name}_temp_path {folder}/{name}; " for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    (folder / "nginx.conf").write_text(
        f"{'user root;' if os.getuid() == 0 else ''} pid {folder}/pid; daemon off;"
        f" events {{}} http {{ access_log off; {temporary} {block} }}"
    )
    assert NGINX
    command = [NGINX, "-e", str(folder / "said"), "-c", str(folder / "nginx.conf"), "-p", str(folder)]
    nginx = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    try:
        while True:
            assert nginx.poll() is None, (folder / "said").read_text()
            try:
                socket.create_connection(("127.0.0.1", port)).close()
                break
            except OSError:
                time.sleep(0.05)
        yield f"https://127.0.0.1:{port}", folder
    finally:
        nginx.terminate()
        nginx.wait()
        answerer.gate.set()
        server.should_exit = True
        running.join()
        listener.close()
        proxy.shutdown()
        proxy.server_close()


@pytest.fixture
def client(address: tuple[str, Path]) -> Iterator[httpx.Client]:
    trusted = ssl.create_default_context(cafile=address[1] / "cert.pem")
    headers = {"host": "ask.example.org", "origin": "https://ask.example.org", "sec-fetch-site": "same-origin"}
    with httpx.Client(base_url=address[0], verify=trusted, headers=headers, timeout=60) as client:
        yield client


SIGNED_IN = {"cookie": "_oauth2_proxy=ann"}


@pytest.mark.parametrize("path", ["/", "/ui/chat.js", "/v1/documents", "/healthz"])
def test_a_stranger_sees_the_sign_in_page_and_nothing_else(client: httpx.Client, path: str) -> None:
    spoofed: list[dict[str, str]] = [{}, {"authorization": "Bearer x.y.z"}, {"x-forwarded-user": "ann"}]
    for headers in spoofed:
        assert client.get(path, headers=headers).text == "sign in to ask.example.org"


def test_who_signed_in_has_the_chat_and_the_api_under_their_own_name(client: httpx.Client, address: Any) -> None:
    page = client.get("/", headers=SIGNED_IN)
    assert (page.status_code, "max-age=31536000") == (200, page.headers["strict-transport-security"])
    assert client.get("/ui/chat.js", headers=SIGNED_IN).status_code == 200
    mine = jwt.encode({"email": "root@example.org", "aud": "pullquote", "exp": time.time() + 60}, "x" * 32)
    asked = client.post("/v1/ask", json={"question": LEAVE}, headers={**SIGNED_IN, "authorization": f"Bearer {mine}"})
    assert asked.json()["status"] == "answered"
    lines = [json.loads(line) for line in (address[1] / "audit_log").read_text().splitlines()]
    assert {line["user"] for line in lines} == {"ann@example.org"}
    foreign = {**SIGNED_IN, "origin": "https://evil.example", "sec-fetch-site": "cross-site"}
    assert client.post("/v1/ask", json={"question": LEAVE}, headers=foreign).status_code == 403
    assert client.get("/metrics", headers=SIGNED_IN).status_code == 403


def test_an_answer_is_streamed_through_the_proxy(client: httpx.Client, answerer: FakeAnswerer) -> None:
    answerer.gate.clear()
    with client.stream("POST", "/v1/chat", json={"question": LEAVE}, headers=SIGNED_IN) as response:
        lines = response.iter_lines()
        assert json.loads(next(lines))["kind"] == "asked"  # it is here although there is no answer yet
        answerer.gate.set()
        assert json.loads([*lines][-1])["kind"] == "answer"


def test_a_file_of_several_megabytes_passes(client: httpx.Client) -> None:
    sent = client.post("/v1/documents?name=a.bin", content=b"\0" * 5_000_000, headers=SIGNED_IN)
    assert sent.status_code == 202
    assert client.get("/v1/uploads", headers=SIGNED_IN).json()["kept"] == 5_000_000
    assert client.get("/v1/uploads", headers={"cookie": "_oauth2_proxy=eve"}).json()["uploads"] == []
