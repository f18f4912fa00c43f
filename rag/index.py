"""Index = store + vectors: open it, keep it equal to folders, search it."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, cast

import numpy as np

from rag.archive import copy
from rag.embed import Encoder, open_encoder
from rag.errors import BadInput, Busy, IndexMismatch, NotFound
from rag.rows import BEGUN, DocumentInfo, Record, StoredPassage
from rag.settings import Settings
from rag.sqlite import FILE
from rag.store import Store
from rag.sync import Progress, SyncReport, Writer, sync
from rag.types import Document, Filters
from rag.vectors import EXACT, Vectors

_REMEMBERED = 32  # filters whose passages are kept for the next question


class Index:
    """An open index. `Index.open` makes one; searching is safe from several threads, writing takes the lock."""

    exact = EXACT  # vectors up to which every one of them is compared

    def __init__(self, folder: Path | None, store: Store, encoder: Encoder | None, settings: Settings) -> None:
        self.folder = folder  # None: it is on a server
        self._place = folder or Path()
        self.store = store
        self.settings = settings
        self._encoder = encoder
        self._guard = threading.RLock()
        self._vectors: Vectors | None = None
        self._limits: tuple[str, dict[Filters, np.ndarray | None]] = ("", {})

    @classmethod
    def open(
        cls, path: str | Path, settings: Settings | None = None, *, create: bool = False, encoder: Encoder | None = None
    ) -> Index:
        """Open the index in folder `path`; with `create` a new one is made there when there is none.

        Raises NotFound when there is no index, IndexMismatch when it is damaged, newer, or of another model.
        """
        folder, settings = Path(path), settings or Settings()
        name = encoder.name if encoder else settings.model
        if str(path).startswith(("postgresql://", "postgres://")):
            return cls._remote(str(path), name, settings, create, encoder)
        if (folder / FILE).exists():
            store = Store(folder, writable=os.access(folder, os.W_OK))
            made = store.meta()["model"]
            if made != name:
                raise IndexMismatch(
                    f"{folder}: made with model {made}, not {name}; use --model {made}, or index into another folder"
                )
        elif create:
            encoder = encoder or open_encoder(settings)
            try:
                folder.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise BadInput(
                    f"{folder}: cannot make the index there ({error.strerror}); choose another --index"
                ) from None
            Store.create(folder, name, encoder.dimension)
            store = Store(folder, writable=True)
        else:
            raise NotFound(f"no index in {folder}; make one with `rag index PATH --index {folder}`")
        return cls(folder, store, encoder, settings)

    @classmethod
    def _remote(cls, url: str, name: str, settings: Settings, create: bool, encoder: Encoder | None) -> Index:
        """The index on a PostgreSQL server."""
        try:
            from rag.postgres import PostgresStore
        except ImportError:
            raise BadInput("an index on PostgreSQL needs psycopg; run `pip install 'pullquote[postgres]'`") from None

        try:
            store = PostgresStore(url)
        except NotFound:
            if not create:
                raise
            encoder = encoder or open_encoder(settings)
            PostgresStore.create(url, name, encoder.dimension)
            store = PostgresStore(url)
        made = store.meta()["model"]
        if made != name:
            store.close()
            raise IndexMismatch(f"{store.name}: made with model {made}, not {name}; use --model {made}")
        return cls(None, cast(Store, store), encoder, settings)

    @property
    def encoder(self) -> Encoder:
        """The model of this index, opened when first needed."""
        with self._guard:
            if self._encoder is None:
                self._encoder = open_encoder(self.settings)
            return self._encoder

    @property
    def version(self) -> str:
        """Changes with every write."""
        return self.store.version

    def document(self, document_id: str) -> Document:
        """The document as it was indexed. Raises NotFound."""
        return self.store.document(document_id)

    def documents(self, groups: tuple[str, ...] | None = None) -> list[DocumentInfo]:
        """The documents that members of `groups` may read (None: every one), by id; one query."""
        return list(self.store.documents(Filters(groups=groups)))

    @property
    def dimension(self) -> int:
        """Of the vectors."""
        return int(self.store.meta()["dimension"])

    def status(self) -> dict[str, Any]:
        """What is in the index, as plain JSON values; `bytes` is its size on disk."""
        documents, passages = self.store.count()
        meta, remote = self.store.meta(), self.store.nearest is not None
        saved = None if remote else Vectors.load(self._place, self.dimension)
        unfinished = [
            str(Path(root, name)) for root in self.store.file_roots()
            for name, state in self.store.files(root).items() if state == BEGUN
        ]  # fmt: skip
        if remote:
            vectors = "current"
        elif saved is None:
            vectors = "missing; made from the store when next opened"
        else:
            behind = saved.version != self.version
            vectors = f"behind ({saved.version}); caught up when next opened" if behind else "current"
        return {
            "index": self.store.name,
            "version": self.version,
            "format": int(meta["format"]),
            "model": meta["model"],
            "documents": documents,
            "passages": passages,
            "bytes": self.store.size(),
            "vectors": vectors,
            "search": saved.kind if saved else "HNSW" if remote else "exact",
            "collections": self.store.collections(),
            "languages": self.store.languages(),
            "roots": [{"path": p, "collection": c, "id_prefix": x} for p, c, x in self.store.roots()],
            "unfinished": unfinished,
            "skipped": [{"file": f, "reason": r} for f, r in self.store.problems()],
        }

    def close(self) -> None:
        """Close this thread's connection to the store."""
        self.store.close()

    # ── searching ────────────────────────────────────────────────────────────────────────────────────────────────

    def dense(self, vector: np.ndarray, top: int, filters: Filters) -> list[tuple[int, float]]:
        """Passage keys and cosines, best first."""
        if self.store.nearest is not None:
            return self.store.nearest(vector, top, filters)
        return self.vectors().search(vector, top, self._allowed(filters), self.store.vectors)

    def lexical(self, terms: Sequence[str], top: int, filters: Filters) -> list[tuple[int, float]]:
        """Passage keys and scores of the passages that hold any of these words, best first."""
        return self.store.lexical(terms, top, filters)

    def frequency(self, word: str, filters: Filters) -> int:
        """How many passages that the filters leave have a word (counted up to 1,000)."""
        return self.store.frequency(word, filters)

    def passages(self, keys: Sequence[int]) -> dict[int, StoredPassage]:
        """The passages with these keys."""
        return self.store.passages(keys)

    def readable(self, filters: Filters) -> bool:
        """True when the filters leave any passage."""
        return self.store.any_passage(filters)

    def _allowed(self, filters: Filters) -> np.ndarray | None:
        with self._guard:
            version = self.version
            if self._limits[0] != version or len(self._limits[1]) >= _REMEMBERED:
                self._limits = (version, {})
            if filters not in self._limits[1]:
                self._limits[1][filters] = self.store.allowed(filters)
            return self._limits[1][filters]

    def vectors(self) -> Vectors:
        """The vectors at the store's version: loaded, and caught up by what came and went (nothing is embedded)."""
        with self._guard:
            version = self.version
            if self._vectors is None or (self._vectors.version != version and self._vectors.stale):
                self._vectors = Vectors.load(self._place, self.dimension) or self._vectors
            if self._vectors is None:
                self._vectors = self._built()
            elif self._vectors.version != version:
                removed = self.store.removed(self._vectors.version)
                if removed is None:
                    self._vectors = self._built()
                else:
                    added = self.store.vectors(self.store.keys(self._vectors.highest))
                    self._vectors = self._vectors.changed(removed, added, version)
            return self._vectors

    def _built(self) -> Vectors:
        keys = self.store.keys()
        return Vectors.build(self.dimension, keys, self.store.vectors, self.version, self.exact)

    # ── writing ──────────────────────────────────────────────────────────────────────────────────────────────────

    def add(
        self, path: str | Path, *, collection: str | None = None, id_prefix: str | None = None, prune: bool = False,
        progress: Progress | None = None,
    ) -> SyncReport:  # fmt: skip
        """Make the index equal to a folder or file: new, changed and vanished files of this root, and only those.

        Raises NotFound when the path is missing, BadInput when too much would vanish, Busy when another writes.
        """
        with self.writing():
            return sync(
                self.store, lambda: self.encoder, path,
                collection=collection, id_prefix=id_prefix, prune=prune, progress=progress, ocr=self.settings.ocr,
            )  # fmt: skip

    def remove(self, document_ids: Sequence[str]) -> int:
        """Remove documents; how many there were. They come back when their changed file is indexed again."""
        with self.writing():
            return sum(self.store.remove_document(i) for i in document_ids)

    def put(self, documents: Sequence[Document], progress: Callable[[float], None] | None = None) -> None:
        """Add documents that are already loaded (uploads, an evaluation's passages), replacing those of the same id.

        `progress` is told the share (0 to 1) of the passages at hand that is embedded; what it raises ends the work.
        """
        with self.writing():
            writer = Writer(self.store, lambda: self.encoder, SyncReport(), progress)
            for document in documents:
                writer.document("", document.id, document)
            writer.flush()

    def take(self, records: Iterable[Record]) -> None:
        """Add documents whose passages and vectors are already made, replacing those of the same id."""
        with self.writing():
            for record in records:
                self.store.put(record)

    def migrate(self, target: Index) -> int:
        """Copy everything into another index without embedding; how many documents. Raises BadInput, IndexMismatch."""
        with self._lock(), target.writing():
            return copy(self.store, target.store)

    def compact(self) -> None:
        """Leave nothing of removed documents in any file of the index, and make the files as small as they can be."""
        with self.writing():
            if self.store.nearest is None:
                with self._guard:
                    self._vectors = None
                    Vectors.discard(self._place)
            self.store.compact()

    @contextmanager
    def writing(self) -> Iterator[None]:
        """The one writer; what derives from the store is brought up to date at the end."""
        with self._lock():
            yield
            self._save_vectors()

    def _save_vectors(self) -> None:
        """Write the FAISS file when it is missing, or when enough changed; else readers catch it up by the change."""
        if self.store.nearest is not None:
            return
        with self._guard:
            if self.vectors().stale:
                self._vectors = self._built()
            found = self.vectors()
            if found.built == found.version != Vectors.saved_version(self._place):
                found.save(self._place)

    def _lock(self) -> AbstractContextManager[None]:
        return self.store.lock() if self.store.lock is not None else _WriterLock(self._place)


class _WriterLock:
    """One writer at a time, across processes."""

    def __init__(self, folder: Path) -> None:
        import filelock

        self._lock = filelock.FileLock(folder / "lock", timeout=0)
        self._timeout = filelock.Timeout
        self._folder = folder

    def __enter__(self) -> None:
        try:
            self._lock.acquire()
        except self._timeout:
            raise Busy(f"{self._folder}: another process is writing to this index; wait for it and run again") from None
        except OSError as error:
            raise BadInput(f"{self._folder}: the index folder cannot be written ({error.strerror})") from None

    def __exit__(self, *_: object) -> None:
        self._lock.release()
