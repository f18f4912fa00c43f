"""Uploads: received to a file, parsed in a process of its own, indexed one after another, kept with their original.

`rag.state` knows whose an upload is. Beside it each has a folder `<id>/` with `original` and `progress.json`; its
documents are `upload:<id>/<name>…`. Of the processes that share the folder one does the work: whoever holds its lock.
"""

from __future__ import annotations

import asyncio
import dataclasses
import functools
import hashlib
import json
import logging
import math
import os
import re
import secrets
import shutil
import threading
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from filelock import FileLock, Timeout

from rag.errors import BadInput, Busy, LoadError, NotFound
from rag.load import worker
from rag.load.build import File
from rag.state import State, Upload
from rag.types import Document
from rag.web.problem import Refused

if TYPE_CHECKING:
    from rag.index import Index

Stage = Literal["queued", "reading", "indexing", "done", "failed"]
T = TypeVar("T")
SMALLEST = 4_096  # bytes that a file counts at least towards what one user may keep
PATIENCE = 30.0  # seconds that a sender may be silent
POLL = 1.0  # seconds between looks for a lock that another process holds
COURTESY = 5.0  # seconds that a removal waits for it
TOGETHER = 200_000  # characters of documents that are written together
READING = 10  # percent that reading a file stands for
_ID = re.compile(r"upload:([0-9a-f]{32})/")


@dataclass(frozen=True, slots=True)
class Progress:
    """How far an upload is. `documents` are the ids that it became, `problems` what was left out of it, or why all."""

    sha256: str
    collection: str
    stage: Stage = "queued"
    percent: int = 0
    seconds_left: int | None = None
    problems: tuple[str, ...] = ()
    documents: tuple[str, ...] = ()


