"""The API under /v1: the engine as JSON, with OpenAPI. Errors are RFC 9457 problem details."""

from __future__ import annotations

import dataclasses
import functools
from typing import TYPE_CHECKING, Annotated, Any

from anyio import to_thread
from fastapi import FastAPI, Query, Request
from starlette.responses import JSONResponse, Response, StreamingResponse

from rag import __version__
from rag.errors import BadInput
from rag.readable import Readable
from rag.settings import Settings
from rag.types import Filters, Page, Section
from rag.verify import Proof, verify
from rag.web import library
from rag.web.conversations import conversations
from rag.web.desk import Desk
from rag.web.identity import Asker, Identity
from rag.web.limits import Gate
from rag.web.problem import PROBLEMS, explain
from rag.web.shapes import AnswerJson, HitsJson, Limits, ProofsJson, Question, Saved, Sought, SourceJson, WidgetJson
from rag.web.stream import begin, events
from rag.web.watch import audit
from rag.web.words import WIDGET

if TYPE_CHECKING:
    from rag.answer import Answerer

LARGEST = 400_000  # code points of one source range
NO_STORE = {"cache-control": "no-store"}


def create_api(answerer: Answerer, desk: Desk, settings: Settings) -> FastAPI:
    """The app that is mounted at /v1; SignOn must stand before it."""
    api = FastAPI(title=f"{settings.title} API", version=__version__, docs_url=None, redoc_url=None, responses=PROBLEMS)
    api.state.gate = gate = Gate(settings.at_once, settings.waiting)
    explain(api)
    library.routes(api, answerer, lambda: desk.state, settings)
    api.include_router(conversations(desk, gate, "", "/chat"))

    @api.post("/ask", response_model=AnswerJson)
    async def ask(body: Question, who: Asker, request: Request) -> Response:
        """Answer with quotes, or be silent and say why.

        With `Accept: text/event-stream` come events: `stage` as each is done, each `citation`, then the `answer`;
        or `problem`.
        """
        audit(request, "ask", body.question)
        given = [said if isinstance(said, str) else said.model_dump() for said in body.history]
        answer = functools.partial(answerer.ask, body.question, given, _filters(body.filters, who))
        if "text/event-stream" in request.headers.get("accept", ""):
            await gate.enter()
            return StreamingResponse(events(begin(answer, gate)), media_type="text/event-stream", headers=NO_STORE)
        async with gate:
            return JSONResponse((await to_thread.run_sync(answer)).to_dict(), headers=NO_STORE)

    @api.get("/widget", response_model=WidgetJson)
    def widget(who: Asker) -> dict[str, Any]:
        """What the web component says."""
        return {"title": settings.title, "words": WIDGET}

    @api.post("/search", response_model=HitsJson)
    async def search(body: Sought, who: Asker, request: Request) -> Response:
        """The passages nearest to a question."""
        audit(request, "search", body.question)
        look = functools.partial(answerer.search, body.question, _filters(body.filters, who), body.mode, body.top)
        async with gate:
            hits = await to_thread.run_sync(look)
        rows = [
            {"document_id": h.document_id, "start": h.start, "end": h.end, "text": h.text, "score": round(h.score, 6)}
            for h in hits
        ]
        return JSONResponse({"hits": rows}, headers=NO_STORE)

    @api.get("/sources", response_model=SourceJson)
    def sources(
        document: str,
        who: Asker,
        start: Annotated[int, Query(ge=0)] = 0,
        end: Annotated[int | None, Query(ge=0)] = None,
    ) -> JSONResponse:
        """A range of a document's canonical text (at most 400,000 characters), its pages and sections."""
        found = Readable(answerer.index, who.groups).document(document)
        size = len(found.text)
        last = min(size, start + LARGEST) if end is None else end
        if not start <= last <= size or last - start > LARGEST:
            raise BadInput(f"{start}:{last} is not a range of {size} characters, of which {LARGEST} come at once")

        def touched(part: Page | Section) -> bool:
            return part.start < last and start < part.end

        body = {name: getattr(found, name) for name in ("title", "source", "collection", "date", "revision")}
        body |= {"author": found.author, "language": found.language}
        body |= {"document_id": found.id, "size": size, "start": start, "end": last, "text": found.text[start:last]}
        body |= {"pages": [dataclasses.asdict(page) for page in found.pages if touched(page)]}
        body |= {"sections": [dataclasses.asdict(section) for section in found.sections if touched(section)]}
        return JSONResponse(body, headers=NO_STORE)

    @api.post("/verify", response_model=ProofsJson)
    async def proofs(answer: Saved, who: Asker) -> dict[str, list[Proof]]:
        """Prove the citations of an Answer again; a document that the asker may not read is `gone`."""
        prove = functools.partial(verify, answer.model_dump(), Readable(answerer.index, who.groups))
        async with gate:
            return {"proofs": await to_thread.run_sync(prove)}

    return api


def _filters(limits: Limits, who: Identity) -> Filters:
    since, until = (day.isoformat() if day else None for day in (limits.since, limits.until))
    return Filters(
        tuple(limits.collections), tuple(limits.documents), since, until, who.groups, tuple(limits.languages),
        tuple(limits.authors),
    )  # fmt: skip
