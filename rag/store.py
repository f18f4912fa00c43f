"""The one truth: documents, passages, vectors and full text in one SQLite file.

Every write is one transaction that also raises the version. Readers (WAL) see the state before or after it.
Passage keys are never used twice, so a key names one vector for ever: what derives from the store (the FAISS file)
is brought up to date by the keys that came and went.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from rag.errors import NotFound
from rag.rows import (
    COLUMNS,
    DocumentInfo,
    FileState,
    Record,
    StoredPassage,
    document_of,
    document_row,
    units_json,
    units_of,
)
from rag.sqlite import Connection, Sqlite
from rag.types import Document, Filters, Passage

POSTINGS = 50_000  # entries of the full text that one question may rank; the rarer terms are taken first
_BATCH = 10_000


class Store(Sqlite):
    """An open store. Connections are one a thread; writing needs the caller to hold the index's lock."""

    postings = POSTINGS
    nearest: Callable[[np.ndarray, int, Filters], list[tuple[int, float]]] | None = None  # a server's own search
    lock: Callable[[], AbstractContextManager[None]] | None = None  # a server's own; else a file beside the store

    @property
    def name(self) -> str:
        """Where it is, for people."""
        return str(self.file.parent)

    def size(self) -> int:
        """Bytes on disk, with what derives from it."""
        return sum(f.stat().st_size for f in self.file.parent.iterdir() if f.is_file())

    @property
    def version(self) -> str:
        """Changes with every write: `id.counter`."""
        meta = self.meta()
        return f"{meta['id']}.{meta['version']}"

    # ── reading ──────────────────────────────────────────────────────────────────────────────────────────────────

    def count(self) -> tuple[int, int]:
        """Documents and passages."""
        return self.db.execute("SELECT (SELECT count(*) FROM documents), (SELECT count(*) FROM passages)").fetchone()

    def document(self, document_id: str) -> Document:
        """The whole document. Raises NotFound."""
        row = self.db.execute(f"SELECT {', '.join(COLUMNS)} FROM documents WHERE id = ?", (document_id,)).fetchone()
        if row is None:
            raise NotFound(f"no document {document_id!r} in {self.file.parent}; `rag search` shows ids")
        return document_of(row)

    def documents(self) -> Iterator[DocumentInfo]:
        """Every document, by id."""
        rows = self.db.execute(
            "SELECT id, title, source, collection, date, revision, coalesce(last - first + 1, 0)"
            " FROM documents ORDER BY id"
        )
        return (DocumentInfo(*row) for row in rows)

    def records(self) -> Iterator[Record]:
        """Everything there is, document by document, in the order in which it was written; one state of the store."""
        db = self.db
        with self._reading():
            for key, root, path, *row in db.execute(
                f"SELECT key, root, path, {', '.join(COLUMNS)} FROM documents ORDER BY key"
            ):
                document = document_of(tuple(row))
                parts = db.execute(
                    "SELECT start, end, units, context, digest, vector FROM passages WHERE document = ? ORDER BY key",
                    (key,),
                ).fetchall()
                passages = (Passage(document.id, s, e, units_of(u), context) for s, e, u, context, _, _ in parts)
                yield Record(
                    root, path, document, tuple(passages), tuple(p[4] for p in parts), tuple(p[5] for p in parts)
                )

    @contextmanager
    def _reading(self) -> Iterator[None]:
        """One state of the store for several queries."""
        self.db.execute("BEGIN")
        try:
            yield
        finally:
            self.db.execute("COMMIT")

    def passages(self, keys: Sequence[int]) -> dict[int, StoredPassage]:
        """The passages with these keys; one that is gone is left out."""
        rows = self.db.execute(
            "SELECT p.key, d.id, p.start, p.end, p.context, p.text, p.units FROM passages p"
            " JOIN documents d ON d.key = p.document WHERE p.key IN (SELECT value FROM json_each(?))",
            (json.dumps([int(k) for k in keys]),),
        )
        return {
            key: StoredPassage(key, document_id, start, end, context, text, units_of(written))
            for key, document_id, start, end, context, text, written in rows
        }

    def keys(self, above: int = 0) -> np.ndarray:
        """int64: the keys of all passages above this one, ascending."""
        rows = self.db.execute("SELECT key FROM passages WHERE key > ? ORDER BY key", (above,))
        return np.fromiter((k for (k,) in rows), dtype=np.int64)

    def removed(self, since: str) -> np.ndarray | None:
        """int64: the keys that went after that version; None when the store cannot say (compare all keys then)."""
        meta, (store_id, _, number) = self.meta(), since.partition(".")
        if store_id != meta["id"] or not number.isdecimal() or int(number) < int(meta["log_from"]):
            return None
        rows = self.db.execute("SELECT key FROM removed WHERE version > ? ORDER BY key", (int(number),))
        return np.fromiter((k for (k,) in rows), dtype=np.int64)

    def allowed(self, filters: Filters) -> np.ndarray | None:
        """The keys of the passages that the filters leave, ascending; None when they leave everything.

        It reads a row a document, not a passage: the keys of a document's passages follow one another.
        """
        where, values = _where(filters)
        if not where:
            return None
        rows = self.db.execute(
            f"SELECT first, last FROM documents d WHERE first IS NOT NULL AND {where} ORDER BY first", values
        ).fetchall()
        if not rows:
            return np.array([], np.int64)
        first, last = np.array(rows, np.int64).T
        sizes = last - first + 1
        before = np.cumsum(sizes) - sizes
        return np.repeat(first - before, sizes) + np.arange(sizes.sum())

    def any_passage(self, filters: Filters) -> bool:
        """True when the filters leave anything."""
        where, values = _where(filters)
        query = f"SELECT 1 FROM documents d WHERE first IS NOT NULL AND {where or 'true'} LIMIT 1"
        return self.db.execute(query, values).fetchone() is not None

    def vectors(self, keys: Iterable[int]) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """int64 [n] keys and float32 [n, d] vectors of these passages, in batches; keys that are gone are left out."""
        wanted = [int(k) for k in keys]
        for first in range(0, len(wanted), _BATCH):
            rows = self.db.execute(
                "SELECT key, vector FROM passages WHERE key IN (SELECT value FROM json_each(?)) ORDER BY key",
                (json.dumps(wanted[first : first + _BATCH]),),
            ).fetchall()
            if rows:
                raw = np.frombuffer(b"".join(v for _, v in rows), np.float16)
                yield np.array([k for k, _ in rows], np.int64), raw.reshape(len(rows), -1).astype(np.float32)

    def lexical(self, terms: Sequence[str], top: int, filters: Filters) -> list[tuple[int, float]]:
        """Keys and BM25 scores (higher is better) of the passages that hold any of these words, best first."""
        match = self._affordable(terms)
        if not match:
            return []
        where, values = _where(filters)
        rows = self.db.execute(
            f"SELECT l.rowid, -bm25(lexical, 0.5, 1.0) AS score FROM lexical l{_joined(where)} lexical MATCH ?"
            " ORDER BY score DESC, l.rowid LIMIT ?",
            (*values, match, top),
        )
        return rows.fetchall()

    def _affordable(self, terms: Sequence[str]) -> str:
        """An FTS5 expression for any of the terms; in a large store for the rarer ones, whose postings fit the budget.

        Every term is a quoted string, so no question is ever syntax. When even the rarest is too common, passages
        must hold the two rarest.
        """
        quoted = ['"' + term.replace('"', '""').replace("\0", " ") + '"' for term in terms]
        highest = self.db.execute("SELECT coalesce(max(key), 0) FROM passages").fetchone()[0]
        if highest * len(quoted) <= self.postings:
            return " OR ".join(quoted)
        count = "SELECT count(*) FROM (SELECT 1 FROM lexical WHERE lexical MATCH ? LIMIT ?)"
        found = [(self.db.execute(count, (q, self.postings + 1)).fetchone()[0], q) for q in quoted]
        ranked = sorted((n, i, q) for i, (n, q) in enumerate(found) if n)
        chosen, total = [], 0
        for n, _, q in ranked:
            total += n
            if total > self.postings:
                break
            chosen.append(q)
        return " OR ".join(chosen) or " AND ".join(q for _, _, q in ranked[:2])

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

    def file_roots(self) -> list[str]:
        """Every root that files are known of."""
        return [r for (r,) in self.db.execute("SELECT DISTINCT root FROM files ORDER BY root")]

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

    def same(self, root: str, path: str, document: Document) -> bool:
        """True when exactly this document of this file is there already."""
        names = COLUMNS[:-1]  # the revision stands for the text
        row = self.db.execute(
            f"SELECT root, path, {', '.join(names)} FROM documents WHERE id = ?", (document.id,)
        ).fetchone()
        return row == (root, path, *document_row(document)[:-1])

    # ── writing ──────────────────────────────────────────────────────────────────────────────────────────────────

    def add_root(self, path: str, collection: str, prefix: str) -> None:
        """Remember a root."""
        with self.writing() as db:
            db.execute("INSERT OR REPLACE INTO roots VALUES(?, ?, ?)", (path, collection, prefix))

    def put(self, record: Record) -> None:
        """Write one document with its passages, in place of the one of that id."""
        with self.writing() as db:
            _remove(db, "id = ?", (record.document.id,))
            _insert(db, record)

    def touch_file(self, root: str, path: str, state: FileState) -> None:
        """Note the state of a file: no new version."""
        self.db.execute(
            "INSERT OR REPLACE INTO files VALUES(?, ?, ?, ?, ?, ?)", (root, path, *dataclasses.astuple(state))
        )

    def finish_file(self, root: str, path: str, state: FileState, ids: Iterable[str]) -> None:
        """A file is wholly written: its documents but these go, and its state is noted."""
        stale = [
            id_ for (id_,) in self.db.execute("SELECT id FROM documents WHERE root = ? AND path = ?", (root, path))
        ]
        kept = set(ids)
        for id_ in stale:
            if id_ not in kept:
                self.remove_document(id_)
        self.touch_file(root, path, state)

    def remove_file(self, root: str, path: str) -> None:
        """Forget a file and what came from it."""
        with self.writing() as db:
            _remove(db, "root = ? AND path = ?", (root, path))
            db.execute("DELETE FROM files WHERE root = ? AND path = ?", (root, path))

    def remove_document(self, document_id: str) -> bool:
        """Remove one document; False when there is none of that id."""
        with self.writing() as db:
            return _remove(db, "id = ?", (document_id,))


