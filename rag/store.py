"""The one truth: documents, passages, vectors and full text in one SQLite file. Door of sqlite3.

Every write is one transaction that also raises the version. Readers (WAL) see the state before or after it.
Passage keys are never used twice, so a key names one vector for ever: what derives from the store (the FAISS file)
is brought up to date by comparing keys.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import sqlite3
import threading
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from rag.errors import BadInput, Busy, IndexMismatch, NotFound
from rag.types import Block, Document, Filters, Page, Passage, Section, Unit

FORMAT = 1
FILE = "store.sqlite"
_DAMAGED = "not a readable index ({reason}); restore a copy, or delete the folder and run `rag index`"

_SCHEMA = """
CREATE TABLE meta(key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE roots(path TEXT PRIMARY KEY, collection TEXT NOT NULL, prefix TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE files(root TEXT NOT NULL, path TEXT NOT NULL, size INTEGER NOT NULL, mtime_ns INTEGER NOT NULL,
    sha256 TEXT NOT NULL, problem TEXT, PRIMARY KEY(root, path)) WITHOUT ROWID;
CREATE TABLE documents(key INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, root TEXT NOT NULL,
    path TEXT NOT NULL, title TEXT NOT NULL, source TEXT NOT NULL, collection TEXT NOT NULL, date TEXT,
    revision TEXT NOT NULL, loader TEXT NOT NULL, groups TEXT NOT NULL, structure TEXT NOT NULL, text TEXT NOT NULL);
CREATE INDEX documents_file ON documents(root, path);
CREATE TABLE passages(key INTEGER PRIMARY KEY AUTOINCREMENT, document INTEGER NOT NULL REFERENCES documents(key),
    start INTEGER NOT NULL, end INTEGER NOT NULL, context TEXT NOT NULL, text TEXT NOT NULL, units TEXT NOT NULL,
    digest BLOB NOT NULL, vector BLOB NOT NULL);
CREATE INDEX passages_document ON passages(document);
CREATE INDEX passages_digest ON passages(digest);
CREATE VIRTUAL TABLE lexical USING fts5(context, text, content='', tokenize='porter unicode61 remove_diacritics 2');
"""


@dataclass(frozen=True, slots=True)
class DocumentInfo:
    """A document without its text."""

    id: str
    title: str
    source: str
    collection: str
    date: str | None
    revision: str
    passages: int


@dataclass(frozen=True, slots=True)
class FileState:
    """What was known of a file when it was last read; `problem` is why it (or part of it) was skipped."""

    size: int
    mtime_ns: int
    sha256: str
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class StoredPassage:
    """A passage with its text, as read back."""

    key: int
    document_id: str
    start: int
    end: int
    context: str
    text: str
    units: tuple[Unit, ...]


class _Connection(sqlite3.Connection):
    """A connection whose failures are one line with the next step."""

    def execute(self, *args: Any) -> sqlite3.Cursor:
        try:
            return super().execute(*args)
        except sqlite3.IntegrityError:
            raise
        except sqlite3.OperationalError as error:
            if "locked" in str(error):
                raise Busy("the index is being written by another process; run again in a moment") from None
            if "full" in str(error) or "readonly" in str(error):
                raise BadInput(f"the index cannot be written ({error}); what was committed before is kept") from None
            raise
        except sqlite3.DatabaseError as error:
            raise IndexMismatch(_DAMAGED.format(reason=error)) from None


class Store:
    """An open store. Connections are one a thread; writing needs the caller to hold the index's lock."""

    def __init__(self, folder: Path, writable: bool) -> None:
        self.file = folder / FILE
        self.writable = writable
        self._local = threading.local()
        self._check()

    @classmethod
    def create(cls, folder: Path, model: str, dimension: int) -> Store:
        """A new, empty store for vectors of this model."""
        with sqlite3.connect(folder / FILE) as db:
            db.execute("PRAGMA journal_mode=WAL")
            db.executescript(_SCHEMA)
            meta = {"format": FORMAT, "id": uuid.uuid4().hex[:8], "version": 0, "model": model, "dimension": dimension}
            db.executemany("INSERT INTO meta VALUES(?, ?)", [(k, str(v)) for k, v in meta.items()])
        db.close()
        return cls(folder, writable=True)

    @property
    def db(self) -> sqlite3.Connection:
        """This thread's connection."""
        found: sqlite3.Connection | None = getattr(self._local, "db", None)
        if found is None:
            found = sqlite3.connect(
                f"file:{_uri(self.file)}?mode={'rw' if self.writable else 'ro'}",
                uri=True,
                timeout=30,
                factory=_Connection,
                isolation_level=None,
            )
            found.execute("PRAGMA foreign_keys=ON")
            found.execute("PRAGMA synchronous=NORMAL")
            self._local.db = found
        return found

    def close(self) -> None:
        """Close this thread's connection."""
        if found := getattr(self._local, "db", None):
            found.close()
            self._local.db = None

    def _check(self) -> None:
        try:
            with self.file.open("rb") as stream:
                header = stream.read(100)
            page = int.from_bytes(header[16:18], "big")
            pages = int.from_bytes(header[28:32], "big")
            if self.file.stat().st_size < pages * (65536 if page == 1 else page):
                raise ValueError("it was cut short")
            made = int(self.meta()["format"])
        except (OSError, sqlite3.DatabaseError, KeyError, ValueError) as error:
            raise IndexMismatch(f"{self.file}: {_DAMAGED.format(reason=error)}") from None
        if made > FORMAT:
            raise IndexMismatch(f"{self.file}: format {made} is newer than this program's {FORMAT}; upgrade pullquote")

    # ── reading ──────────────────────────────────────────────────────────────────────────────────────────────────

    def meta(self) -> dict[str, str]:
        """Format, id, version, model, dimension."""
        return dict(self.db.execute("SELECT key, value FROM meta"))

    @property
    def version(self) -> str:
        """Changes with every write: `id.counter`."""
        meta = self.meta()
        return f"{meta['id']}.{meta['version']}"

    def count(self) -> tuple[int, int]:
        """Documents and passages."""
        return self.db.execute("SELECT (SELECT count(*) FROM documents), (SELECT count(*) FROM passages)").fetchone()

    def document(self, document_id: str) -> Document:
        """The whole document. Raises NotFound."""
        row = self.db.execute(
            "SELECT id, text, title, source, collection, date, loader, revision, groups, structure"
            " FROM documents WHERE id = ?",
            (document_id,),
        ).fetchone()
        if row is None:
            raise NotFound(f"no document {document_id!r} in {self.file.parent}; `rag status` lists them")
        *plain, groups, structure = row
        parts = json.loads(structure)
        return Document(
            **dict(
                zip(("id", "text", "title", "source", "collection", "date", "loader", "revision"), plain, strict=True)
            ),
            groups=tuple(json.loads(groups)),
            pages=tuple(Page(*p) for p in parts["pages"]),
            sections=tuple(Section(tuple(path), start, end) for path, start, end in parts["sections"]),
            blocks=tuple(Block(*b) for b in parts["blocks"]),
        )

    def documents(self) -> Iterator[DocumentInfo]:
        """Every document, by id."""
        rows = self.db.execute(
            "SELECT id, title, source, collection, date, revision,"
            " (SELECT count(*) FROM passages WHERE document = documents.key) FROM documents ORDER BY id"
        )
        return (DocumentInfo(*row) for row in rows)

    def passages(self, keys: Sequence[int]) -> dict[int, StoredPassage]:
        """The passages with these keys; one that is gone is left out."""
        rows = self.db.execute(
            "SELECT p.key, d.id, p.start, p.end, p.context, p.text, p.units FROM passages p"
            " JOIN documents d ON d.key = p.document WHERE p.key IN (SELECT value FROM json_each(?))",
            (json.dumps([int(k) for k in keys]),),
        )
        return {
            key: StoredPassage(key, document_id, start, end, context, text, _units(written))
            for key, document_id, start, end, context, text, written in rows
        }

    def keys(self) -> np.ndarray:
        """int64: the keys of all passages, ascending."""
        return np.fromiter((k for (k,) in self.db.execute("SELECT key FROM passages ORDER BY key")), dtype=np.int64)

    def allowed(self, filters: Filters) -> np.ndarray | None:
        """The keys of the passages that the filters leave, ascending; None when they leave everything."""
        where, values = _where(filters)
        if not where:
            return None
        rows = self.db.execute(
            f"SELECT p.key FROM passages p JOIN documents d ON d.key = p.document WHERE {where} ORDER BY p.key", values
        )
        return np.fromiter((k for (k,) in rows), dtype=np.int64)

    def any_passage(self, filters: Filters) -> bool:
        """True when the filters leave anything."""
        where, values = _where(filters)
        query = f"SELECT 1 FROM passages p JOIN documents d ON d.key = p.document WHERE {where or 'true'} LIMIT 1"
        return self.db.execute(query, values).fetchone() is not None

    def vectors(self, keys: Iterable[int]) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """int64 [n] keys and float32 [n, d] vectors of these passages, in batches."""
        wanted = [int(k) for k in keys]
        for first in range(0, len(wanted), 10_000):
            rows = self.db.execute(
                "SELECT key, vector FROM passages WHERE key IN (SELECT value FROM json_each(?)) ORDER BY key",
                (json.dumps(wanted[first : first + 10_000]),),
            ).fetchall()
            yield (
                np.array([k for k, _ in rows], np.int64),
                np.stack([np.frombuffer(v, np.float16) for _, v in rows]).astype(np.float32),
            )

    def lexical(self, match: str, top: int, filters: Filters) -> list[tuple[int, float]]:
        """Keys and BM25 scores (higher is better) of the passages that match this FTS5 expression, best first."""
        where, values = _where(filters)
        rows = self.db.execute(
            f"SELECT l.rowid, -bm25(lexical, 0.5, 1.0) AS score FROM lexical l{_joined(where)} lexical MATCH ?"
            " ORDER BY score DESC, l.rowid LIMIT ?",
            (*values, match, top),
        )
        return rows.fetchall()

    def frequency(self, term: str, filters: Filters, most: int = 1000) -> int:
        """How many passages that the filters leave have a term, counted up to `most`."""
        where, values = _where(filters)
        rows = self.db.execute(
            f"SELECT count(*) FROM (SELECT 1 FROM lexical l{_joined(where)} lexical MATCH ? LIMIT {most})",
            (*values, f'"{term}"'),
        )
        return int(rows.fetchone()[0])

    def known_vectors(self, digests: Sequence[bytes]) -> dict[bytes, bytes]:
        """Vectors of passages with the same words, so that nothing is embedded twice."""
        found = {}
        for digest in dict.fromkeys(digests):
            row = self.db.execute("SELECT vector FROM passages WHERE digest = ? LIMIT 1", (digest,)).fetchone()
            if row:
                found[digest] = row[0]
        return found

    def roots(self) -> list[tuple[str, str, str]]:
        """Path, collection and id prefix of every root."""
        return self.db.execute("SELECT path, collection, prefix FROM roots ORDER BY path").fetchall()

    def files(self, root: str) -> dict[str, FileState]:
        """What is known of the files of a root."""
        rows = self.db.execute("SELECT path, size, mtime_ns, sha256, problem FROM files WHERE root = ?", (root,))
        return {r[0]: FileState(*r[1:]) for r in rows}

    def problems(self) -> list[tuple[str, str]]:
        """Files that were skipped, wholly or in part, and why."""
        rows = self.db.execute("SELECT root, path, problem FROM files WHERE problem IS NOT NULL ORDER BY root, path")
        return [(str(Path(root, path)) if path else root, problem) for root, path, problem in rows]

    def collections(self) -> dict[str, int]:
        """Documents of each collection."""
        return dict(
            self.db.execute("SELECT collection, count(*) FROM documents GROUP BY collection ORDER BY collection")
        )

    def root_of(self, document_id: str) -> tuple[str, str] | None:
        """The root and the file that a document came from."""
        return self.db.execute("SELECT root, path FROM documents WHERE id = ?", (document_id,)).fetchone()

    # ── writing ──────────────────────────────────────────────────────────────────────────────────────────────────

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """One transaction; the version rises with it."""
        db = self.db
        db.execute("BEGIN IMMEDIATE")
        try:
            yield db
            db.execute("UPDATE meta SET value = CAST(value AS INTEGER) + 1 WHERE key = 'version'")
            db.execute("COMMIT")
        except BaseException:
            db.execute("ROLLBACK")
            raise

    def add_root(self, path: str, collection: str, prefix: str) -> None:
        """Remember a root."""
        with self.writing() as db:
            db.execute("INSERT OR REPLACE INTO roots VALUES(?, ?, ?)", (path, collection, prefix))

    def put_file(
        self,
        root: str,
        path: str,
        state: FileState,
        documents: Sequence[tuple[Document, Sequence[Passage], Sequence[bytes], Sequence[bytes]]],
    ) -> None:
        """Replace all that came from a file: each document with its passages, their digests and float16 vectors."""
        with self.writing() as db:
            _remove(db, "root = ? AND path = ?", (root, path))
            for document, passages, digests, vectors in documents:
                _insert(db, root, path, document, passages, digests, vectors)
            db.execute(
                "INSERT OR REPLACE INTO files VALUES(?, ?, ?, ?, ?, ?)", (root, path, *dataclasses.astuple(state))
            )

    def touch_file(self, root: str, path: str, state: FileState) -> None:
        """The same content under a new time: no new version."""
        self.db.execute(
            "INSERT OR REPLACE INTO files VALUES(?, ?, ?, ?, ?, ?)", (root, path, *dataclasses.astuple(state))
        )

    def remove_file(self, root: str, path: str) -> None:
        """Forget a file and what came from it."""
        with self.writing() as db:
            _remove(db, "root = ? AND path = ?", (root, path))
            db.execute("DELETE FROM files WHERE root = ? AND path = ?", (root, path))

    def remove_document(self, document_id: str) -> bool:
        """Remove one document; False when there is none of that id."""
        with self.writing() as db:
            return _remove(db, "id = ?", (document_id,))


def digest(passage: Passage, text: str) -> bytes:
    """What the vector of a passage depends on: its context and words."""
    return hashlib.sha256(f"{passage.context}\0{text}".encode()).digest()[:16]


def _insert(
    db: sqlite3.Connection,
    root: str,
    path: str,
    document: Document,
    passages: Sequence[Passage],
    digests: Sequence[bytes],
    vectors: Sequence[bytes],
) -> None:
    structure = {
        "pages": [dataclasses.astuple(p) for p in document.pages],
        "sections": [dataclasses.astuple(s) for s in document.sections],
        "blocks": [dataclasses.astuple(b) for b in document.blocks],
    }
    values: Mapping[str, Any] = {
        "id": document.id, "root": root, "path": path, "title": document.title, "source": document.source,
        "collection": document.collection, "date": document.date, "revision": document.revision,
        "loader": document.loader, "groups": json.dumps(document.groups),
        "structure": json.dumps(structure, ensure_ascii=False), "text": document.text,
    }  # fmt: skip
    names = ", ".join(values)
    key = db.execute(
        f"INSERT INTO documents({names}) VALUES({', '.join('?' * len(values))})", tuple(values.values())
    ).lastrowid
    for passage, digest_, vector in zip(passages, digests, vectors, strict=True):
        text = document.text[passage.start : passage.end]
        units = json.dumps([[u.start, u.end, u.kind, u.partial] for u in passage.units])
        row = (key, passage.start, passage.end, passage.context, text, units, digest_, vector)
        rowid = db.execute(
            "INSERT INTO passages(document, start, end, context, text, units, digest, vector) VALUES(?,?,?,?,?,?,?,?)",
            row,
        ).lastrowid
        db.execute("INSERT INTO lexical(rowid, context, text) VALUES(?, ?, ?)", (rowid, passage.context, text))


def _remove(db: sqlite3.Connection, where: str, values: tuple[str, ...]) -> bool:
    keys = [key for (key,) in db.execute(f"SELECT key FROM documents WHERE {where}", values)]
    for key in keys:
        # A contentless FTS5 table is told the words that leave it.
        db.execute(
            "INSERT INTO lexical(lexical, rowid, context, text)"
            " SELECT 'delete', key, context, text FROM passages WHERE document = ?",
            (key,),
        )
        db.execute("DELETE FROM passages WHERE document = ?", (key,))
        db.execute("DELETE FROM documents WHERE key = ?", (key,))
    return bool(keys)


def _where(filters: Filters) -> tuple[str, list[str]]:
    """SQL over `documents d` for the filters, and its values. A document without groups may be read by everyone."""
    parts: list[str] = []
    values: list[str] = []
    for column, chosen in (("d.collection", filters.collections), ("d.id", filters.documents)):
        if chosen:
            parts.append(f"{column} IN (SELECT value FROM json_each(?))")
            values.append(json.dumps(chosen))
    for comparison, date in ((">=", filters.since), ("<=", filters.until)):
        if date:
            parts.append(f"d.date {comparison} ?")
            values.append(date)
    if filters.groups is not None:
        parts.append(
            "(d.groups = '[]' OR EXISTS (SELECT 1 FROM json_each(d.groups) g JOIN json_each(?) a ON a.value = g.value))"
        )
        values.append(json.dumps(filters.groups))
    return " AND ".join(parts), values


def _joined(where: str) -> str:
    """From `lexical l` to the documents, when there is a filter on them; ends where a condition goes on."""
    return (
        f" JOIN passages p ON p.key = l.rowid JOIN documents d ON d.key = p.document WHERE {where} AND"
        if where
        else " WHERE"
    )


def _units(written: str) -> tuple[Unit, ...]:
    return tuple(Unit(*unit) for unit in json.loads(written))


def _uri(path: Path) -> str:
    """A path as sqlite wants it in a file: URI."""
    return str(path.absolute()).replace("%", "%25").replace("?", "%3f").replace("#", "%23")