class Uploads:
    """The uploads in `folder`. `largest` and `each` are bytes: of one file (0: none), and of all of one user."""

    def __init__(self, folder: Path, state: Callable[[], State], index: Index, largest: int, each: int) -> None:
        self.folder = folder
        self.index = index
        self.largest = largest
        self.each = each
        self._state = state
        self._wake = threading.Event()
        self._ending = threading.Event()
        self._worker: threading.Thread | None = None
        self._writing = threading.Lock()

    # ── what is there ────────────────────────────────────────────────────────────────────────────────────────────

    def of(self, owner: str) -> list[tuple[Upload, Progress]]:
        """The uploads of one user, newest first."""
        own = ((one, self._read(one.id)) for one in reversed(self._state().uploads(owner)))
        return [(one, progress) for one, progress in own if progress]

    def get(self, owner: str, upload: str) -> tuple[Upload, Progress]:
        """One of their uploads. NotFound says the same of another's and of none."""
        found, progress = self._state().upload(owner, upload), self._read(upload)
        if progress is None:
            raise NotFound(f"there is no upload {upload!r}; it may have been removed")
        return found, progress

    def original(self, document_id: str) -> tuple[Upload, Progress, Path]:
        """The upload that a document came from and its file. NotFound when the document was not uploaded."""
        named = _ID.match(document_id)
        found = next((one for one in self._state().uploads() if named and one.id == named[1]), None)
        progress = self._read(found.id) if found else None
        if found is None or progress is None:
            raise NotFound(f"no original of document {document_id!r} is kept")
        return found, progress, self.folder / found.id / "original"

    def _read(self, upload: str) -> Progress | None:
        with suppress(OSError, ValueError, TypeError, KeyError):
            row: dict[str, Any] = json.loads((self.folder / upload / "progress.json").read_text("utf-8"))
            lists = {name: tuple(row[name]) for name in ("problems", "documents")}
            return Progress(**{**row, **lists})
        return None

    def _write(self, place: Path, progress: Progress) -> None:
        """Atomically. Raises NotFound when the upload was removed meanwhile."""
        new = place / "progress.new"
        with self._writing:
            try:
                new.write_text(json.dumps(dataclasses.asdict(progress), ensure_ascii=False), "utf-8")
                os.replace(new, new.with_suffix(".json"))
            except FileNotFoundError:
                raise NotFound(f"upload {place.name!r} was removed") from None

    # ── receiving and removing ───────────────────────────────────────────────────────────────────────────────────

    async def receive(
        self, body: AsyncIterator[bytes], name: str, owner: str, groups: Sequence[str] | None, collection: str
    ) -> tuple[Upload, Progress]:
        """Keep a file and queue it; `groups` besides the owner may read it, None: everyone.

        Raises BadInput for a bad name, Refused when it is too much or never ends.
        """
        if not self.largest:
            raise Refused(403, "forbidden", "uploads are switched off here")
        name = clean(name)
        room = self.each - sum(max(one.size, SMALLEST) for one, _ in self.of(owner))
        place, size, digest = self.folder / f"new-{secrets.token_hex(8)}", 0, hashlib.sha256()
        try:
            place.mkdir(parents=True)
            with (place / "original").open("wb") as file:
                while chunk := await asyncio.wait_for(anext(body, b""), PATIENCE):
                    size += len(chunk)
                    if size > self.largest:
                        raise Refused(413, "too_large", f"{name}: a file may have {self.largest} bytes")
                    if max(size, SMALLEST) > room:
                        raise Refused(413, "no_room", f"your uploads may have {self.each} bytes; remove some first")
                    digest.update(chunk)
                    file.write(chunk)
            if not size:
                raise BadInput(f"{name}: the file is empty; fill it and upload it again")
            progress = Progress(digest.hexdigest(), collection)
            self._write(place, progress)
            upload = self._state().add_upload(owner, name, size, groups)
            os.rename(place, self.folder / upload.id)
        except TimeoutError:
            raise Refused(408, "too_slow", f"{name}: nothing came for {PATIENCE:g} seconds; upload it again") from None
        except OSError as error:
            logging.getLogger(__name__).error("an upload cannot be kept: %s", error)
            told = f"{name}: it cannot be kept here ({error.strerror}); the log of the program says more"
            raise Refused(503, "no_room", told, {"retry-after": "60"}) from None
        finally:
            shutil.rmtree(place, ignore_errors=True)
        self.start()
        return upload, progress

    def remove(self, owner: str, upload: str) -> int:
        """Its documents leave the index and its file the disk; how many documents. What is being indexed stops.

        Waits a little for others that write to the index. Raises NotFound, and Busy when they go on.
        """
        with self._writing:
            progress = self.get(owner, upload)[1]
            if progress.stage != "done":  # the worker sees that it is gone, and undoes what it wrote
                self._forget(owner, upload)
                return 0
        try:
            removed = self._patiently(lambda: self.index.remove(progress.documents), COURTESY)
        except _Ending:
            raise Busy("the server is ending; remove it when it is back") from None
        self._forget(owner, upload)
        return removed

    def _forget(self, owner: str, upload: str) -> None:
        self._state().remove_upload(owner, upload)
        shutil.rmtree(self.folder / upload, ignore_errors=True)

    # ── the work ─────────────────────────────────────────────────────────────────────────────────────────────────

    def start(self) -> None:
        """Begin to work, or look again, in a thread of its own."""
        self._wake.set()
        if self.largest and self.folder.is_dir() and (self._worker is None or not self._worker.is_alive()):
            self._worker = threading.Thread(target=self._run, name="uploads", daemon=True)
            self._worker.start()

    def stop(self) -> None:
        """What is being indexed is left for the next start."""
        self._ending.set()
        self._wake.set()
        if self._worker:
            self._worker.join(10)

    def _run(self) -> None:
        try:
            self._sweep()
            while not self._ending.is_set():
                self._wake.clear()
                try:
                    with FileLock(self.folder / "lock", timeout=0):
                        self._pass()
                except Timeout:
                    self._wake.wait(POLL)
                else:
                    self._wake.wait()
        finally:
            self.index.close()

    def _pass(self) -> None:
        for upload in self._state().uploads():
            progress = self._read(upload.id)
            if self._ending.is_set():
                return
            if progress and progress.stage not in ("done", "failed"):
                self._take_in(upload, progress)

    def _sweep(self) -> None:
        """Documents whose upload is gone: it was removed just when a process ended."""
        own = [(info.id, _ID.match(info.id)) for info in self.index.documents()]
        lost = [document for document, found in own if found and not (self.folder / found[1]).is_dir()]
        self._take_out(lost)

    def _take_in(self, upload: Upload, progress: Progress) -> None:
        try:
            self._index(upload, progress)
        except _Ending:
            pass
        except (NotFound, FileNotFoundError):  # removed by its owner meanwhile
            self._undo(upload)
        except (LoadError, BadInput) as error:
            self._failed(upload, progress, str(error).replace(f"upload:{upload.id}/", ""))
        except Exception:
            logging.getLogger(__name__).exception("an upload could not be indexed")
            self._failed(upload, progress, "it could not be indexed; the log of the program says why")

    def _failed(self, upload: Upload, progress: Progress, problem: str) -> None:
        self._undo(upload)
        with suppress(NotFound):
            failed = dataclasses.replace(progress, stage="failed", percent=100, problems=(problem,))
            self._write(self.folder / upload.id, failed)

    def _undo(self, upload: Upload) -> None:
        self._take_out([i.id for i in self.index.documents() if i.id.startswith(f"upload:{upload.id}/")])

    def _take_out(self, documents: Sequence[str]) -> None:
        if documents:
            with suppress(_Ending):  # the next start sweeps
                self._patiently(lambda: self.index.remove(documents))

    def _index(self, upload: Upload, progress: Progress) -> None:
        place = self.folder / upload.id
        self._write(place, dataclasses.replace(progress, stage="reading"))
        file = File(
            (place / "original").read_bytes(),
            f"upload:{upload.id}/{upload.name}",
            upload.name,
            ocr=self.index.settings.ocr,
        )
        loaded = worker.read(file)  # in a process of its own, whatever the kind
        documents = tuple(_owned(document, file, upload, progress) for document in loaded.documents)
        ids = tuple(document.id for document in documents)
        if len(set(ids)) != len(ids):
            raise LoadError(f"{upload.name}: several documents in it have the same id; give each its own")
        problems = tuple(problem.replace(f"upload:{upload.id}/", "") for problem in loaded.problems)
        known = dataclasses.replace(progress, documents=ids, problems=problems)
        total, done, began = sum(len(d.text) for d in documents), 0, time.monotonic()
        for some in _batches(documents):
            size, before = sum(len(d.text) for d in some), done

            def told(share: float, size: int = size, before: int = before) -> None:
                part = (before + share * size) / total
                left = round((time.monotonic() - began) * (1 - part) / part) if part else None
                percent = READING + round((99 - READING) * part)
                self._write(place, dataclasses.replace(known, stage="indexing", percent=percent, seconds_left=left))
                if self._ending.is_set():
                    raise _Ending

            told(0.0)
            self._patiently(functools.partial(self.index.put, some, told))
            done += size
        self._write(place, dataclasses.replace(known, stage="done", percent=100))

    def _patiently(self, write: Callable[[], T], most: float = math.inf) -> T:
        """Write to the index, waiting while others do. Raises Busy when that takes more than `most` seconds."""
        until = time.monotonic() + most
        while True:
            try:
                return write()
            except Busy:
                if time.monotonic() > until:
                    raise
                if self._ending.wait(min(POLL, most / 10)):
                    raise _Ending from None


