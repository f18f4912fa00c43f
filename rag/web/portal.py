"""The web app put together: chat page, source windows, health, and the guard around them all."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import ipaddress
import socket
import sys
import time
from typing import TYPE_CHECKING, Annotated, Any, cast

import uvicorn
from anyio import to_thread
from fastapi import FastAPI, Query, Request
from fastapi.middleware.cors import CORSMiddleware
from fastapi.responses import HTMLResponse, JSONResponse, Response
from fastapi.staticfiles import StaticFiles

from rag.errors import BadInput, NotFound, RagError
from rag.readable import Readable
from rag.settings import Settings
from rag.web import chat, oidc, pages, paper, tickets
from rag.web.api import create_api
from rag.web.conversations import conversations
from rag.web.desk import Desk
from rag.web.guard import Guard, PortalCors
from rag.web.identity import Login, SignOn, identify, require
from rag.web.limits import Rate
from rag.web.problem import Refused, of, problem
from rag.web.source import window
from rag.web.watch import Metrics, Watch, Watched

if TYPE_CHECKING:
    from rag.answer import Answerer

PATIENCE = 30.0  # seconds that answers in work have when the server is told to end
Position = Annotated[int, Query(ge=0)]


def create_app(answerer: Answerer, settings: Settings) -> FastAPI:
    """The whole web app over one engine."""
    app = FastAPI(title=settings.title, docs_url=None, redoc_url=None, openapi_url=None)
    metrics = Metrics(answerer)
    watched = cast("Answerer", Watched(answerer, metrics))
    desk = Desk(watched, settings)
    api = create_api(watched, desk, settings)
    # The last one added is the first that a request meets.
    app.add_middleware(Rate, per_minute=settings.requests_per_minute)
    login = Login(settings)
    app.add_middleware(SignOn, login=login)
    app.add_middleware(CORSMiddleware, allow_origins=[])  # none is allowed; without it Gradio reflects every origin
    app.add_middleware(PortalCors, origins=settings.portal_origins)
    app.add_middleware(Guard, hosts=settings.allowed_hosts, portals=settings.portal_origins, hsts=settings.hsts)
    app.add_middleware(Watch, metrics=metrics, settings=settings)

    @app.exception_handler(RagError)
    def explain(request: Request, error: RagError) -> JSONResponse:
        status = 404 if isinstance(error, NotFound) else 400 if isinstance(error, BadInput) else 503
        return JSONResponse({"error": {"code": error.code, "message": str(error)}}, status)

    @app.exception_handler(Refused)
    def refuse(request: Request, error: Refused) -> JSONResponse:
        return of(error)

    @app.get("/readyz")
    def ready() -> JSONResponse:
        if api.state.gate.closed:
            return problem(503, "stopping", "the server is stopping", {"retry-after": "5"})
        try:
            answerer.index.version  # noqa: B018 (reads the store)
        except RagError:
            return problem(503, "not_ready", "the index cannot be read", {"retry-after": "5"})
        return JSONResponse({"status": "ready"})

    @app.get("/metrics")
    def figures(request: Request) -> Response:
        require(request, "metrics")
        metrics.queue.set(api.state.gate.inside)
        return Response(metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")

    @app.get("/healthz")
    def health() -> dict[str, str]:
        return {"status": "ok"}

    @app.get("/source")
    def source(
        request: Request,
        document: str,
        start: Position,
        end: Position,
        first: Annotated[int | None, Query(alias="from", ge=0)] = None,
        last: Annotated[int | None, Query(alias="to", ge=0)] = None,
    ) -> JSONResponse:
        readable = Readable(answerer.index, require(request, "ask").groups)
        found: dict[str, Any] = window(readable.document(document), start, end, first, last)
        return JSONResponse(found, headers={"cache-control": "no-store"})

    @app.get("/library")
    def library(request: Request) -> HTMLResponse:
        return HTMLResponse(pages.library(settings.title, identify(request).session, bool(settings.login)))

    if login.sessions:
        oidc.mount(app, settings, login)
    if login.embedded:
        tickets.mount(app, api, settings, login)
    app.include_router(conversations(desk, api.state.gate))
    paper.mount(app, answerer, api.state.uploads)
    app.mount("/ui", StaticFiles(directory=chat.STATIC))
    app.mount("/v1", api)
    app.state.uploads, app.state.gate = api.state.uploads, api.state.gate
    chat.mount(app, watched, settings)  # takes every path that is left, so it comes last
    return app


def serve(answerer: Answerer, settings: Settings, *, network: bool = False) -> None:
    """Serve the web app until Ctrl+C. Raises BadInput for an address that is taken, or not of this machine alone
    without `network`."""
    with listen(settings, network=network) as listener, contextlib.suppress(KeyboardInterrupt):
        server = Server(create_app(answerer, settings))
        host, port = listener.getsockname()[:2]
        name = f"[{host}]" if ":" in host else host
        print(f"{settings.title}: http://{name}:{port} (Ctrl+C stops it)", file=sys.stderr, flush=True)
        server.run(sockets=[listener])


class Server(uvicorn.Server):
    """uvicorn around the web app: quiet, trusting no forwarded header, and ending although pages are open.

    When it is told to end, the answers in work are finished for up to `patience` seconds while new questions get
    503; a second signal ends it at once.
    """

    def __init__(self, app: FastAPI, patience: float = PATIENCE) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                log_level="warning",
                proxy_headers=False,
                server_header=False,
                timeout_graceful_shutdown=2,
                timeout_keep_alive=75,  # longer than proxies keep one: it must not end just as it is used again
            )
        )
        self._state = app.state
        self._patience = patience

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        self._state.uploads.start()
        await super().startup(sockets)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._state.gate.closed = True
        until = time.monotonic() + self._patience
        while self._state.gate.inside and time.monotonic() < until and not self.force_exit:
            await asyncio.sleep(0.05)
        self._state.release()
        await to_thread.run_sync(self._state.uploads.stop)
        await super().shutdown(sockets)


def listen(settings: Settings, *, network: bool = False) -> socket.socket:
    """A listening socket on host and port of `settings`. Raises BadInput as `serve` does."""
    host, port = settings.host.strip("[]"), settings.port
    if not network and not settings.login and not _loopback(host):
        raise BadInput(
            f"{host} would open the documents to the network, without a login; "
            "use 127.0.0.1, set login, or pass --network if that is what you want"
        )
    if not 0 <= port <= 65535:
        raise BadInput(f"port {port} does not exist; choose one up to 65535, for example RAG_PORT=7861")
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise BadInput(
                f"port {port} on {host} is taken; stop the program that uses it or choose another port, "
                f"for example RAG_PORT={port + 1}"
            ) from None
        raise BadInput(f"cannot listen on {host}, port {port}: {error}; choose another host or port") from None


def _loopback(host: str) -> bool:
    """True when only programs of this machine can reach `host`."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
