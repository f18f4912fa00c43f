"""Make a store equal to a folder or file: what is new, changed, renamed or vanished, a document at a time."""

from __future__ import annotations

import hashlib
import os
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from rag import load
from rag.chunk import chunk
from rag.embed import Encoder
from rag.errors import BadInput, LoadError, NotFound
from rag.language import spoken
from rag.load.ocr import again as ocr_again
from rag.rows import BEGUN, FileState, Record, digest
from rag.store import Store
from rag.types import Document, Passage

FLUSH = 512  # passages that are embedded together: enough to sort by length, little enough to lose
_UNPRINTABLE = re.compile(
    "[\\x00-\\x1f\\x7f-\\x9f\\u2028\\u2029\\ud800-\\udfff]"
)  # surrogates: bytes that are not UTF-8
Progress = Callable[[int, int, int], None]  # bytes done, bytes of all files that have to be read, passages embedded


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
    languages: Counter[str] = field(default_factory=Counter)  # documents that were read, by language; "": not known
    left_out: Counter[str] = field(default_factory=Counter)  # characters that the texts leave out on purpose, by kind


@dataclass(slots=True)
class Walk:
    """What a look at a folder found: size and time of every file to index, and what cannot be read."""

    files: dict[str, tuple[int, int]] = field(default_factory=dict)  # POSIX path below the root; "" for a single file
    closed: list[str] = field(default_factory=list)  # cannot be read: what they gave before stays


class Writer:
    """Takes documents in, embeds them together, writes each in a transaction of its own."""

    def __init__(
        self, store: Store, encoder: Callable[[], Encoder], report: SyncReport,
        embedded: Callable[[float], None] | None = None,
    ) -> None:  # fmt: skip
        self.store = store
        self.encoder = encoder  # opened when the first document comes
        self.report = report
        self.embedded = embedded  # told the share of the passages at hand
        self._waiting: list[tuple[str, str, Document, tuple[Passage, ...]] | Callable[[], None]] = []
        self._size = 0

    def document(self, root: str, path: str, document: Document) -> None:
        """Write this document, unless exactly it is there."""
        self.report.documents += 1
        document = spoken(document)
        self.report.languages[document.language or ""] += 1
        if self.store.same(root, path, document):
            return
        passages = tuple(chunk(document, self.encoder().count))
        self._waiting.append((root, path, document, passages))
        self._size += len(passages)
        if self._size >= FLUSH:
            self.flush()

    def then(self, action: Callable[[], None]) -> None:
        """Do this after the documents that came before are written."""
        self._waiting.append(action)

    def flush(self) -> None:
        """Embed what has no vector yet, then write document by document."""
        texts: dict[bytes, str] = {}
        marks: list[list[bytes]] = []
        for item in self._waiting:
            marks.append([])
            if not callable(item):
                for p in item[3]:
                    words = item[2].text[p.start : p.end]
                    marks[-1].append(digest(p, words))
                    texts[marks[-1][-1]] = f"{p.context}\n{words}" if p.context else words
        vectors = self.store.known_vectors(list(texts))
        unknown = [m for m in texts if m not in vectors]
        for first in range(0, len(unknown), FLUSH):
            some = unknown[first : first + FLUSH]
            made = self.encoder().encode([texts[m] for m in some]).astype(np.float16)
            vectors.update({m: v.tobytes() for m, v in zip(some, made, strict=True)})
            self.report.embedded += len(some)
            if self.embedded:
                self.embedded((first + len(some)) / len(unknown))
        for item, own in zip(self._waiting, marks, strict=True):
            if callable(item):
                item()
            else:
                self.store.put(Record(*item, tuple(own), tuple(vectors[m] for m in own)))
        self._waiting, self._size = [], 0


