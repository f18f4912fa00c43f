"""The library under /v1: what is indexed and may be read, and its removal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from fastapi import FastAPI, Query

from rag.readable import Readable
from rag.web.identity import Admin, Asker
from rag.web.problem import Refused
from rag.web.shapes import DocumentJson, DocumentsJson, RemovedJson

if TYPE_CHECKING:
    from rag.answer import Answerer

LISTED = 1_000  # documents of one page of the list


def routes(api: FastAPI, answerer: Answerer) -> None:
    """Add them to `api`."""

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
