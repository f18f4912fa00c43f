"""Who asks: one function for chat, API and files. Off, API keys, a token signed for a reverse proxy, a
session, or a portal's ticket. Door: jwt."""

from __future__ import annotations

import dataclasses
import threading
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote, urlsplit

import jwt
from anyio import to_thread
from fastapi import Depends, Request
from starlette.datastructures import Headers
from starlette.responses import RedirectResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from rag.errors import BadInput
from rag.keys import PREFIX, SCOPES, Keys, file_of
from rag.settings import Settings
from rag.web.guard import EMBEDDED
from rag.web.problem import Refused, of
from rag.web.session import Embedded, Sessions

OPEN = ("/healthz", "/readyz", *EMBEDDED)  # what anyone may fetch
START = "/login/start"
SIGN_IN = (START, "/login/callback", "/login/out")  # what a stranger may also fetch where people sign in here
SIGNED = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
EMBED = "/embed"
ENTER = (EMBED, "/ui/enter.js", "/v1/session")  # what a stranger may also fetch where tickets let people in
KEY = "key:"  # begins the user of an API key
VISITOR = "ticket:"  # begins the user of a ticket: then come the name of the key and the portal's own name for them
SESSION = "pqs_"  # begins a session that a portal's page holds
PERSON = ("ask", "upload")  # scopes of everyone who signs in
STAFF = (*PERSON, "admin", "metrics")  # and of administrators
OWN = "user:"  # begins the groups of one user; no token can claim them
REFRESH = 300  # seconds after which a JWKS address is read again; an unknown key asks for it after COOL_DOWN
COOL_DOWN = 30


@dataclass(frozen=True, slots=True)
class Identity:
    """An asker. `groups` None: access is not checked. Without a scope of `keys.SCOPES` nothing can be done."""

    user: str
    groups: tuple[str, ...] | None  # with `own`, the group that nobody else is in
    scopes: frozenset[str] = frozenset({"ask"})
    session: bool = False  # signed in here, and so able to sign out

    @property
    def own(self) -> str:
        """The group of this user alone: what they upload carries it."""
        return f"{OWN}{self.user}"


LOCAL = Identity("local", None, frozenset(SCOPES))


def identify(request: Any) -> Identity:
    """Who sent a request (of Starlette or Gradio), as `SignOn` found out. Raises Refused when it did not."""
    found = getattr(request, "request", request).scope.get("state", {}).get("identity")
    if not isinstance(found, Identity):
        raise Refused(401, "unauthenticated", "sign in first")
    return found


def require(request: Any, scope: str) -> Identity:
    """`identify`, and Refused (403) without this scope."""
    found = identify(request)
    if scope not in found.scopes:
        raise Refused(403, "forbidden", f"this needs the scope {scope!r}")
    return found


def asker(request: Request) -> Identity:
    """Someone with the scope `ask`."""
    return require(request, "ask")


def admin(request: Request) -> Identity:
    """Someone with the scope `admin`."""
    return require(request, "admin")


Asker = Annotated[Identity, Depends(asker)]


def uploader(request: Request) -> Identity:
    """Someone with the scope `upload`."""
    return require(request, "upload")


Uploader = Annotated[Identity, Depends(uploader)]
Admin = Annotated[Identity, Depends(admin)]


class SignOn:
    """ASGI middleware. Every request but those for `OPEN` has an identity in its state, or is answered 401."""

    def __init__(self, app: ASGIApp, login: Login) -> None:
        self.app = app
        self.login = login

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] not in self.login.open:
            try:
                found = await to_thread.run_sync(self.login.identify, Headers(scope=scope))
            except Refused as refused:
                page = scope["method"] == "GET" and "text/html" in Headers(scope=scope).get("accept", "")
                if page and self.login.sessions:
                    there = RedirectResponse(f"{START}?next={quote(scope['path'], safe='/')}", 303)
                    return await there(scope, receive, send)
                return await of(refused)(scope, receive, send)
            scope.setdefault("state", {})["identity"] = found
        await self.app(scope, receive, send)


