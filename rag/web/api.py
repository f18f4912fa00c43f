"""The API under /v1: the engine as JSON, with OpenAPI. Errors are RFC 9457 problem details."""

from __future__ import annotations

import asyncio
import dataclasses
import datetime
import functools
import json
import logging
from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING, Annotated, Any, Literal

from anyio import to_thread
from fastapi import Depends, FastAPI, Query, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response, StreamingResponse

from rag import __version__
from rag.errors import BadInput, RagError
from rag.readable import Readable
from rag.settings import Settings
from rag.types import AnswerItem, Citation, Filters, Nearest, Page, Reason, Section
from rag.verify import Proof, verify
from rag.web.identity import Identity, require
from rag.web.limits import Gate
from rag.web.problem import Refused, of, problem

if TYPE_CHECKING:
    from rag.answer import Answerer

LARGEST = 400_000  # code points of one source range
Event = tuple[str, Any]
_WORKING: set[asyncio.Task[None]] = set()
LISTED = 1_000  # documents of one page of the list
NO_STORE = {"cache-control": "no-store"}


class Strict(BaseModel):
    """A request body; a member that is not known is an error."""

    model_config = ConfigDict(extra="forbid")


class Said(Strict):
    """One turn of the conversation so far."""

    role: Literal["user", "assistant"]
    content: str = Field(max_length=10_000)


class Limits(Strict):
    """What the asker narrows the search to; dates are inclusive. Nothing here widens what they may read."""

    collections: list[str] = Field(default=[], max_length=1_000)
    documents: list[str] = Field(default=[], max_length=1_000)
    since: datetime.date | None = None
    until: datetime.date | None = None


class Question(Strict):
    """A question; `history` is oldest first, a string being an earlier question."""

    question: str = Field(min_length=1, max_length=2_000)
    history: list[str | Said] = Field(default=[], max_length=100)
    filters: Limits = Field(default_factory=Limits)


class Sought(Strict):
    """A search for passages."""

    question: str = Field(min_length=1, max_length=2_000)
    mode: Literal["dense", "lexical", "fused", "reranked"] = "reranked"
    top: int = Field(default=10, ge=1, le=100)
    filters: Limits = Field(default_factory=Limits)


class Cited(BaseModel):
    """What a proof needs of a citation; the other members of an Answer are not looked at."""

    n: int = Field(ge=0, le=1_000_000)
    document_id: str = Field(max_length=4_096)
    start: int = Field(ge=0, le=2**53)
    end: int = Field(ge=0, le=2**53)
    quote: str = Field(max_length=10_000)
    prefix: str = Field(default="", max_length=200)
    suffix: str = Field(default="", max_length=200)
    revision: str | None = Field(default=None, max_length=200)


class Saved(BaseModel):
    """A saved Answer."""

    citations: list[Cited] = Field(max_length=100)


class AnswerJson(BaseModel):
    """The Answer, as `rag ask --json` prints it. Offsets are half-open ranges of Unicode code points."""

    schema_: Literal["answer/1"] = Field(alias="schema")
    question: str
    query: str
    status: Literal["answered", "abstained"]
    reason: Reason | None
    confidence: float
    index_version: str
    timings_ms: dict[str, float]
    answers: list[AnswerItem]
    conflict: bool
    citations: list[Citation]
    nearest: list[Nearest]


class FoundJson(BaseModel):
    """A passage and its score; scores compare within one question only."""

    document_id: str
    start: int
    end: int
    text: str
    score: float


class HitsJson(BaseModel):
    """Passages, best first."""

    hits: list[FoundJson]


class DocumentJson(BaseModel):
    """A document without its text."""

    id: str
    title: str
    source: str
    collection: str
    date: str | None
    revision: str
    passages: int


class DocumentsJson(BaseModel):
    """One page of the documents that the asker may read, by id; `next` is the `after` of the next page."""

    documents: list[DocumentJson]
    next: str | None


