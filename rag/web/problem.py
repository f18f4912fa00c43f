"""Errors as RFC 9457 problem details."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus

from starlette.responses import JSONResponse

from rag.errors import BadInput, Busy, LoadError, NotFound, RagError


class Refused(Exception):
    """A request that is turned away: who asks, how often, or how much is going on."""

    def __init__(self, status: int, code: str, detail: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(detail)
        self.status, self.code, self.detail, self.headers = status, code, detail, headers


def problem(status: int, code: str, detail: str, headers: Mapping[str, str] | None = None) -> JSONResponse:
    """A response of type application/problem+json; `code` is stable, `detail` one line for a person."""
    body = {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status, "detail": detail, "code": code}
    return JSONResponse(body, status, dict(headers or {}), "application/problem+json")


def of(error: RagError | Refused) -> JSONResponse:
    """The response for an expected failure."""
    if isinstance(error, Refused):
        return problem(error.status, error.code, error.detail, error.headers)
    status = 404 if isinstance(error, NotFound) else 400 if isinstance(error, BadInput | LoadError) else 503
    return problem(status, error.code, str(error), {"retry-after": "5"} if isinstance(error, Busy) else None)
