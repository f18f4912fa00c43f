"""The same store on PostgreSQL 16+ with pgvector, so that several hosts share one index. Door of psycopg."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from rag.errors import NotFound
from rag.postgres.search import Search, where_of
from rag.postgres.server import Half
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
from rag.types import Document, Filters, Passage

__all__ = ["PostgresStore"]

EVERY = Filters()
_BYTES = ("title", "source", "structure", "text")  # may hold NUL, which PostgreSQL's text cannot


class PostgresStore(Search):
    """`rag.store.Store` on a server; `nearest` takes the place of the FAISS file."""

    def document(self, document_id: str) -> Document:
        """The whole document. Raises NotFound."""
        rows = self.rows(f"SELECT {', '.join(COLUMNS)} FROM documents WHERE id = %s", (document_id,))
        if not rows:
            raise NotFound(f"no document {document_id!r} in {self.name}; `rag search` shows ids")
        return document_of(_text(rows[0]))

    def documents(self, filters: Filters = EVERY) -> Iterator[DocumentInfo]:
        """The documents that the filters leave, by id."""
        where, values = where_of(filters)
        for id_, title, source, *rest in self.rows(
            "SELECT id, title, source, collection, date, revision,"
            " (SELECT count(*) FROM passages WHERE document = d.key), author, language"
            " FROM documents d WHERE " + where + ' ORDER BY id COLLATE "C"',
            values,
        ):
            yield DocumentInfo(id_, title.decode(), source.decode(), *rest)

    def records(self) -> Iterator[Record]:
        """Everything there is, document by document, in the order in which it was written."""
        with self._told(), self.db.transaction():
            self.db.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            yield from self._records()

    def _records(self) -> Iterator[Record]:
        for (key,) in self.rows("SELECT key FROM documents ORDER BY key"):
            for root, path, *row in self.rows(
                f"SELECT root, path, {', '.join(COLUMNS)} FROM documents WHERE key = %s", (key,)
            ):
                document = document_of(_text(row))
                parts = self.rows(
                    'SELECT start, "end", units, context, digest, vector FROM passages'
                    " WHERE document = %s ORDER BY key",
                    (key,),
                )
                passages = (Passage(document.id, s, e, units_of(u), c.decode()) for s, e, u, c, _, _ in parts)
                vectors = tuple(_load(p[5]).tobytes() for p in parts)
                yield Record(root, path, document, tuple(passages), tuple(bytes(p[4]) for p in parts), vectors)

    def passages(self, keys: Sequence[int]) -> dict[int, StoredPassage]:
        """The passages with these keys; one that is gone is left out."""
        rows = self.rows(
            'SELECT p.key, d.id, p.start, p."end", p.context, p.text, p.units FROM passages p'
            " JOIN documents d ON d.key = p.document WHERE p.key = ANY(%s)",
            ([int(k) for k in keys],),
        )
        return {
            key: StoredPassage(key, id_, start, end, context.decode(), text.decode(), units_of(units))
            for key, id_, start, end, context, text, units in rows
        }

    def keys(self, above: int = 0) -> np.ndarray:
        """int64: the keys of all passages above this one, ascending."""
        return np.array(
            [k for (k,) in self.rows("SELECT key FROM passages WHERE key > %s ORDER BY key", (above,))], int
        )

    def known_vectors(self, digests: Sequence[bytes]) -> dict[bytes, bytes]:
        """Vectors of passages with the same words, so that nothing is embedded twice."""
        rows = self.rows(
            "SELECT DISTINCT ON (digest) digest, vector FROM passages WHERE digest = ANY(%s)", (list(digests),)
        )
        return {bytes(d): _load(v).tobytes() for d, v in rows}

    def same(self, root: str, path: str, document: Document) -> bool:
        """True when exactly this document of this file is there already."""
        rows = self.rows(f"SELECT root, path, {', '.join(COLUMNS)} FROM documents WHERE id = %s", (document.id,))
        return bool(rows) and (*rows[0][:2], *_text(rows[0][2:])) == (root, path, *document_row(document))

    def put(self, record: Record) -> None:
        """Write one document with its passages, in place of the one of that id."""
        document = record.document
        row = [v.encode() if n in _BYTES else v for n, v in zip(COLUMNS, document_row(document), strict=True)]
        names = ("root", "path", "size", *COLUMNS)
        with self.writing() as db:
            db.execute("DELETE FROM documents WHERE id = %s", (document.id,))
            query = f"INSERT INTO documents({', '.join(names)}) VALUES({', '.join(['%s'] * len(names))}) RETURNING key"
            found = db.execute(query.encode(), (record.root, record.path, len(record.passages), *row)).fetchone()
            assert found
            columns = 'document, start, "end", context, text, units, digest, vector, plain'
            with db.cursor().copy(f"COPY passages({columns}) FROM STDIN (FORMAT BINARY)".encode()) as copy:
                copy.set_types(["int8", "int4", "int4", "bytea", "bytea", "text", "bytea", self.half, "text"])
                for p, digest, vector in zip(record.passages, record.digests, record.vectors, strict=True):
                    text = document.text[p.start : p.end]
                    plain = f"{p.context}\n{text}".replace("\0", " ")
                    copy.write_row(
                        (found[0], p.start, p.end, p.context.encode(), text.encode(), units_json(p), digest,
                         Half(vector), plain)
                    )  # fmt: skip

    def drop(self, where: str, values: Sequence[Any]) -> bool:
        """Within a transaction remove the documents of which this holds; False when there is none."""
        return self.db.execute(f"DELETE FROM documents WHERE {where.replace('?', '%s')}".encode(), values).rowcount > 0


def _load(written: bytes) -> np.ndarray:
    return np.frombuffer(written, ">f2", offset=4).astype("<f2")


def _text(row: Sequence[Any]) -> tuple[Any, ...]:
    """A row in the order of COLUMNS as `document_row` makes it."""
    values = dict(zip(COLUMNS, row, strict=True))
    for name in _BYTES:
        values[name] = bytes(values[name]).decode()
    values["groups"] = json.dumps(values["groups"])
    return tuple(values.values())
