"""How a portal on another site lets its visitors in: its server gets a ticket with an API key, its page changes the
ticket for a session, once. The frame's session is a partitioned cookie; the web component's is a token in its memory,
valid for that page's origin only."""

from __future__ import annotations

import functools
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import Depends, FastAPI, Request
from fastapi.responses import HTMLResponse, JSONResponse
from pydantic import Field

from rag.errors import BadInput
from rag.settings import Settings
from rag.state.tickets import SECONDS, Tickets
from rag.web import pages
from rag.web.desk import Strict
from rag.web.identity import EMBED, KEY, OWN, SESSION, VISITOR, Identity, Login, require
from rag.web.problem import Refused
from rag.web.watch import audit

NO_STORE = {"cache-control": "no-store"}


class Holder(Strict):
    """Whom a ticket is for, as the portal knows them."""

    user: str = Field(min_length=1, max_length=200)
    groups: list[Annotated[str, Field(min_length=1, max_length=200)]] = Field(default=[], max_length=200)


class Shown(Strict):
    """A ticket that is changed for a session."""

    ticket: str = Field(max_length=200)


class TicketJson(Strict):
    """A ticket, the seconds it lasts, and the address of a frame that is opened with it."""

    ticket: str
    expires_in: int
    url: str


class SessionJson(Strict):
    """A session and its seconds; null when it is in the cookie."""

    session: str | None
    expires_in: int


def ticketer(request: Request) -> Identity:
    """Someone with the scope `ticket`."""
    return require(request, "ticket")


def mount(app: FastAPI, api: FastAPI, settings: Settings, login: Login) -> None:
    """Add /embed to `app`, /tickets and /session to `api`."""
    sessions, portals = login.embedded, {origin.lower() for origin in settings.portal_origins}
    assert sessions
    kept = functools.cache(lambda: Tickets(settings))

    @api.post("/tickets", response_model=TicketJson, status_code=201)
    def make(body: Holder, who: Annotated[Identity, Depends(ticketer)], request: Request) -> JSONResponse:
        """A ticket for one visitor of a portal, from the portal's server: it is valid once, for 60 seconds."""
        if "origin" in request.headers:
            raise Refused(403, "forbidden", "a key does not belong in a page; ask for tickets from the portal's server")
        if not body.user.isprintable() or any(group.startswith(OWN) for group in body.groups):
            raise BadInput(f"a user is printable, and no group begins with {OWN}")
        if who.groups is not None and not set(body.groups) <= set(who.groups):
            raise Refused(403, "forbidden", "the ticket names groups that the key does not have")
        user = f"{VISITOR}{quote(who.user.removeprefix(KEY), safe='')}:{body.user}"
        holder = {"user": user, "groups": body.groups, "scopes": ["ask", *sorted(who.scopes & {"upload"})]}
        sessions.made(holder)  # too many groups are said now
        audit(request, "ticket", holder=user)
        ticket = kept().make(holder)
        found = {"ticket": ticket, "expires_in": SECONDS, "url": f"{sessions.address}{EMBED}#{ticket}"}
        return JSONResponse(found, 201, NO_STORE)

    @api.post("/session", response_model=SessionJson)
    def enter(body: Shown, request: Request) -> JSONResponse:
        """Change a ticket for a session, once: in a portal's page for a token, in the frame for a cookie."""
        origin = request.headers.get("origin", "").lower()
        if origin not in (*portals, sessions.address.lower()):
            raise Refused(403, "forbidden", "a ticket is changed in the frame or in a page of portal_origins")
        holder = kept().take(body.ticket)
        if holder is None:
            raise Refused(401, "ticket", "the ticket is not known, was used or is too old; reload the page")
        audit(request, "session", holder=holder["user"])
        given: dict[str, Any] = {"session": None, "expires_in": sessions.seconds}
        if origin in portals:
            return JSONResponse({**given, "session": f"{SESSION}{sessions.made(holder, origin)}"}, headers=NO_STORE)
        response = JSONResponse(given, headers=NO_STORE)
        sessions.begin(response, sessions.made(holder))
        return response

    @app.get(EMBED)
    def frame() -> HTMLResponse:
        return HTMLResponse(pages.enter(settings.title), headers=NO_STORE)
