"""What is seen from outside: Prometheus metrics, a log of requests, an audit log. Door: prometheus_client."""

from __future__ import annotations

import datetime
import json
import re
import secrets
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from rag.errors import BadInput
from rag.settings import Settings
from rag.types import Answer
from rag.web.identity import Identity

if TYPE_CHECKING:
    from rag.answer import Answerer

AREAS = (
    "/v1/ask",
    "/v1/search",
    "/v1/documents",
    "/v1/uploads",
    "/v1/sources",
    "/v1/verify",
    "/v1/",
    "/source",
    "/chat/",
    "/gradio_api/",
    "/ui/",
)
_ID = re.compile(r"[\w.-]{1,64}", re.ASCII)


class Metrics:
    """The figures of one app. They count requests and answers, never documents or words."""

    def __init__(self, answerer: Answerer) -> None:
        self.registry = CollectorRegistry()
        names = ("area", "method", "status")
        self.requests = Counter("pullquote_requests", "Requests.", names, registry=self.registry)
        self.seconds = Histogram("pullquote_request_seconds", "Time to respond.", ("area",), registry=self.registry)
        self.answers = Counter("pullquote_answers", "Questions by outcome.", ("outcome",), registry=self.registry)
        self.stages = Histogram(
            "pullquote_stage_seconds", "Time of each stage of an answer.", ("stage",), registry=self.registry,
            buckets=(0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10),
        )  # fmt: skip
        self.queue = Gauge("pullquote_questions_inside", "API questions in work or waiting.", registry=self.registry)
        self.index = Gauge(
            "pullquote_index_info", "1, labelled with the index version.", ("version",), registry=self.registry
        )
        self._answerer = answerer

    def answered(self, answer: Answer) -> None:
        """Count one answer."""
        self.answers.labels(answer.reason or answer.status).inc()
        for stage, ms in answer.timings_ms.items():
            self.stages.labels(stage).observe(ms / 1000)

    def text(self) -> bytes:
        """The exposition format."""
        self.index.clear()
        self.index.labels(self._answerer.index.version).set(1)
        return generate_latest(self.registry)


class Watched:
    """An Answerer whose answers are counted, whichever face asks."""

    def __init__(self, answerer: Answerer, metrics: Metrics) -> None:
        self._answerer = answerer
        self._metrics = metrics

    def ask(self, *args: Any, **kwargs: Any) -> Answer:
        """As Answerer.ask."""
        answer = self._answerer.ask(*args, **kwargs)
        self._metrics.answered(answer)
        return answer

    def __getattr__(self, name: str) -> Any:
        return getattr(self._answerer, name)


class Lines:
    """A file of JSON lines ("": none). It is opened anew for each, so that it can be rotated."""

    def __init__(self, setting: str, file: str) -> None:
        self._guard = threading.Lock()
        self._file = Path(file) if file else None
        try:
            self._append("")
        except OSError as error:
            raise BadInput(f"{setting} {file}: cannot be written ({error.strerror}); choose another file") from None

    def write(self, request_id: str, state: dict[str, Any], **what: Any) -> None:
        """One line: the time, the request, who sent it, and `what`."""
        who = state.get("identity")
        user = who.user if isinstance(who, Identity) else None
        time_ = datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds")
        self._append(json.dumps({"time": time_, "id": request_id, "user": user, **what}, ensure_ascii=False) + "\n")

    def _append(self, line: str) -> None:
        if self._file:
            with self._guard, self._file.open("a", encoding="utf-8", errors="backslashreplace") as file:
                file.write(line)


class Watch:
    """ASGI middleware: a request id, the figures, a line a request in the log, and what `audit` is told."""

    def __init__(self, app: ASGIApp, metrics: Metrics, settings: Settings) -> None:
        self.app = app
        self.metrics = metrics
        self._log = Lines("request_log", settings.request_log)
        self._audit = Lines("audit_log", settings.audit_log)
        self._questions = settings.audit_questions

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        given = Headers(scope=scope).get("x-request-id", "")
        request_id = given if _ID.fullmatch(given) else secrets.token_hex(8)
        state = scope.setdefault("state", {})
        began, status = time.perf_counter(), 500

        def audited(action: str, question: str | None, what: dict[str, Any]) -> None:
            asked = {"question": question} if self._questions and question is not None else {}
            self._audit.write(request_id, state, action=action, **asked, **what)

        async def answer(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message)["x-request-id"] = request_id
            await send(message)

        state["audit"] = audited
        try:
            await self.app(scope, receive, answer)
        finally:
            seconds = time.perf_counter() - began
            area = next((area for area in AREAS if scope["path"].startswith(area)), "other")
            method = scope["method"] if scope["method"] in ("GET", "POST", "DELETE", "HEAD", "OPTIONS") else "other"
            self.metrics.requests.labels(area, method, str(status)).inc()
            self.metrics.seconds.labels(area).observe(seconds)
            self._log.write(
                request_id, state, method=method, path=scope["path"], status=status, ms=round(seconds * 1000, 1)
            )


def audit(request: Request, action: str, question: str | None = None, **what: Any) -> None:
    """Write down who did what. A question is written only where `audit_questions` says so."""
    request.scope["state"]["audit"](action, question, what)
