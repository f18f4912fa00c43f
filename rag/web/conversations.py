"""What the chat page asks of the server: questions, answered in lines of JSON, and the history that is kept of them.

The history is the server's: a page sends the id of its conversation with each question and holds nothing that is not
kept. An answer is finished and kept whether or not the page still listens.
"""

from __future__ import annotations

import dataclasses
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from pydantic import Field
from starlette.responses import JSONResponse, Response, StreamingResponse

from rag.errors import RagError
from rag.web.desk import VISITING, VISITOR, Asked, Desk, Strict, answering, refused
from rag.web.identity import Identity, require
from rag.web.limits import Gate
from rag.web.problem import Refused
from rag.web.shown import listed
from rag.web.takeaway import MEDIA, Form, export
from rag.web.watch import audit

YEAR = 365 * 24 * 3600  # seconds
HEADERS = {"cache-control": "no-store", "x-accel-buffering": "no"}


class Renamed(Strict):
    """A conversation's new title."""

    title: str = Field(max_length=10_000)


class Sharing(Strict):
    """Whether an answer may be read by whoever has its link."""

    shared: bool


class Rated(Strict):
    """What the asker thinks of an answer."""

    good: bool
    reason: str = Field(default="", max_length=100)
    comment: str = Field(default="", max_length=2_000)


def conversations(desk: Desk, gate: Gate, prefix: str = "/chat", asked: str = "/ask") -> APIRouter:
    """The routes under /chat, and with another prefix under /v1; SignOn must stand before them."""
    router = APIRouter(prefix=prefix)

    def reader(request: Request) -> tuple[Identity, str]:
        who = require(request, "ask")
        return who, desk.owner(request, who)

    @router.post(asked)
    async def ask(body: Asked, request: Request) -> StreamingResponse:
        """Answer in lines of JSON: `asked`, each `stage`, the `evidence` that is read, then `answer` or `problem`."""
        who, owner = reader(request)
        audit(request, "ask", body.question)
        await gate.enter()
        try:
            lines = await answering(desk, gate, who, owner, body)
        except RagError as error:  # an expected failure is told like one that comes later
            gate.leave()
            lines = refused(error)
        except BaseException:
            gate.leave()
            raise
        return StreamingResponse(lines, media_type="application/x-ndjson", headers=HEADERS)

    @router.get("/conversations")
    def list_(request: Request, response: Response, search: Annotated[str, Query(max_length=200)] = "") -> Any:
        """The reader's conversations, the latest first. It is what a page asks for first."""
        _, owner = reader(request)
        if owner.startswith(VISITING) and VISITOR not in request.cookies:
            response.set_cookie(VISITOR, owner.removeprefix(VISITING), YEAR, httponly=True, samesite="lax")
        return {"conversations": [listed(one) for one in desk.state.conversations(owner, search)]}

    @router.get("/conversations/{conversation}")
    def open_(conversation: str, request: Request) -> Any:
        """A conversation with its turns, each source proved again."""
        who, owner = reader(request)
        found = listed(desk.state.conversation(owner, conversation))
        turns = desk.shown(who, owner, *desk.state.turns(owner, conversation))
        return JSONResponse({**found, "turns": turns}, 200, HEADERS)

    @router.post("/conversations/{conversation}")
    def rename(conversation: str, body: Renamed, request: Request) -> Any:
        """Give a conversation another title."""
        _, owner = reader(request)
        desk.state.rename(owner, conversation, body.title)
        return listed(desk.state.conversation(owner, conversation))

    @router.delete("/conversations/{conversation}")
    def delete(conversation: str, request: Request) -> Any:
        """Delete a conversation."""
        desk.state.delete(reader(request)[1], conversation)
        return {"deleted": 1}

    @router.get("/turns/{turn}")
    def one(turn: str, request: Request) -> Any:
        """One turn: of the reader's own, or shared with whoever has the link."""
        who, owner = reader(request)
        return JSONResponse(desk.shown(who, owner, desk.state.turn(owner, turn))[0], 200, HEADERS)

    @router.get("/conversations/{conversation}/export")
    def take(conversation: str, request: Request, form: Form = "markdown") -> Response:
        """A conversation to take along; the printable page opens, the others are downloaded."""
        who, owner = reader(request)
        title = desk.state.conversation(owner, conversation).title
        written = export(title, desk.shown(who, owner, *desk.state.turns(owner, conversation)), form)
        media, ending = MEDIA[form]
        kept = "inline" if form == "html" else f'attachment; filename="conversation-{conversation[:8]}.{ending}"'
        return Response(written, 200, {**HEADERS, "content-disposition": kept}, f"{media}; charset=utf-8")

    @router.post("/turns/{turn}/stop")
    def stop(turn: str, request: Request) -> Any:
        """The answer is not wanted any more."""
        desk.state.stop(reader(request)[1], turn)
        return {"stopped": 1}

    @router.post("/turns/{turn}/share")
    def share(turn: str, body: Sharing, request: Request) -> Any:
        """Let whoever has the link read one answer (of what it cites, what they may read), or no longer."""
        desk.state.share(reader(request)[1], turn, body.shared)
        return {"shared": body.shared}

    @router.post("/turns/{turn}/feedback")
    def rate(turn: str, body: Rated, request: Request) -> Any:
        """Say whether an answer was good."""
        desk.state.rate(reader(request)[1], turn, body.good, body.reason, body.comment)
        audit(request, "rate", turn=turn, good=body.good)
        return {"good": body.good, "reason": body.reason}

    @router.get("/feedback")
    def feedback(request: Request) -> Any:
        """All feedback, for reviewers (scope `admin`, and access to every document: it holds what others were told)."""
        if require(request, "admin").groups is not None:
            raise Refused(403, "forbidden", "feedback quotes every document; use a key made with --all-documents")
        return JSONResponse({"feedback": [dataclasses.asdict(one) for one in desk.state.feedback()]}, 200, HEADERS)

    return router
