"""The page that a quote is printed on: its picture, and where the quote stands on it. For those who may read it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from fastapi import FastAPI, Query, Request
from fastapi.responses import JSONResponse, Response

from rag.errors import BadInput, LoadError, NotFound
from rag.load.kind import kind_of
from rag.pages import marks_of, page_image
from rag.readable import Readable
from rag.types import Document
from rag.web.identity import require

if TYPE_CHECKING:
    from rag.answer import Answerer
    from rag.index import Index
    from rag.web.uploads import Uploads

SCALE = 2.0  # pixels a point
FRESH = {"cache-control": "no-store"}
_TEXT_ONLY = "only its text is shown"

Position = Annotated[int, Query(ge=0)]
Number = Annotated[int, Query(ge=1)]


def mount(app: FastAPI, answerer: Answerer, uploads: Uploads) -> None:
    """Add `/page` (a PNG) and `/page/marks` (where a range stands on it) to the app."""

    def readable(request: Request, document: str) -> Document:
        return Readable(answerer.index, require(request, "ask").groups).document(document)

    @app.get("/page")
    def picture(request: Request, document: str, number: Number) -> Response:
        data = original(answerer.index, uploads, readable(request, document))
        with _said():
            return Response(page_image(data, number, SCALE), media_type="image/png", headers=FRESH)

    @app.get("/page/marks")
    def marked(request: Request, document: str, number: Number, start: Position, end: Position) -> JSONResponse:
        found = readable(request, document)
        data = original(answerer.index, uploads, found)
        with _said():
            placed = marks_of(found, data, number, start, end)
        boxes = [
            {"left": x0 / placed.width, "top": y0 / placed.height, "width": (x1 - x0) / placed.width,
             "height": (y1 - y0) / placed.height}
            for x0, y0, x1, y1 in placed.boxes
        ]  # fmt: skip
        return JSONResponse({"width": placed.width, "height": placed.height, "boxes": boxes}, headers=FRESH)


def original(index: Index, uploads: Uploads, document: Document) -> bytes:
    """The bytes that a document was read from, if they are still those. Raises BadInput, which says what is shown.

    Whoever may not read the document never comes here: `mount` looks it up with the asker's groups.
    """
    if not document.loader.startswith("pdf/"):
        raise BadInput(f"{document.id}: it is no PDF; {_TEXT_ONLY}")
    try:
        upload, progress, file = uploads.original(document.id)
        name, sha256 = upload.name, progress.sha256
    except NotFound:
        root, name = index.store.root_of(document.id) or ("", "")
        state = index.store.files(root).get(name) if root else None
        if state is None:
            raise BadInput(f"{document.id}: the file that it came from is not kept; {_TEXT_ONLY}") from None
        file, sha256 = Path(root) / name if name else Path(root), state.sha256
    try:
        data = file.read_bytes()
    except OSError:
        raise BadInput(f"{document.id}: the file is no longer where it was indexed; {_TEXT_ONLY}") from None
    if hashlib.sha256(data).hexdigest() != sha256:
        raise BadInput(f"{document.id}: the file has changed since it was indexed; {_TEXT_ONLY}")
    if kind_of(data, name) != "PDF":
        raise BadInput(f"{document.id}: it is packed inside another file; {_TEXT_ONLY}")
    return data


@contextmanager
def _said() -> Iterator[None]:
    """What a parser refuses is no fault of the server: the page is not there."""
    try:
        yield
    except LoadError as error:
        raise NotFound(str(error).replace("this file: ", "")) from None
