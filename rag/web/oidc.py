"""Sign-in at an OpenID Connect provider: authorization code with state, nonce and PKCE. Door: authlib."""

from __future__ import annotations

import logging
import re
from typing import Any

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from rag.errors import BadInput
from rag.settings import Settings
from rag.web import pages
from rag.web.identity import Login
from rag.web.problem import Refused, of

log = logging.getLogger(__name__)
MINUTES = 10  # that a sign-in may take
LEEWAY = 30  # seconds that clocks may differ
_LOCAL = re.compile(r"/(?!/)[!-\[\]-~]*")  # a path of this server: printable ASCII without a backslash


def mount(app: Any, settings: Settings, login: Login) -> None:
    """Add /login to `app`. Raises BadInput when the optional libraries or a setting are missing."""
    try:
        from authlib.integrations.starlette_client import OAuth
        from starlette.middleware.sessions import SessionMiddleware
    except ImportError:
        raise BadInput('login = "oidc" needs Authlib; run `pip install "pullquote[oidc]"`') from None
    if not settings.oidc_issuer or not settings.oidc_client or not settings.oidc_secret:
        raise BadInput('login = "oidc" needs oidc_issuer, oidc_client and oidc_secret')
    sessions, issuer = login.sessions, settings.oidc_issuer.rstrip("/")
    assert sessions
    provider = OAuth().register(
        "provider",
        client_id=settings.oidc_client,
        client_secret=settings.oidc_secret,
        server_metadata_url=f"{issuer}/.well-known/openid-configuration",
        client_kwargs={"scope": settings.oidc_scope, "code_challenge_method": "S256", "timeout": 10},
    )

    async def known() -> None:
        """The provider's description; the algorithms are ours to choose, not its."""
        found = await provider.load_server_metadata()
        if found["issuer"].rstrip("/") != issuer:
            raise ValueError(f"the provider calls itself {found['issuer']}")
        found["id_token_signing_alg_values_supported"] = list(settings.identity_algorithms)

    async def start(request: Request) -> Response:
        request.session.clear()
        try:
            await known()
            response: Response = await provider.authorize_redirect(request, f"{sessions.address}/login/callback")
        except Exception as error:
            log.warning("the identity provider cannot be used: %r", error)
            return of(Refused(503, "sign_in", f"the identity provider cannot be used ({type(error).__name__})"))
        request.session["next"] = local(request.query_params.get("next", "/"))
        return response

    async def callback(request: Request) -> Response:
        then = local(request.session.get("next", "/"))
        try:
            await known()
            named = {"iss": {"essential": True, "value": provider.server_metadata["issuer"]}}
            named |= {"aud": {"essential": True, "value": settings.oidc_client}, "exp": {"essential": True}}
            token = await provider.authorize_access_token(request, claims_options=named, leeway=LEEWAY)
            claims = dict(token["userinfo"])
            login.member(claims)
            kept = (settings.identity_user, settings.identity_groups)
            session = sessions.made({name: claims[name] for name in kept if name in claims})
        except Refused as refused:
            request.session.clear()
            return of(refused)
        except Exception as error:  # whatever the provider or a stranger sends, nobody is signed in by it
            log.info("a sign-in was refused: %r", error)
            request.session.clear()
            return of(Refused(401, "sign_in", f"the sign-in is not valid ({type(error).__name__}); begin again"))
        request.session.clear()
        response = RedirectResponse(sessions.address + then, 303)
        sessions.begin(response, session)
        return response

    async def out(request: Request) -> Response:
        if request.method == "GET":
            return HTMLResponse(pages.sign_out(settings.title, bool(sessions.claims(request.headers))))
        response = RedirectResponse(f"{sessions.address}/login/out", 303)
        sessions.end(response)
        return response

    routes = [Route("/start", start), Route("/callback", callback), Route("/out", out, methods=["GET", "POST"])]
    guard = Middleware(
        SessionMiddleware, secret_key=f"{settings.session_secret}:sign-in", session_cookie="pullquote_sign_in",
        max_age=60 * MINUTES, path="/login", https_only=sessions.secure,
    )  # fmt: skip
    app.mount("/login", Starlette(routes=routes, middleware=[guard]))


def local(path: str) -> str:
    """A path of this server; any other place is not gone to."""
    return path if _LOCAL.fullmatch(path) else "/"