class Login:
    """The ways in that the settings allow. Raises BadInput for settings that would let anyone in."""

    def __init__(self, settings: Settings) -> None:
        unknown = sorted(set(settings.login) - {"keys", "header", "oidc", "tickets"})
        if unknown:
            raise BadInput(f'login: unknown {unknown}; it is a list of "keys", "header", "oidc" and "tickets"')
        self.settings = settings
        self._keys = Keys(file_of(settings)) if "keys" in settings.login else None
        self._signers = _signers(settings) if "header" in settings.login else None
        self.sessions = Sessions(settings) if "oidc" in settings.login else None
        self.embedded = Embedded(settings) if "tickets" in settings.login else None
        self.open = (*OPEN, *(SIGN_IN if self.sessions else ()), *(ENTER if self.embedded else ()))
        if self.embedded and not (self._keys and settings.portal_origins):
            raise BadInput('login = "tickets" needs "keys" beside it, and portal_origins')
        if self.sessions:
            _algorithms(settings)

    def identify(self, headers: Headers) -> Identity:
        """Who these headers belong to. Raises Refused (401)."""
        if not self.settings.login:
            return LOCAL
        bearer = _bearer(headers, "authorization")
        if self._keys and bearer.startswith(PREFIX):
            key = self._keys.check(bearer)
            if key:
                return _member(f"{KEY}{key.name}", key.groups, key.scopes)
            raise _unknown("the API key is not known, has expired or was revoked")
        if self.embedded and bearer.startswith(SESSION):
            return _visitor(self.embedded.read(bearer.removeprefix(SESSION), headers.get("origin", "").lower()))
        token = _bearer(headers, self.settings.identity_header) if self._signers else ""
        if self.sessions and not token and (claims := self.sessions.claims(headers)):
            return dataclasses.replace(self.member(claims), session=True)
        if self.embedded and not token and (claims := self.embedded.claims(headers)):
            return _visitor(claims)
        if self._signers:
            return self._signed(token)
        if self.sessions:
            raise _unknown(f"sign in at {START}")
        raise _unknown("send an API key as `Authorization: Bearer …`")

    def _signed(self, token: str) -> Identity:
        assert self._signers is not None
        chosen = self.settings
        if not token:
            raise _unknown("no signed identity came with the request; sign in at the portal")
        try:
            claims = jwt.decode(
                token,
                self._signers.key(jwt.get_unverified_header(token).get("kid")),
                algorithms=list(chosen.identity_algorithms),
                audience=chosen.identity_audience,
                issuer=chosen.identity_issuer or None,
                options={"require": ["exp", "aud", chosen.identity_user]},
            )
        except (jwt.PyJWTError, ValueError, TypeError) as error:
            raise _unknown(f"the signed identity is not valid ({type(error).__name__})") from None
        return self.member(claims)

    def member(self, claims: Mapping[str, Any]) -> Identity:
        """Who these proven claims are of. Raises Refused (401) when they name nobody."""
        chosen = self.settings
        user, groups = claims.get(chosen.identity_user), claims.get(chosen.identity_groups, ())
        groups = (groups,) if isinstance(groups, str) else groups
        if (
            not isinstance(user, str)
            or not user
            or user.startswith((KEY, VISITOR))
            or not isinstance(groups, list | tuple)
        ):
            raise _unknown("the signed identity has no usable user or groups")
        member = tuple(group for group in groups if isinstance(group, str) and not group.startswith(OWN))
        admin = not set(member).isdisjoint(chosen.admin_groups)
        return _member(user, member, STAFF if admin else PERSON)