class _Ending(Exception):
    """The server ends; the next start goes on."""


def clean(name: str) -> str:
    """A file's name, with the folders below the one that was dropped. Raises BadInput when it cannot be one."""
    parts = [part.strip() for part in name.replace("\\", "/").split("/")]
    found = "/".join(part for part in parts if part not in ("", ".", ".."))
    if not found or len(found) > 400 or not all(c.isprintable() or c == "\u200d" for c in found):
        raise BadInput("the file's name is empty, longer than 400 characters or cannot be printed; rename the file")
    return found


def _owned(document: Document, file: File, upload: Upload, progress: Progress) -> Document:
    """The document under the upload's own id, groups and collection, whatever the file says of itself."""
    inside = document.id == file.id or document.id.startswith(f"{file.id}!/")
    return dataclasses.replace(
        document,
        id=document.id if inside else f"{file.id}!/{document.id}",
        source=document.source if document.source.startswith(upload.name) else upload.name,
        collection=progress.collection,
        groups=() if upload.groups is None else (f"user:{upload.owner}", *upload.groups),
    )


def _batches(documents: Sequence[Document]) -> list[list[Document]]:
    found: list[list[Document]] = []
    size = TOGETHER
    for document in documents:
        if size >= TOGETHER:
            found.append([])
            size = 0
        found[-1].append(document)
        size += len(document.text)
    return found
