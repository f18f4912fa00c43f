"""How much one asker, and all of them together, may ask for."""

from __future__ import annotations

import asyncio
import math
import time
from collections import OrderedDict
from collections.abc import Callable

from anyio import to_thread
from starlette.types import ASGIApp, Receive, Scope, Send

from rag.web.identity import Identity
from rag.web.problem import Refused, of

COUNTED = ("/v1/", "/source", "/chat/ask", "/gradio_api/queue/join")  # paths that cost something
REMEMBERED = 10_000  # identities
_WORKING: set[asyncio.Task[None]] = set()


class Rate:
    """ASGI middleware inside SignOn: so many requests a minute for each identity, then 429 with Retry-After."""

    def __init__(self, app: ASGIApp, per_minute: int) -> None:
        self.app = app
        self.per_minute = per_minute
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()  # user: requests left, at this time

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        found = scope.get("state", {}).get("identity")
        if self.per_minute and isinstance(found, Identity) and scope["path"].startswith(COUNTED):
            wait = self.take(found.user, time.monotonic())
            if wait:
                told = f"more than {self.per_minute} requests a minute; ask again in {wait} s"
                refused = Refused(429, "too_many_requests", told, {"retry-after": str(wait)})
                return await of(refused)(scope, receive, send)
        await self.app(scope, receive, send)

    def take(self, user: str, now: float) -> int:
        """Count one request at `now` (seconds); 0, or the seconds to wait when there are too many."""
        left, before = self._left.pop(user, (float(self.per_minute), now))
        left = min(float(self.per_minute), left + (now - before) * self.per_minute / 60)
        allowed = left >= 1
        self._left[user] = (left - 1 if allowed else left, now)
        if len(self._left) > REMEMBERED:
            self._left.popitem(last=False)
        return 0 if allowed else math.ceil((1 - left) * 60 / self.per_minute)


class Gate:
    """`async with gate`: so many at once, so many waiting; more raise Refused (503 with Retry-After) at once.

    What outlives a function is between `enter` and `leave`.
    """

    def __init__(self, at_once: int, waiting: int) -> None:
        self._room = at_once + waiting
        self._turn = asyncio.Semaphore(at_once)
        self.inside = 0
        self.closed = False  # True: the server ends, and whoever comes now is turned away

    async def enter(self) -> None:
        """Wait for a turn. Raises Refused."""
        if self.closed:
            raise Refused(503, "stopping", "the server is stopping; ask again in a moment", {"retry-after": "5"})
        if self.inside >= self._room:
            raise Refused(503, "overloaded", "too many questions are waiting; ask again soon", {"retry-after": "2"})
        self.inside += 1
        try:
            await self._turn.acquire()
        except BaseException:
            self.inside -= 1
            raise

    def leave(self) -> None:
        """The turn is over."""
        self._turn.release()
        self.inside -= 1

    async def __aenter__(self) -> None:
        await self.enter()

    async def __aexit__(self, *failure: object) -> None:
        self.leave()


def in_background(work: Callable[[], None], gate: Gate) -> None:
    """Do this on a thread, whoever still waits for it; the entered gate is left when it is done."""
    working = asyncio.get_running_loop().create_task(to_thread.run_sync(work))
    _WORKING.add(working)  # the loop itself holds tasks only weakly

    def done(task: asyncio.Task[None]) -> None:
        _WORKING.discard(task)
        gate.leave()

    working.add_done_callback(done)
