"""A question answered as server-sent events: the stages, the citations, then the whole answer."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Callable
from typing import Any

from rag.errors import RagError
from rag.web.limits import Gate, in_background
from rag.web.problem import of

Event = tuple[str, Any]


def begin(answer: Callable[..., Any], gate: Gate) -> asyncio.Queue[Event]:
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

    in_background(work, gate)
    return told


async def events(told: asyncio.Queue[Event]) -> AsyncIterator[str]:
    """What is told, as server-sent events."""
    kind = ""
    while kind not in ("answer", "problem"):
        kind, value = await told.get()
        yield f"event: {kind}\ndata: {json.dumps(value, ensure_ascii=False)}\n\n"