def sync(
    store: Store, encoder: Callable[[], Encoder], path: str | Path, *, collection: str | None, id_prefix: str | None,
    prune: bool, progress: Progress | None, ocr: str = "",
) -> SyncReport:  # fmt: skip
    """Make the store equal to a folder or file: new, changed and vanished files of this root, and only those.

    A run that was killed goes on where it was: documents that are written are neither embedded nor written again.
    Raises NotFound when the path is missing, BadInput when too much would vanish or `ocr` cannot be done.
    """
    load.check_ocr(ocr)
    given = Path(path)
    root = str(given.resolve())
    before = {r[0]: r[1:] for r in store.roots()}.get(root)
    if not given.exists() and not (before and prune):
        hint = "; nothing was removed (--prune removes its documents)" if before else "; check the path"
        raise NotFound(f"{path}: no such file or folder{hint}")
    wanted = (
        collection if collection is not None else before[0] if before else "default",
        id_prefix if id_prefix is not None else before[1] if before else "",
    )
    report = SyncReport()
    found = walk(given, report)
    known = store.files(root)
    gone = [p for p in known if p not in found.files and not _below(p, found.closed)]
    if not prune and len(gone) * 2 > len(known):
        raise BadInput(f"{path}: {len(gone)} of {len(known)} files vanished; nothing was removed; --prune removes them")
    if not found.files and not gone:
        told = f"; {report.skipped[0][1]}" if report.skipped else ""
        raise BadInput(f"{path}: nothing to index there ({report.ignored} files of other kinds{told})")
    if before != wanted:
        store.add_root(root, *wanted)
    _Root(store, Writer(store, encoder, report), given, root, *wanted, known, before == wanted, ocr).take_in(
        found.files, progress
    )
    if gone and not given.exists() and not prune:
        raise NotFound(f"{path}: it vanished while it was read; nothing was removed; run again when it is back")
    for name in gone:
        store.remove_file(root, name)
        report.removed += 1
    return report