def _insert(db: Connection, record: Record) -> None:
    document = record.document
    names = ("root", "path", *COLUMNS)
    key = db.execute(
        f"INSERT INTO documents({', '.join(names)}) VALUES({', '.join('?' * len(names))})",
        (record.root, record.path, *document_row(document)),
    ).lastrowid
    keys: list[int | None] = []
    for passage, digest, vector in zip(record.passages, record.digests, record.vectors, strict=True):
        text = document.text[passage.start : passage.end]
        row = (key, passage.start, passage.end, passage.context, text, units_json(passage), digest, vector)
        rowid = db.execute(
            "INSERT INTO passages(document, start, end, context, text, units, digest, vector) VALUES(?,?,?,?,?,?,?,?)",
            row,
        ).lastrowid
        db.execute("INSERT INTO lexical(rowid, context, text) VALUES(?, ?, ?)", (rowid, passage.context, text))
        keys.append(rowid)
    if keys:
        db.execute("UPDATE documents SET first = ?, last = ? WHERE key = ?", (keys[0], keys[-1], key))


def _remove(db: Connection, where: str, values: tuple[str, ...]) -> bool:
    keys = [key for (key,) in db.execute(f"SELECT key FROM documents WHERE {where}", values)]
    for key in keys:
        # A contentless FTS5 table is told the words that leave it.
        db.execute(
            "INSERT INTO lexical(lexical, rowid, context, text)"
            " SELECT 'delete', key, context, text FROM passages WHERE document = ?",
            (key,),
        )
        db.execute(
            "INSERT INTO removed SELECT key, (SELECT CAST(value AS INTEGER) + 1 FROM meta WHERE key = 'version')"
            " FROM passages WHERE document = ?",
            (key,),
        )
        db.execute("DELETE FROM passages WHERE document = ?", (key,))
        db.execute("DELETE FROM documents WHERE key = ?", (key,))
    return bool(keys)


def _where(filters: Filters) -> tuple[str, list[Any]]:
    """SQL over `documents d` for the filters, and its values. A document without groups may be read by everyone."""
    parts: list[str] = []
    values: list[Any] = []
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
