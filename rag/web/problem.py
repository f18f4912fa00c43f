"""Errors as RFC 9457 problem details."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse

from rag.errors import BadInput, Busy, LoadError, NotFound, RagError


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
    if isinstance(error, Busy):  # its own words name a folder of the server
        return problem(
            503, error.code, "the index is being written to just now; try again in a moment", {"retry-after": "5"}
        )
    return problem(status, error.code, str(error))


def explain(api: FastAPI) -> None:
    """Every failure of `api` leaves it as a problem, and its OpenAPI says so."""

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
