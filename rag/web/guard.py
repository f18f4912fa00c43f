"""What every request and response of the web app must pass: host, origin, size, headers."""

from __future__ import annotations

import re
import secrets
from collections.abc import Collection, Mapping
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from rag.errors import BadInput
from rag.web.problem import problem

BODY_LIMIT = 1_000_000  # bytes of one request, but for an upload
UPLOAD = ("POST", "/v1/documents")  # its own size is checked while it is received
# What a portal's page loads from here, whoever looks at it: the web component, without a word of any document in it.
EMBEDDED = ("/ui/widget.js", "/ui/parts.js")
SAFE_METHODS = ("GET", "HEAD", "OPTIONS")
# What the page needs of Gradio; its upload, file, proxy, call and component routes stay shut.
GRADIO_API = ("app_id", "queue/join", "queue/data", "heartbeat/", "cancel", "reset", "startup-events")
_ORIGIN = re.compile(r"https?://[A-Za-z0-9.-]+(:\d{1,5})?")
HEADERS = {
    "x-content-type-options": "nosniff",
    "x-frame-options": "SAMEORIGIN",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), microphone=(), geolocation=()",
}
ANYWHERE = {"cross-origin-resource-policy": "cross-origin", "access-control-allow-origin": "*"}
# Gradio evaluates component templates and puts styles into the page; scripts run from our files or with the nonce.
POLICY = (
    "default-src 'self'; script-src 'self' 'nonce-{nonce}' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; font-src 'self' data:; connect-src 'self'; object-src 'none'; base-uri 'self'; "
    "form-action 'self'; frame-ancestors 'self'{portals}"
)


class Guard:
    """ASGI middleware. Refuses foreign hosts and origins, and puts the security headers on every response."""

    def __init__(self, app: ASGIApp, hosts: Collection[str], portals: Collection[str] = (), hsts: int = 0) -> None:
        self.app = app
        self.hosts = {host.lower() for host in hosts}
        self.portals = {checked(origin) for origin in portals}
        self.headers = dict(HEADERS)
        if portals:
            del self.headers["x-frame-options"]  # it cannot name an origin; frame-ancestors does
        if hsts:
            self.headers["strict-transport-security"] = f"max-age={hsts}"
        self.policy = POLICY.replace("{portals}", "".join(f" {origin}" for origin in sorted(self.portals)))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            return await self.app(scope, receive, send)
        if scope["type"] != "http":  # nothing here speaks WebSocket
            return await send({"type": "websocket.close", "code": 1008})
        headers = {**self.headers, **ANYWHERE} if scope["path"] in EMBEDDED else self.headers
        answer = _Answer(send, headers, self.policy)
        refused = refusal(scope["method"], scope["path"], Headers(scope=scope), self.hosts, self.portals)
        if refused:
            return await problem(refused[0], "refused", refused[1])(scope, receive, answer.send)
        if scope["path"] == "/":  # the nonce goes into the page, so it must not arrive compressed
            scope = {**scope, "headers": [pair for pair in scope["headers"] if pair[0] != b"accept-encoding"]}
        return await self.app(scope, receive, answer.send)


class PortalCors(CORSMiddleware):
    """Lets pages of the portal's origins call the API with their cookies, and nothing but the API."""

    def __init__(self, app: ASGIApp, origins: Collection[str]) -> None:
        listed = [checked(origin) for origin in origins]
        methods, names = ("GET", "POST"), ("content-type", "accept", "authorization")
        super().__init__(app, listed, allow_methods=methods, allow_headers=names, allow_credentials=True)
        self.listed = listed

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        listed = scope["type"] == "http" and Headers(scope=scope).get("origin") in self.listed
        if listed and scope["path"].startswith("/v1/"):
            return await super().__call__(scope, receive, send)
        await self.app(scope, receive, send)


def checked(origin: str) -> str:
    """An origin of the settings. Raises BadInput when it is none: it would end up in a header."""
    if not _ORIGIN.fullmatch(origin):
        raise BadInput(f"portal_origins: {origin!r} is not an origin such as https://portal.example")
    return origin.lower()


def refusal(
    method: str, path: str, headers: Headers, hosts: Collection[str], portals: Collection[str] = ()
) -> tuple[int, str] | None:
    """(status, one line) when the request must not be served."""
    host = headers.get("host", "").lower()
    name = host[: host.find("]") + 1] if host.startswith("[") else host.partition(":")[0]
    if name not in hosts:
        return 421, f"Host {name!r} is not served here; add it to allowed_hosts if it should be."
    if path.startswith("/gradio_api/") and not path.removeprefix("/gradio_api/").startswith(GRADIO_API):
        return 404, "Not found."
    if method in SAFE_METHODS:
        return None
    origin = headers.get("origin")
    portal = origin is not None and origin.lower() in portals and path.startswith("/v1/")
    site = headers.get("sec-fetch-site")
    form = origin == "null" and site == "same-origin"  # a form of our own pages, whose Referrer-Policy hides the origin
    foreign = origin is not None and not form and urlsplit(origin).netloc.lower() != host
    if not portal and (foreign or site not in (None, "same-origin", "none")):
        return 403, "A page of another origin may not do this."
    length = headers.get("content-length", "" if "transfer-encoding" in headers else "0")  # neither: there is no body
    if not length.isdecimal():
        return 411, "The request must state its length."
    large = int(length) > BODY_LIMIT and (method, path) != UPLOAD
    return (413, f"The request is larger than {BODY_LIMIT} bytes.") if large else None


class _Answer:
    """One response on its way out: security headers on its start, the nonce on the scripts of a page."""

    def __init__(self, send: Send, headers: Mapping[str, str], policy: str) -> None:
        self._send = send
        self._headers, self._policy = headers, policy
        self._nonce = secrets.token_urlsafe(16)
        self._start: Message | None = None  # held back until the page is complete
        self._page = b""

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            stricter = headers.get("content-security-policy")  # of an original, which is sandboxed
            policy = stricter or self._policy.format(nonce=self._nonce)
            headers.update({**self._headers, "content-security-policy": policy})
            if headers.get("content-type", "").startswith("text/html") and "content-encoding" not in headers:
                self._start = message
                return
        elif self._start is not None and message["type"] == "http.response.body":
            self._page += message.get("body", b"")
            if message.get("more_body"):
                return
            page = self._page.replace(b"<script", f'<script nonce="{self._nonce}"'.encode())
            MutableHeaders(scope=self._start)["content-length"] = str(len(page))
            await self._send(self._start)
            message = {**message, "body": page}
        await self._send(message)
