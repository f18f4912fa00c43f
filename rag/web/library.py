"""The library under /v1: what is indexed and may be read, uploads and their originals, and removal."""

from __future__ import annotations

import base64
import dataclasses
from collections import Counter
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import FastAPI, Query, Request
from starlette.responses import FileResponse, JSONResponse

from rag.errors import NotFound
from rag.originals import folder
from rag.readable import Readable
from rag.settings import Settings
from rag.state import State, Upload
from rag.web.identity import OWN, Admin, Asker, Identity, Uploader
from rag.web.limits import Gate
from rag.web.problem import Refused
from rag.web.shapes import CollectionsJson, DocumentJson, DocumentsJson, RemovedJson, UploadJson, UploadsJson
from rag.web.uploads import Progress, Uploads
from rag.web.watch import audit

if TYPE_CHECKING:
    from rag.answer import Answerer

LISTED = 1_000  # documents of one page of the list
RECEIVED_AT_ONCE, RECEIVE_WAITING = 8, 32
# Whatever a file holds, a browser only ever saves it.
AS_A_FILE = {
    "content-security-policy": "default-src 'none'; sandbox; frame-ancestors 'none'",
    "cache-control": "no-store",
}
_BINARY = {"schema": {"type": "string", "format": "binary"}}
THE_FILE = {"requestBody": {"required": True, "content": {"application/octet-stream": _BINARY}}}


