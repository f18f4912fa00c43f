"""The one truth: documents, passages, vectors and full text in one SQLite file.

Every write is one transaction that also raises the version. Readers (WAL) see the state before or after it.
Passage keys are never used twice, so a key names one vector for ever: what derives from the store (the FAISS file)
is brought up to date by the keys that came and went.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import numpy as np

from rag.errors import NotFound
from rag.fulltext import FullText, where_of
from rag.rows import (
    COLUMNS,
    DocumentInfo,
    Record,
    StoredPassage,
    document_of,
    document_row,
    units_json,
    units_of,
)
from rag.sqlite import Connection
from rag.types import Document, Filters, Passage

_BATCH = 10_000
EVERY = Filters()


class Store(FullText):
    """An open store. Connections are one a thread; writing needs the caller to hold the index's lock."""

    nearest: Callable[[np.ndarray, int, Filters], list[tuple[int, float]]] | None = None  # a server's own search
    lock: Callable[[], AbstractContextManager[None]] | None = None  # a server's own; else a file beside the store

    @property
    def name(self) -> str:
        """Where it is, for people."""
        return str(self.file.parent)

    def size(self) -> int:
        """Bytes on disk, with what derives from it."""
        return sum(f.stat().st_size for f in self.file.parent.iterdir() if f.is_file())

    def document(self, document_id: str) -> Document:
        """The whole document. Raises NotFound."""
        row = self.db.execute(f"SELECT {', '.join(COLUMNS)} FROM documents WHERE id = ?", (document_id,)).fetchone()
        if row is None:
            raise NotFound(f"no document {document_id!r} in {self.file.parent}; `rag search` shows ids")
        return document_of(row)

    def documents(self, filters: Filters = EVERY) -> Iterator[DocumentInfo]:
        """The documents that the filters leave, by id."""
        where, values = where_of(filters)
        rows = self.db.execute(
            "SELECT id, title, source, collection, date, revision, coalesce(last - first + 1, 0), author, language"
            f" FROM documents d WHERE {where or 'true'} ORDER BY id",
            values,
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

    def known_vectors(self, digests: Sequence[bytes]) -> dict[bytes, bytes]:
        """Vectors of passages with the same words, so that nothing is embedded twice."""
        found = {}
        for digest in dict.fromkeys(digests):
            row = self.db.execute("SELECT vector FROM passages WHERE digest = ? LIMIT 1", (digest,)).fetchone()
            if row:
                found[digest] = row[0]
        return found

    def same(self, root: str, path: str, document: Document) -> bool:
        """True when exactly this document of this file is there already."""
        names = COLUMNS[:-1]  # the revision stands for the text
        row = self.db.execute(
            f"SELECT root, path, {', '.join(names)} FROM documents WHERE id = ?", (document.id,)
        ).fetchone()
        return row == (root, path, *document_row(document)[:-1])

    def put(self, record: Record) -> None:
        """Write one document with its passages, in place of the one of that id."""
        with self.writing() as db:
            _remove(db, "id = ?", (record.document.id,))
            _insert(db, record)

    def drop(self, where: str, values: Sequence[Any]) -> bool:
        """Within a transaction remove the documents of which this holds; False when there is none."""
        return _remove(self.db, where, values)


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


def _remove(db: Connection, where: str, values: Sequence[Any]) -> bool:
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
