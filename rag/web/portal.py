"""The web app put together: chat page, source windows, health, and the guard around them all."""

from __future__ import annotations

import contextlib
import errno
import ipaddress
import socket
import sys
from typing import TYPE_CHECKING, Annotated, Any, cast

import uvicorn
from fastapi import FastAPI, Query, Request
from fastapi.middleware.cors import CORSMiddleware
from fastapi.responses import JSONResponse, Response
from fastapi.staticfiles import StaticFiles

from rag.errors import BadInput, NotFound, RagError
from rag.readable import Readable
from rag.settings import Settings
from rag.web import chat, paper
from rag.web.api import create_api
from rag.web.guard import Guard, PortalCors
from rag.web.identity import Login, SignOn, require
from rag.web.limits import Rate
from rag.web.problem import Refused, of, problem
from rag.web.source import window
from rag.web.watch import Metrics, Watch, Watched

if TYPE_CHECKING:
    from rag.answer import Answerer

Position = Annotated[int, Query(ge=0)]


def create_app(answerer: Answerer, settings: Settings) -> FastAPI:
    """The whole web app over one engine."""
    app = FastAPI(title=settings.title, docs_url=None, redoc_url=None, openapi_url=None)
    metrics = Metrics(answerer)
    watched = cast("Answerer", Watched(answerer, metrics))
    api = create_api(watched, settings)
    # The last one added is the first that a request meets.
    app.add_middleware(Rate, per_minute=settings.requests_per_minute)
    app.add_middleware(SignOn, login=Login(settings))
    app.add_middleware(CORSMiddleware, allow_origins=[])  # none is allowed; without it Gradio reflects every origin
    app.add_middleware(PortalCors, origins=settings.portal_origins)
    app.add_middleware(Guard, hosts=settings.allowed_hosts, portals=settings.portal_origins, hsts=settings.hsts)
    app.add_middleware(Watch, metrics=metrics, log=settings.request_log)

    @app.exception_handler(RagError)
    def explain(request: Request, error: RagError) -> JSONResponse:
        status = 404 if isinstance(error, NotFound) else 400 if isinstance(error, BadInput) else 503
        return JSONResponse({"error": {"code": error.code, "message": str(error)}}, status)

    @app.exception_handler(Refused)
    def refuse(request: Request, error: Refused) -> JSONResponse:
        return of(error)

    @app.get("/readyz")
    def ready() -> JSONResponse:
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

    paper.mount(app, answerer)
    app.mount("/ui", StaticFiles(directory=chat.STATIC))
    app.mount("/v1", api)
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
    """uvicorn around the web app: quiet, trusting no forwarded header, and ending although pages are open."""

    def __init__(self, app: FastAPI) -> None:
        super().__init__(
            uvicorn.Config(
                app, log_level="warning", proxy_headers=False, server_header=False, timeout_graceful_shutdown=2
            )
        )
        self._release = app.state.release

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._release()
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