class SourceJson(BaseModel):
    """A range of a document's canonical text, with the pages and sections that it touches."""

    document_id: str
    title: str
    source: str
    collection: str
    date: str | None
    revision: str
    size: int
    start: int
    end: int
    text: str
    pages: list[Page]
    sections: list[Section]


class ProofsJson(BaseModel):
    """What became of each citation."""

    proofs: list[Proof]


class RemovedJson(BaseModel):
    """How many documents were removed."""

    removed: int


class ProblemJson(BaseModel):
    """RFC 9457 problem details; `code` is stable."""

    type: str
    title: str
    status: int
    detail: str
    code: str


PROBLEMS: dict[int | str, dict[str, Any]] = {
    status: {
        "description": said,
        "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/ProblemJson"}}},
    }
    for status, said in (
        (400, "What was given cannot be used."), (401, "Not signed in."), (403, "Signed in, but not allowed."),
        (404, "Not there, or not for this asker."), (411, "No Content-Length."), (413, "Too large."),
        (422, "Not of the described shape."), (429, "Too many requests; see Retry-After."),
        (503, "Too much is going on; see Retry-After."),
    )
}  # fmt: skip


def asker(request: Request) -> Identity:
    """Someone with the scope `ask`."""
    return require(request, "ask")


def admin(request: Request) -> Identity:
    """Someone with the scope `admin`."""
    return require(request, "admin")


Asker = Annotated[Identity, Depends(asker)]
Admin = Annotated[Identity, Depends(admin)]


def create_api(answerer: Answerer, settings: Settings) -> FastAPI:
    """The app that is mounted at /v1; SignOn must stand before it."""
    api = FastAPI(title=f"{settings.title} API", version=__version__, docs_url=None, redoc_url=None, responses=PROBLEMS)
    api.state.gate = gate = Gate(settings.at_once, settings.waiting)
    _explain(api)

    @api.post("/ask", response_model=AnswerJson)
    async def ask(body: Question, who: Asker, request: Request) -> Response:
        """Answer with quotes, or be silent and say why.

        With `Accept: text/event-stream` come events: `stage` as each is done, each `citation`, then the `answer`;
        or `problem`.
        """
        given = [said if isinstance(said, str) else said.model_dump() for said in body.history]
        answer = functools.partial(answerer.ask, body.question, given, _filters(body.filters, who))
        if "text/event-stream" in request.headers.get("accept", ""):
            await gate.enter()
            return StreamingResponse(_events(_told(answer, gate)), media_type="text/event-stream", headers=NO_STORE)
        async with gate:
            return JSONResponse((await to_thread.run_sync(answer)).to_dict(), headers=NO_STORE)

    @api.post("/search", response_model=HitsJson)
    async def search(body: Sought, who: Asker) -> Response:
        """The passages nearest to a question."""
        look = functools.partial(answerer.search, body.question, _filters(body.filters, who), body.mode, body.top)
        async with gate:
            hits = await to_thread.run_sync(look)
        rows = [
            {"document_id": h.document_id, "start": h.start, "end": h.end, "text": h.text, "score": round(h.score, 6)}
            for h in hits
        ]
        return JSONResponse({"hits": rows}, headers=NO_STORE)

    @api.get("/documents", response_model=DocumentsJson)
    def documents(
        who: Asker,
        after: Annotated[str, Query(max_length=4_096)] = "",
        limit: Annotated[int, Query(ge=1, le=LISTED)] = 100,
    ) -> dict[str, Any]:
        """The documents that the asker may read, by id, a page at a time."""
        found: list[dict[str, Any]] = []
        for info in Readable(answerer.index, who.groups).documents():
            if info.id <= after:
                continue
            if len(found) == limit:
                return {"documents": found, "next": found[-1]["id"]}
            found.append({name: getattr(info, name) for name in DocumentJson.model_fields})
        return {"documents": found, "next": None}

    @api.delete("/documents", response_model=RemovedJson)
    def remove(document: str, who: Admin) -> dict[str, int]:
        """Remove a document from the index (scope `admin`). It comes back when its changed file is indexed again."""
        found = Readable(answerer.index, who.groups).document(document)
        return {"removed": answerer.index.remove([found.id])}

    @api.get("/status")
    def status(who: Admin) -> dict[str, Any]:
        """What is in the index as a whole (scope `admin`, with a key that may read every document)."""
        if who.groups is not None:
            raise Refused(403, "forbidden", "the status counts every document; use a key made with --all-documents")
        return answerer.index.status()

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
        body |= {"document_id": found.id, "size": size, "start": start, "end": last, "text": found.text[start:last]}
        body |= {"pages": [dataclasses.asdict(page) for page in found.pages if touched(page)]}
        body |= {"sections": [dataclasses.asdict(section) for section in found.sections if touched(section)]}
        return JSONResponse(body, headers=NO_STORE)

    @api.post("/verify", response_model=ProofsJson)
    def proofs(answer: Saved, who: Asker) -> dict[str, list[Proof]]:
        """Prove the citations of an Answer again; a document that the asker may not read is `gone`."""
        return {"proofs": verify(answer.model_dump(), Readable(answerer.index, who.groups))}

    return api