def routes(api: FastAPI, answerer: Answerer, state: Callable[[], State], settings: Settings) -> None:
    """Add them to `api`; `api.state.uploads` holds the uploads."""
    api.state.uploads = uploads = opened(answerer, state, settings)
    receiving = Gate(RECEIVED_AT_ONCE, RECEIVE_WAITING)

    def saved(documents: Sequence[str], forget: bool) -> int:
        return state().forget(documents) if forget else state().quoting(documents)

    @api.get("/documents", response_model=DocumentsJson)
    def documents(
        who: Asker,
        after: Annotated[str, Query(max_length=4_096)] = "",
        limit: Annotated[int, Query(ge=1, le=LISTED)] = 100,
        collection: Annotated[str | None, Query(max_length=1_000)] = None,
        title: Annotated[str, Query(max_length=1_000)] = "",
    ) -> dict[str, Any]:
        """The documents that the asker may read, by id, a page at a time; with `title` those whose title or id has all
        its words."""
        found: list[dict[str, Any]] = []
        sought = title.casefold().split()
        for info in Readable(answerer.index, who.groups).documents():
            if info.id <= after or (collection is not None and info.collection != collection):
                continue
            if sought and not all(word in f"{info.title} {info.id}".casefold() for word in sought):
                continue
            if len(found) == limit:
                return {"documents": found, "next": found[-1]["id"]}
            found.append({name: getattr(info, name) for name in DocumentJson.model_fields})
        return {"documents": found, "next": None}

    @api.get("/collections", response_model=CollectionsJson)
    def collections(who: Asker) -> dict[str, Any]:
        """The collections of what the asker may read, with how many documents each has for them."""
        counted = Counter(info.collection for info in Readable(answerer.index, who.groups).documents())
        return {"collections": [{"name": name, "documents": n} for name, n in sorted(counted.items())]}

    @api.post("/documents", response_model=UploadJson, status_code=202, openapi_extra=THE_FILE)
    async def upload(
        request: Request,
        who: Uploader,
        name: Annotated[str, Query(min_length=1, max_length=1_000)],
        group: Annotated[list[str], Query(max_length=100)] = [],  # noqa: B006
        everyone: bool = False,
        collection: Annotated[str, Query(min_length=1, max_length=100)] = "uploads",
    ) -> JSONResponse:
        """Upload the file that is the body. It is private to the uploader unless it is shared with groups of theirs.

        With the scope `admin` it may be for everyone, and go into any collection. The answer comes at once; what has
        become of the file is at its `Location`.
        """
        groups = shared(who, group, everyone, collection)
        async with receiving:
            made = await uploads.receive(aiter(request.stream()), name, who.user, groups, collection)
        kept = told(*made)
        audit(
            request, "upload", **{name: kept[name] for name in ("name", "size", "sha256", "groups")}, upload=kept["id"]
        )
        return JSONResponse(kept, 202, {"location": f"/v1/uploads/{made[0].id}"})

    @api.get("/uploads", response_model=UploadsJson)
    def mine(who: Asker) -> dict[str, Any]:
        """The asker's uploads, and what they may upload."""
        own = uploads.of(who.user)
        return {
            "uploads": [told(*one) for one in own],
            "largest": uploads.largest if "upload" in who.scopes else 0,
            "kept": sum(one.size for one, _ in own),
            "quota": uploads.each,
            "groups": [group for group in who.groups or () if not group.startswith(OWN)],
            "everyone": "admin" in who.scopes,
            "whole": "admin" in who.scopes and who.groups is None,
        }

    @api.get("/uploads/{upload_id}", response_model=UploadJson)
    def one(upload_id: str, who: Asker) -> dict[str, Any]:
        """How far an upload of the asker's is."""
        return told(*uploads.get(who.user, upload_id))

    @api.delete("/uploads/{upload_id}", response_model=RemovedJson)
    def take_back(upload_id: str, who: Uploader, request: Request, forget: bool = False) -> dict[str, int]:
        """Remove an upload of the asker's with its documents and its original, or stop it half-way.

        Quotes in saved conversations stay and are marked as gone; with `forget` their words are taken out as well.
        """
        documents = uploads.get(who.user, upload_id)[1].documents
        removed = uploads.remove(who.user, upload_id)
        audit(request, "remove", upload=upload_id, documents=removed, forget=forget)
        return {"removed": removed, "saved_answers": saved(documents, forget)}

    @api.get("/original", response_class=FileResponse)
    def original(document: str, who: Asker, request: Request) -> FileResponse:
        """The file that an uploaded document came from, as an attachment, for whoever may read the document."""
        found, progress, file = uploads.original(Readable(answerer.index, who.groups).document(document).id)
        digest = base64.b64encode(bytes.fromhex(progress.sha256)).decode()
        headers = {**AS_A_FILE, "repr-digest": f"sha-256=:{digest}:"}
        name = found.name.rsplit("/", 1)[-1]
        if not file.is_file():
            raise NotFound(f"no original of document {document!r} is kept")
        audit(request, "original", document=document)
        return FileResponse(file, media_type="application/octet-stream", filename=name, headers=headers)

    @api.delete("/documents", response_model=RemovedJson)
    def remove(document: str, who: Admin, request: Request, forget: bool = False) -> dict[str, int]:
        """Remove a document from the index (scope `admin`). It comes back when its changed file is indexed again.

        Quotes in saved conversations stay and are marked as gone; with `forget` their words are taken out as well.
        """
        found = Readable(answerer.index, who.groups).document(document)
        removed = answerer.index.remove([found.id])
        audit(request, "remove", document=found.id, forget=forget)
        return {"removed": removed, "saved_answers": saved((found.id,), forget)}

    @api.get("/status")
    def status(who: Admin) -> dict[str, Any]:
        """What is in the index as a whole (scope `admin`, with a key that may read every document)."""
        if who.groups is not None:
            raise Refused(403, "forbidden", "the status counts every document; use a key made with --all-documents")
        return answerer.index.status()


def opened(answerer: Answerer, state: Callable[[], State], settings: Settings) -> Uploads:
    """The uploads of these settings. With an index on a server there are some only where `uploads` says where files are
    kept."""
    placed = "://" not in settings.index or bool(settings.uploads)
    return Uploads(
        folder(settings), state, answerer.index, settings.upload_bytes if placed else 0, settings.upload_quota
    )


def shared(who: Identity, groups: list[str], everyone: bool, collection: str) -> tuple[str, ...] | None:
    """The groups that may read an upload besides its owner. Raises Refused when it may not be given to them."""
    if (everyone or collection != "uploads") and "admin" not in who.scopes:
        raise Refused(403, "forbidden", "only with the scope 'admin' an upload is for everyone or has a collection")
    mine = who.groups
    odd = sorted(g for g in groups if g.startswith(OWN) or not (mine is None or g in mine))
    if odd:
        raise Refused(403, "forbidden", f"{odd[0]!r} is no group of yours; share with your own groups only")
    return None if everyone else tuple(dict.fromkeys(groups))


def told(upload: Upload, progress: Progress) -> dict[str, Any]:
    """An upload as its owner sees it."""
    return {
        **{name: getattr(upload, name) for name in ("id", "name", "size", "groups", "created")},
        **{field.name: getattr(progress, field.name) for field in dataclasses.fields(progress)},
    }