class _Signers:
    """The public keys that are trusted: one PEM key, a JWKS file (read again when it changes) or a JWKS address."""

    def __init__(self, place: str, algorithms: Collection[str]) -> None:
        self._place = place
        self._remote = urlsplit(place).scheme in ("http", "https")
        self._client = jwt.PyJWKClient(place, cache_jwk_set=True, lifespan=REFRESH, timeout=5) if self._remote else None
        self._guard = threading.Lock()
        self._asked = 0.0
        self._read: tuple[int, Any] = (-1, None)
        if not self._remote:
            self._local()

    def key(self, kid: str | None) -> Any:
        """The key of this id, as jwt wants it. Raises PyJWTError when it is not known."""
        with self._guard:
            if self._client is None:
                found = self._local()
                return found if isinstance(found, str) else _of_set(found, kid)
            try:
                return _of_set(self._client.get_jwk_set(), kid)
            except jwt.PyJWKSetError:
                if time.monotonic() - self._asked < COOL_DOWN:
                    raise
                self._asked = time.monotonic()
                return _of_set(self._client.get_jwk_set(refresh=True), kid)

    def _local(self) -> Any:
        file = Path(self._place)
        try:
            changed = file.stat().st_mtime_ns
            if changed != self._read[0]:
                text = file.read_text("utf-8")
                if "PRIVATE KEY" in text:
                    raise ValueError("it holds a private key; give the public one")
                self._read = (changed, text if "BEGIN PUBLIC KEY" in text else jwt.PyJWKSet.from_json(text))
        except (OSError, ValueError, KeyError, AttributeError, jwt.PyJWTError) as error:
            raise BadInput(f"identity_key {self._place}: not a PEM public key or JWKS ({error})") from None
        return self._read[1]


def _algorithms(settings: Settings) -> None:
    odd = sorted(set(settings.identity_algorithms) - set(SIGNED))
    if odd or not settings.identity_algorithms:
        raise BadInput(f"identity_algorithms: {odd or 'none'}; choose public-key algorithms of {', '.join(SIGNED)}")


def _signers(settings: Settings) -> _Signers:
    _algorithms(settings)
    if not settings.identity_key or not settings.identity_audience:
        raise BadInput('login = "header" needs identity_key (who signs) and identity_audience (for whom)')
    parts = urlsplit(settings.identity_key)
    if parts.scheme == "http" and parts.hostname not in ("127.0.0.1", "localhost", "::1"):
        raise BadInput(f"identity_key {settings.identity_key}: keys must come over https://")
    return _Signers(settings.identity_key, settings.identity_algorithms)


def _of_set(keys: jwt.PyJWKSet, kid: str | None) -> Any:
    usable = [k for k in keys.keys if k.public_key_use in (None, "sig") and k.key_type in ("RSA", "EC", "OKP")]
    found = [k for k in usable if k.key_id == kid] if kid is not None else usable
    if len(found) != 1:
        raise jwt.PyJWKSetError("no such key")
    return found[0]


def _member(user: str, groups: tuple[str, ...] | None, scopes: Collection[str]) -> Identity:
    own = None if groups is None else (*groups, f"{OWN}{user}")
    return Identity(user, own, frozenset(scopes))


def _visitor(claims: Mapping[str, Any]) -> Identity:
    """Whom a portal sent. Raises Refused (401) without claims."""
    if not claims:
        raise _unknown("the session is over; reload the page")
    return _member(claims["user"], tuple(claims["groups"]), claims["scopes"])


def _bearer(headers: Headers, name: str) -> str:
    """The one value of a header, without `Bearer`. Refused when it is there twice: two readers could differ."""
    values = headers.getlist(name)
    if len(values) > 1:
        raise _unknown(f"the header {name} came more than once")
    kind, _, rest = (values[0] if values else "").strip().partition(" ")
    return rest.strip() if kind.lower() == "bearer" else "" if name == "authorization" else kind


def _unknown(detail: str) -> Refused:
    return Refused(401, "unauthenticated", detail, {"www-authenticate": "Bearer"})