def _explain(api: FastAPI) -> None:
    @api.exception_handler(RagError)
    @api.exception_handler(Refused)
    def expected(request: Request, error: Any) -> JSONResponse:
        return of(error)

    @api.exception_handler(RequestValidationError)
    def misshapen(request: Request, error: RequestValidationError) -> JSONResponse:
        told = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors()[:5])
        return problem(422, "bad_input", told)

    @api.exception_handler(HTTPException)
    def plain(request: Request, error: HTTPException) -> JSONResponse:
        return problem(error.status_code, "http", str(error.detail), error.headers)

    describe = api.openapi

    def openapi() -> dict[str, Any]:
        found = describe()
        found["components"]["schemas"]["ProblemJson"] = ProblemJson.model_json_schema()
        return found

    api.openapi = openapi  # type: ignore[method-assign]


def _filters(limits: Limits, who: Identity) -> Filters:
    since, until = (day.isoformat() if day else None for day in (limits.since, limits.until))
    return Filters(tuple(limits.collections), tuple(limits.documents), since, until, who.groups)


def _told(answer: Callable[..., Any], gate: Gate) -> asyncio.Queue[Event]:
    """Begin to answer, whether or not anyone listens; what happens is put into the queue. Leaves the entered gate."""
    loop, told = asyncio.get_running_loop(), asyncio.Queue[Event]()

    def tell(kind: str, value: Any) -> None:
        loop.call_soon_threadsafe(told.put_nowait, (kind, value))

    def work() -> None:
        try:
            found = answer(progress=lambda stage, ms: tell("stage", {"stage": stage, "ms": ms})).to_dict()
            for citation in found["citations"]:
                tell("citation", citation)
            tell("answer", found)
        except RagError as error:
            tell("problem", json.loads(bytes(of(error).body)))
        except Exception:
            logging.getLogger(__name__).exception("a question could not be answered")
            tell("problem", {"type": "about:blank", "title": "Internal Server Error", "status": 500, "code": "error"})

    working = loop.create_task(to_thread.run_sync(work))
    _WORKING.add(working)  # the loop itself holds tasks only weakly

    def done(task: asyncio.Task[None]) -> None:
        _WORKING.discard(task)
        gate.leave()

    working.add_done_callback(done)
    return told


async def _events(told: asyncio.Queue[Event]) -> AsyncIterator[str]:
    """What is told, as server-sent events."""
    kind = ""
    while kind not in ("answer", "problem"):
        kind, value = await told.get()
        yield f"event: {kind}\ndata: {json.dumps(value, ensure_ascii=False)}\n\n"
