"""Index = store + vectors: keep it equal to folders and files, and search it."""

from __future__ import annotations

import hashlib
import os
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from rag import load
from rag.chunk import chunk
from rag.embed import Encoder, open_encoder
from rag.errors import BadInput, Busy, IndexMismatch, LoadError, NotFound
from rag.settings import Settings
from rag.store import FILE, DocumentInfo, FileState, Store, StoredPassage, digest
from rag.types import Document, Filters, Passage
from rag.vectors import Vectors

FLUSH = 512  # passages that are embedded together: enough to sort by length, little enough to lose
Progress = Callable[[int, int, int], None]  # files done, files in all, passages embedded


@dataclass(slots=True)
class SyncReport:
    """What one `add` did, in files; `embedded` in passages; `skipped` is (path, reason)."""

    added: int = 0
    updated: int = 0
    removed: int = 0
    unchanged: int = 0
    ignored: int = 0
    documents: int = 0
    embedded: int = 0
    skipped: list[tuple[str, str]] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)  # characters that the texts leave out on purpose, by kind


@dataclass(frozen=True, slots=True)
class _Pending:
    path: str
    state: FileState
    documents: tuple[Document, ...]
    passages: tuple[tuple[Passage, ...], ...]
    new: bool


class Index:
    """An open index. `Index.open` makes one; searching is safe from several threads, writing takes the lock."""

    def __init__(self, folder: Path, store: Store, encoder: Encoder | None, settings: Settings) -> None:
        self.folder = folder
        self.store = store
        self.settings = settings
        self._encoder = encoder
        self._guard = threading.RLock()
        self._vectors: Vectors | None = None
        self._vectors_version = ""

    @classmethod
    def open(
        cls, path: str | Path, settings: Settings | None = None, *, create: bool = False, encoder: Encoder | None = None
    ) -> Index:
        """Open the index in folder `path`; with `create` a new one is made there when there is none.

        Raises NotFound when there is no index, IndexMismatch when it is damaged, newer, or of another model.
        """
        folder, settings = Path(path), settings or Settings()
        name = encoder.name if encoder else settings.model
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
            store = Store.create(folder, name, encoder.dimension)
        else:
            raise NotFound(f"no index in {folder}; make one with `rag index PATH --index {folder}`")
        return cls(folder, store, encoder, settings)

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

    def documents(self) -> list[DocumentInfo]:
        """Every document, by id."""
        return list(self.store.documents())

    def status(self) -> dict[str, Any]:
        """What is in the index, as plain JSON values; `bytes` is its size on disk."""
        documents, passages = self.store.count()
        current = Vectors.saved_version(self.folder) == self.version
        return {
            "index": str(self.folder),
            "version": self.version,
            "model": self.store.meta()["model"],
            "documents": documents,
            "passages": passages,
            "bytes": sum(f.stat().st_size for f in self.folder.iterdir() if f.is_file()),
            "vectors": "current" if current else "behind; caught up when next opened",
            "collections": self.store.collections(),
            "roots": [{"path": p, "collection": c, "id_prefix": x} for p, c, x in self.store.roots()],
            "skipped": [{"file": f, "reason": r} for f, r in self.store.problems()],
        }

    def close(self) -> None:
        """Close this thread's connection to the store."""
        self.store.close()

    # ── searching ────────────────────────────────────────────────────────────────────────────────────────────────

    def dense(self, vector: np.ndarray, top: int, filters: Filters) -> list[tuple[int, float]]:
        """Passage keys and cosines, best first."""
        return self.vectors().search(vector, top, self.store.allowed(filters))

    def lexical(self, match: str, top: int, filters: Filters) -> list[tuple[int, float]]:
        """Passage keys and BM25 scores for an FTS5 expression, best first."""
        return self.store.lexical(match, top, filters)

    def passages(self, keys: Sequence[int]) -> dict[int, StoredPassage]:
        """The passages with these keys."""
        return self.store.passages(keys)

    def readable(self, filters: Filters) -> bool:
        """True when the filters leave any passage."""
        return self.store.any_passage(filters)

    def vectors(self) -> Vectors:
        """The vectors at the store's version: loaded, and caught up by comparing keys (nothing is embedded)."""
        with self._guard:
            version = self.version
            if self._vectors is None:
                self._vectors, self._vectors_version = Vectors.load(self.folder, int(self.store.meta()["dimension"]))
            if self._vectors_version != version:
                wanted, there = self.store.keys(), self._vectors.keys()
                self._vectors.remove(np.setdiff1d(there, wanted))
                for keys, vectors in self.store.vectors(np.setdiff1d(wanted, there)):
                    self._vectors.add(keys, vectors)
                self._vectors_version = version
            return self._vectors

    # ── writing ──────────────────────────────────────────────────────────────────────────────────────────────────

    def add(
        self, path: str | Path, *, collection: str | None = None, id_prefix: str | None = None, prune: bool = False,
        progress: Progress | None = None,
    ) -> SyncReport:  # fmt: skip
        """Make the index equal to a folder or file: new, changed and vanished files of this root, and only those.

        Raises NotFound when the path is missing, BadInput when too much would vanish, Busy when another writes.
        """
        given = Path(path)
        root = str(given.resolve())
        with self._lock():
            remembered = {r[0]: r[1:] for r in self.store.roots()}
            before = remembered.get(root)
            if not given.exists() and not (before and prune):
                hint = "; nothing was removed (--prune removes its documents)" if before else "; check the path"
                raise NotFound(f"{path}: no such file or folder{hint}")
            wanted = (
                collection if collection is not None else before[0] if before else "default",
                id_prefix if id_prefix is not None else before[1] if before else "",
            )
            report = SyncReport()
            files = sorted(_walk(given, report))
            known = self.store.files(root)
            gone = [p for p in known if p not in set(files)]
            if not prune and len(gone) * 2 > len(known):
                raise BadInput(
                    f"{path}: {len(gone)} of {len(known)} files vanished; nothing was removed; --prune removes them"
                )
            if not files and not gone:
                raise BadInput(f"{path}: nothing to index there ({report.ignored} files of other kinds)")
            if before != wanted:
                self.store.add_root(root, *wanted)
            self._take_in(given, root, files, known if before == wanted else {}, known, wanted, report, progress)
            for name in gone:
                self.store.remove_file(root, name)
                report.removed += 1
            self._save_vectors()
            return report

    def remove(self, document_ids: Sequence[str]) -> int:
        """Remove documents; how many there were. They come back when their changed file is indexed again."""
        with self._lock():
            removed = sum(self.store.remove_document(i) for i in document_ids)
            self._save_vectors()
            return removed

    def put(self, documents: Sequence[Document]) -> None:
        """Add documents that are already loaded (an evaluation's passages), replacing those of the same id."""
        with self._lock():
            for first in range(0, len(documents), FLUSH):
                pending = [
                    self._pending(d.id, FileState(0, 0, ""), (d,), True) for d in documents[first : first + FLUSH]
                ]
                self._flush("", pending, SyncReport())
            self._save_vectors()

    def _take_in(
        self, given: Path, root: str, files: Sequence[str], trusted: dict[str, FileState], known: dict[str, FileState],
        wanted: tuple[str, str], report: SyncReport, progress: Progress | None,
    ) -> None:  # fmt: skip
        pending: list[_Pending] = []
        waiting = 0
        for done, name in enumerate(files):
            file = given / name if name else given
            try:
                taken = self._read(file, root, name, trusted.get(name), wanted, report)
            except (LoadError, BadInput) as error:
                report.skipped.append((str(file), str(error)))
                self._remember_problem(file, root, name, str(error))
                continue
            if taken is not None:
                pending.append(self._pending(name, *taken, name not in known))
                waiting += sum(map(len, pending[-1].passages))
            if waiting >= FLUSH:
                self._flush(root, pending, report)
                pending, waiting = [], 0
            if progress:
                progress(done + 1, len(files), report.embedded)
        self._flush(root, pending, report)
        if progress:
            progress(len(files), len(files), report.embedded)

    def _read(
        self, file: Path, root: str, name: str, known: FileState | None, wanted: tuple[str, str], report: SyncReport
    ) -> tuple[FileState, tuple[Document, ...]] | None:
        """The documents of a file that is new or changed; None when it is as it was."""
        try:
            stat = file.stat()
            if known and (stat.st_size, stat.st_mtime_ns) == (known.size, known.mtime_ns):
                report.unchanged += 1
                if known.problem:
                    report.skipped.append((str(file), known.problem))
                return None
            data = file.read_bytes()
        except OSError as error:
            raise LoadError(f"cannot be read ({error.strerror}); check its permissions") from None
        state = FileState(stat.st_size, stat.st_mtime_ns, hashlib.sha256(data).hexdigest())
        if known and known.sha256 == state.sha256 and not known.problem:
            report.unchanged += 1
            self.store.touch_file(root, name, FileState(state.size, state.mtime_ns, state.sha256, known.problem))
            return None
        collection, prefix = wanted
        document_id = prefix + (name or file.name)
        loaded = load.load(data, document_id, source=document_id, collection=collection)
        for document in loaded.documents:
            owner = self.store.root_of(document.id)
            if owner and owner[0] != root:
                raise BadInput(
                    f"id {document.id!r} is already taken by {owner[0] or 'another source'}; give --id-prefix"
                )
        report.left_out.update(loaded.left_out)
        problem = "; ".join(loaded.problems) or None
        if problem:
            report.skipped.append((str(file), problem))
        return FileState(state.size, state.mtime_ns, state.sha256, problem), loaded.documents

    def _remember_problem(self, file: Path, root: str, name: str, problem: str) -> None:
        """A file that cannot be used any more stands in `status` with its reason; what it gave before is kept."""
        try:
            stat = file.stat()
        except OSError:
            return
        known = self.store.files(root).get(name)
        kept = known.sha256 if known else ""
        self.store.touch_file(root, name, FileState(stat.st_size, stat.st_mtime_ns, kept, problem))

    def _pending(self, name: str, state: FileState, documents: tuple[Document, ...], new: bool) -> _Pending:
        return _Pending(name, state, documents, tuple(tuple(chunk(d, self.encoder.count)) for d in documents), new)

    def _flush(self, root: str, pending: Sequence[_Pending], report: SyncReport) -> None:
        """Embed what has no vector yet, then write file by file."""
        texts: dict[bytes, str] = {}
        digests: list[list[list[bytes]]] = []
        for item in pending:
            digests.append([])
            for document, passages in zip(item.documents, item.passages, strict=True):
                words = [document.text[p.start : p.end] for p in passages]
                marks = [digest(p, w) for p, w in zip(passages, words, strict=True)]
                texts.update(
                    {m: f"{p.context}\n{w}" if p.context else w for m, p, w in zip(marks, passages, words, strict=True)}
                )
                digests[-1].append(marks)
        vectors = self.store.known_vectors(list(texts))
        unknown = [m for m in texts if m not in vectors]
        if unknown:
            made = self.encoder.encode([texts[m] for m in unknown]).astype(np.float16)
            vectors.update({m: v.tobytes() for m, v in zip(unknown, made, strict=True)})
        report.embedded += len(unknown)
        for item, marks_of in zip(pending, digests, strict=True):
            rows = [
                (document, passages, marks, [vectors[m] for m in marks])
                for document, passages, marks in zip(item.documents, item.passages, marks_of, strict=True)
            ]
            self.store.put_file(root, item.path, item.state, rows)
            report.documents += len(rows)
            report.added += item.new
            report.updated += not item.new

    def _save_vectors(self) -> None:
        if Vectors.saved_version(self.folder) != self.version:
            self.vectors().save(self.folder, self.version)

    def _lock(self) -> _WriterLock:
        return _WriterLock(self.folder)


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


def _walk(given: Path, report: SyncReport) -> Iterator[str]:
    """Names of the files to index below `given`, POSIX, relative; "" for a single file. Links are not followed out."""
    if given.is_file():
        yield ""
        return
    root = given.resolve()
    for folder, folders, names in os.walk(given):
        folders[:] = sorted(f for f in folders if not f.startswith("."))
        for name in names:
            file = Path(folder, name)
            relative = file.relative_to(given).as_posix()
            try:
                relative.encode("utf-8")
            except UnicodeEncodeError:
                report.skipped.append((ascii(relative), "the name is not valid UTF-8; rename the file"))
                continue
            if name.startswith(".") or not load.is_candidate(name):
                report.ignored += not name.startswith(".")
            elif file.is_symlink() and not (file.exists() and file.resolve().is_relative_to(root)):
                report.skipped.append((str(file), "a link that leaves the folder; not followed"))
            elif file.is_file():
                yield relative