@dataclass(frozen=True, slots=True)
class _Root:
    """One PATH that was given, while its files are taken in."""

    store: Store
    writer: Writer
    given: Path
    root: str
    collection: str
    prefix: str
    known: dict[str, FileState]
    trusted: bool  # False: every file is read again (another collection or prefix)
    ocr: str

    def take_in(self, files: dict[str, tuple[int, int]], progress: Progress | None) -> None:
        report = self.writer.report
        changed = []
        for name in sorted(files):
            state = self.known.get(name)
            same = self.trusted and state and (state.size, state.mtime_ns) == files[name]
            if same and state and not ocr_again(state.problem, self.ocr):
                report.unchanged += 1
                if state.problem:
                    report.skipped.append((str(self._file(name)), state.problem))
            else:
                changed.append(name)
        total, done = sum(files[name][0] for name in changed), 0
        for name in changed:
            try:
                read = self._read(name)
                if read is not None:
                    state, documents = read
                    self.store.touch_file(self.root, name, BEGUN)
                    ids = []  # a large file's documents are made one by one
                    for n, document in enumerate(documents, 1):
                        ids.append(document.id)
                        self.writer.document(self.root, name, document)
                        if progress and n % 50 == 0:
                            progress(done + files[name][0] * n // len(documents), total, report.embedded)
                    self.writer.then(self._finish(name, state, ids))
            except (LoadError, BadInput) as error:
                report.skipped.append((str(self._file(name)), str(error)))
                self._remember_problem(name, files[name], str(error))
            done += files[name][0]
            if progress:
                progress(done, total, report.embedded)
        self.writer.flush()
        if progress:
            progress(total, total, report.embedded)

    def _file(self, name: str) -> Path:
        return self.given / name if name else self.given

    def _finish(self, name: str, state: FileState, ids: Sequence[str]) -> Callable[[], None]:
        def finish() -> None:
            self.store.finish_file(self.root, name, state, ids)
            self.writer.report.added += name not in self.known
            self.writer.report.updated += name in self.known

        return finish

    def _read(self, name: str) -> tuple[FileState, Sequence[Document]] | None:
        """The documents of a file that is new or changed; None when its content is as it was."""
        file, report = self._file(name), self.writer.report
        try:
            data, state = _bytes(file)
        except OSError as error:
            if not self.given.exists():
                raise NotFound(
                    f"{self.given}: it vanished while it was read; what was read is kept, nothing was removed;"
                    " run again when it is back"
                ) from None
            raise LoadError(f"cannot be read ({error.strerror}); check that it is there and its permissions") from None
        before = self.known.get(name) if self.trusted else None
        if before and before.sha256 == state.sha256 and not before.problem:
            report.unchanged += 1
            self.store.touch_file(self.root, name, state)
            return None
        document_id = self.prefix + (name or file.name)
        if data is None:
            loaded = load.load_rows(file, document_id, source=document_id, collection=self.collection)
        else:
            loaded = load.load(data, document_id, source=document_id, collection=self.collection, ocr=self.ocr)
        for document in loaded.documents:
            owner = self.store.root_of(document.id)
            if owner and owner[0] != self.root:
                raise BadInput(
                    f"id {document.id!r} is already taken by {owner[0] or 'another source'}; give --id-prefix"
                )
        report.left_out.update(loaded.left_out)
        problem = "; ".join(loaded.problems) or None
        if problem:
            report.skipped.append((str(file), problem))
        return replace(state, problem=problem), loaded.documents

    def _remember_problem(self, name: str, stat: tuple[int, int], problem: str) -> None:
        """A file that cannot be used any more stands in `status` with its reason; what it gave before is kept."""
        known = self.known.get(name)
        self.store.touch_file(self.root, name, FileState(*stat, known.sha256 if known else "", problem))


def _bytes(file: Path) -> tuple[bytes | None, FileState]:
    """A file's bytes, None for rows that are read one by one, and its state. LoadError when it changes meanwhile."""
    rows = load.has_rows(file)
    for _ in range(2):
        with file.open("rb") as stream:
            before = os.fstat(stream.fileno())
            data = None if rows else stream.read()
            digest = hashlib.file_digest(stream, "sha256") if data is None else hashlib.sha256(data)
            size, after = stream.tell(), os.fstat(stream.fileno())
        if (before.st_mtime_ns, before.st_size) == (after.st_mtime_ns, size):
            return data, FileState(size, after.st_mtime_ns, digest.hexdigest())
    raise LoadError("it changes while it is read; run again when it is finished")


def _below(name: str, places: Sequence[str]) -> bool:
    return any(name == place or name.startswith(f"{place}/") for place in places)


def walk(given: Path, report: SyncReport) -> Walk:
    """The files to index below `given`. Links to folders, and links that leave it, are not followed."""
    found = Walk()
    if not given.exists():  # to be pruned
        return found
    if given.is_file():
        stat = given.stat()
        found.files[""] = (stat.st_size, stat.st_mtime_ns)
        return found
    root = given.resolve()

    def closed(error: OSError) -> None:
        folder = Path(error.filename)
        if folder == given:
            raise NotFound(f"{given}: the folder cannot be read ({error.strerror}); nothing was removed") from None
        report.skipped.append((str(folder), f"the folder cannot be read ({error.strerror}); what it gave is kept"))
        found.closed.append(folder.relative_to(given).as_posix())

    for folder, folders, names in os.walk(given, onerror=closed):
        folders[:] = sorted(f for f in folders if not f.startswith("."))
        for name in folders:
            if os.path.islink(os.path.join(folder, name)):
                report.skipped.append((os.path.join(folder, name), "a link to a folder; not followed"))
        for name in names:
            if name.startswith("."):
                continue
            if not load.is_candidate(name):
                report.ignored += 1
                continue
            file = Path(folder, name)
            relative = file.relative_to(given).as_posix()
            if _UNPRINTABLE.search(relative):
                report.skipped.append((ascii(relative), "the name cannot be printed in one line; rename the file"))
                continue
            try:
                if file.is_symlink() and not (file.exists() and file.resolve().is_relative_to(root)):
                    report.skipped.append((str(file), "a link that leaves the folder; not followed"))
                elif file.is_file():
                    stat = file.stat()
                    found.files[relative] = (stat.st_size, stat.st_mtime_ns)
            except OSError as error:
                report.skipped.append((str(file), f"cannot be read ({error.strerror}); what it gave is kept"))
                found.closed.append(relative)
    return found
