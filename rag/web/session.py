"""The session of someone who signed in here: claims in a signed cookie that scripts and other sites do not get."""

from __future__ import annotations

import time
from collections.abc import Mapping
from http.cookies import CookieError, SimpleCookie
from typing import Any
from urllib.parse import urlsplit

import jwt
from starlette.datastructures import Headers
from starlette.responses import Response

from rag.errors import BadInput
from rag.settings import Settings
from rag.web.problem import Refused

ALGORITHM = "HS256"
LONGEST = 3_800  # bytes of a cookie that browsers keep
EMBEDDED = 3_600  # seconds of a session that a ticket opened
SHORTEST = 32  # characters of the secret


class Sessions:
    """Makes and reads session cookies. Raises BadInput for settings under which they would not be safe."""

    def __init__(self, settings: Settings) -> None:
        parts = urlsplit(settings.public_url)
        self.secure = parts.scheme == "https"
        here = parts.scheme == "http" and parts.hostname in ("127.0.0.1", "localhost", "::1")
        if not (self.secure or here) or not parts.netloc or parts.path.strip("/") or parts.query:
            raise BadInput(f"public_url {settings.public_url!r}: it is https:// and the host that browsers know")
        if len(settings.session_secret) < SHORTEST:
            raise BadInput(f"session_secret needs {SHORTEST} characters or more, for example of `openssl rand -hex 32`")
        self.address = f"{parts.scheme}://{parts.netloc}"
        self.name = "__Host-pullquote" if self.secure else "pullquote_session"
        self.seconds = 3600 * settings.session_hours
        self._secret = settings.session_secret

    def made(self, claims: Mapping[str, Any], audience: str = "") -> str:
        """A new session, of the cookie or for another audience. Raises Refused when a browser would not keep it."""
        named = {
            "aud": audience or self.name,
            "iss": self.address,
            "exp": int(time.time()) + self.seconds,
            "claims": dict(claims),
        }
        made = jwt.encode(named, self._secret, ALGORITHM)
        if len(made) > LONGEST:
            raise Refused(403, "too_many_groups", "the token lists more groups than a cookie holds; let it list fewer")
        return made

    def begin(self, response: Response, session: str) -> None:
        """Give this session to the browser, in place of any other."""
        response.set_cookie(self.name, session, self.seconds, secure=self.secure, httponly=True, samesite="lax")

    def end(self, response: Response) -> None:
        """Take the cookie away."""
        response.delete_cookie(self.name, secure=self.secure, httponly=True, samesite="lax")

    def claims(self, headers: Headers) -> dict[str, Any]:
        """The claims of the session that came with a request; none when there is no valid one."""
        try:
            cookie = SimpleCookie(headers.get("cookie", "")).get(self.name)
        except CookieError:
            return {}
        return self.read(cookie.value if cookie else "", self.name)

    def read(self, session: str, audience: str) -> dict[str, Any]:
        """The claims of a session for this audience; none when it is not valid."""
        options: Any = {"require": ["exp", "aud", "iss"]}
        try:
            found = jwt.decode(
                session, self._secret, [ALGORITHM], audience=audience, issuer=self.address, options=options
            )
        except jwt.PyJWTError:
            return {}
        claims: dict[str, Any] = found["claims"]
        return claims


class Embedded(Sessions):
    """The short session of a portal's visitor on another site. Its cookie reaches only the pages under that portal
    (`Partitioned`); the ones of a page's memory have that page's origin as their audience."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self.name = "__Host-pullquote-embed" if self.secure else "pullquote_embed"
        self.seconds = EMBEDDED

    def begin(self, response: Response, session: str) -> None:
        """Give this session to the browser, in place of any other."""
        way = "Path=/; HttpOnly; Secure; SameSite=None; Partitioned"  # Starlette knows the last one from Python 3.14 on
        response.headers.append("set-cookie", f"{self.name}={session}; Max-Age={self.seconds}; {way}")
