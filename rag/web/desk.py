"""One question at the desk: it begins a turn, is answered whether or not the page still listens, and is kept."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import datetime
import json
import logging
import secrets
import tempfile
import threading
from collections.abc import AsyncIterator, Sequence
from typing import TYPE_CHECKING, Any

from anyio import to_thread
from fastapi import Request
from pydantic import BaseModel, ConfigDict, Field

from rag.answer import checked
from rag.errors import BadInput, NotFound, RagError
from rag.narrow import Narrowed, narrowed
from rag.readable import Readable
from rag.settings import Settings
from rag.state import SavedTurn, State
from rag.types import Filters, Turn
from rag.web.identity import Identity
from rag.web.limits import Gate, in_background
from rag.web.shown import Shown
from rag.web.words import WORDS

if TYPE_CHECKING:
    from rag.answer import Answerer

REMEMBERED = 6  # turns of a conversation that a follow-up can refer to
FIRST = 3  # passages that are shown while they are read
VISITOR = "pullquote_visitor"  # the cookie that stands for a name where there is no login
VISITING = "visitor:"


class Strict(BaseModel):
    """A request body; a member that is not known is an error."""

    model_config = ConfigDict(extra="forbid")


class Chosen(Strict):
    """The limits that are shown as chips; dates are inclusive."""

    collections: list[str] = Field(default=[], max_length=100)
    documents: list[str] = Field(default=[], max_length=100)
    since: datetime.date | None = None
    until: datetime.date | None = None


class Asked(Strict):
    """A question in a conversation (None: a new one). `alone`: it is searched for as it is written, whatever was said
    before, and no words of it are taken as limits."""

    question: str = Field(max_length=100_000)
    conversation: str | None = Field(default=None, max_length=100)
    filters: Chosen = Field(default_factory=Chosen)
    alone: bool = False


class Desk:
    """The engine, and the state that goes with it, opened when first needed."""

    def __init__(self, answerer: Answerer, settings: Settings) -> None:
        self.answerer = answerer
        self.settings = settings
        self._guard = threading.Lock()
        self._state: State | None = None

    @property
    def state(self) -> State:
        """Beside the index; where that cannot be written, in a place that lasts as long as the program."""
        with self._guard:
            self._state = self._state or self._opened()
            return self._state

    def _opened(self) -> State:
        try:
            state = State.open(self.settings)
        except BadInput as error:
            logging.getLogger(__name__).warning("conversations are forgotten when the program ends: %s", error)
            state = State.open(Settings(index=tempfile.mkdtemp(prefix="pullquote-")))
        state.interrupted(WORDS["interrupted"])
        return state

    def owner(self, request: Request, who: Identity) -> str:
        """Whose history this is. Without a login it is this machine's, and each browser from elsewhere has its own."""
        here = request.client is not None and request.client.host in ("127.0.0.1", "::1")
        if self.settings.login or (here and "x-forwarded-for" not in request.headers):
            return who.user
        return VISITING + (request.cookies.get(VISITOR) or secrets.token_urlsafe(24))

    def shown(self, who: Identity, owner: str, *turns: SavedTurn) -> list[dict[str, Any]]:
        """Turns as this reader may see them."""
        shown, rated = Shown(self.answerer.index, who.groups), self.state.rating(owner, {turn.id for turn in turns})
        return [shown.turn(turn, self.state.owns(owner, turn), rated.get(turn.id)) for turn in turns]

    def history(self, owner: str, conversation: str) -> list[Turn]:
        """What was said, for a follow-up: the questions, and the short answers that were given."""
        said = []
        for turn in self.state.turns(owner, conversation, REMEMBERED):
            if turn.answer:
                said.append(Turn("user", turn.question))
                if texts := [item["text"] for item in turn.answer["answers"]]:
                    said.append(Turn("assistant", "; ".join(texts)))
        return said


async def answering(desk: Desk, gate: Gate, who: Identity, owner: str, body: Asked) -> AsyncIterator[str]:
    """Begin to answer, whether or not anyone listens; the lines that tell of it. Leaves the entered gate when done.

    Raises BadInput for a question that is none, NotFound for a conversation that is not there.
    """
    loop, told = asyncio.get_running_loop(), asyncio.Queue[dict[str, Any]]()

    def begin() -> tuple[SavedTurn, list[Turn], Narrowed]:
        asked, said = _narrowed(desk, who, body), []
        if body.conversation and not body.alone:
            said = desk.history(owner, body.conversation)
        kept = {name: value for name, value in dataclasses.asdict(asked.filters).items() if value and name != "groups"}
        titles = _titles(desk, who, asked.filters.documents)
        return desk.state.begin(owner, body.conversation, checked(body.question), {**kept, **titles}), said, asked

    turn, said, asked = await to_thread.run_sync(begin)

    def tell(kind: str, **values: Any) -> None:
        loop.call_soon_threadsafe(told.put_nowait, {"kind": kind, **values})

    def work() -> None:
        try:
            answer = desk.answerer.ask(
                asked.question,
                said,
                asked.filters,
                lambda stage, _: tell("stage", stage=stage),
                lambda hits: tell("evidence", passages=Shown(desk.answerer.index, who.groups).passages(hits[:FIRST])),
            )
            desk.state.finish(turn.id, {**answer.to_dict(), "question": turn.question})
            tell("answer", turn=desk.shown(who, owner, desk.state.turn(owner, turn.id))[0])
        except Exception as error:
            if not isinstance(error, RagError):
                logging.getLogger(__name__).exception("a question could not be answered")
            found = _problem(error)
            desk.state.finish(turn.id, problem=found["message"])
            tell(**found)

    in_background(work, gate)
    return _lines(told, {"kind": "asked", **{name: getattr(turn, name) for name in ("id", "conversation", "filters")}})


def _narrowed(desk: Desk, who: Identity, body: Asked) -> Narrowed:
    """The question without the limits that are typed in it, and all its limits."""
    since, until = (day.isoformat() if day else None for day in (body.filters.since, body.filters.until))
    limits = Filters(tuple(body.filters.collections), tuple(body.filters.documents), since, until, who.groups)
    question = checked(body.question)
    if body.alone:
        return Narrowed(question, limits)
    readable = Readable(desk.answerer.index, who.groups)
    return narrowed(question, limits, lambda: ((d.id, d.title, d.collection) for d in readable.documents()))


def _titles(desk: Desk, who: Identity, documents: Sequence[str]) -> dict[str, Any]:
    """What the chips call these documents; those that the asker may not read have no name."""
    readable = Readable(desk.answerer.index, who.groups)
    titles = []
    for document in documents:
        with contextlib.suppress(NotFound):
            titles.append(readable.document(document).title)
    return {"titles": titles} if titles else {}


def _problem(error: Exception) -> dict[str, Any]:
    """The last line when there is no answer."""
    if isinstance(error, RagError):
        return {"kind": "problem", "code": error.code, "message": str(error)}
    return {"kind": "problem", "code": "error", "message": WORDS["broken"]}


async def _lines(told: asyncio.Queue[dict[str, Any]], first: dict[str, Any]) -> AsyncIterator[str]:
    event = first
    yield json.dumps(event) + "\n"
    while event["kind"] not in ("answer", "problem"):
        event = await told.get()
        yield json.dumps(event, ensure_ascii=False) + "\n"


def refused(error: RagError) -> AsyncIterator[str]:
    """The one line of a question that could not begin."""
    return _lines(asyncio.Queue(), _problem(error))
