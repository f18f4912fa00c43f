"""The same store on PostgreSQL 16+ with pgvector, so that several hosts share one index. Door of psycopg."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import threading
import uuid
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import psycopg
from psycopg.adapt import Dumper
from psycopg.conninfo import conninfo_to_dict
from psycopg.pq import Format
from psycopg.types import TypeInfo

from rag.errors import BadInput, Busy, IndexMismatch, NotFound
from rag.rows import (
    COLUMNS,
    FORMAT,
    DocumentInfo,
    FileState,
    Record,
    StoredPassage,
    document_of,
    document_row,
    units_json,
    units_of,
)
from rag.types import Document, Filters, Passage

_LOCK = 0x70756C6C  # the advisory lock of the one writer
_BYTES = ("title", "source", "structure", "text")  # may hold NUL, which PostgreSQL's text cannot
_SCHEMA = """
CREATE TABLE meta(key text PRIMARY KEY, value text NOT NULL);
CREATE TABLE roots(path text PRIMARY KEY, collection text NOT NULL, prefix text NOT NULL);
CREATE TABLE files(root text, path text, size bigint NOT NULL, mtime_ns bigint NOT NULL, sha256 text NOT NULL,
    problem text, PRIMARY KEY(root, path));
CREATE TABLE documents(key bigserial PRIMARY KEY, id text NOT NULL UNIQUE, root text NOT NULL, path text NOT NULL,
    title bytea NOT NULL, source bytea NOT NULL, collection text NOT NULL, date text, revision text NOT NULL,
    loader text NOT NULL, groups jsonb NOT NULL, structure bytea NOT NULL, text bytea NOT NULL);
CREATE INDEX ON documents(root, path);
CREATE INDEX ON documents(collection, date);
CREATE TABLE passages(key bigserial PRIMARY KEY, document bigint NOT NULL REFERENCES documents ON DELETE CASCADE,
    start int NOT NULL, "end" int NOT NULL, context bytea NOT NULL, text bytea NOT NULL, units text NOT NULL,
    digest bytea NOT NULL, vector halfvec({dimension}) NOT NULL, plain text NOT NULL,
    words tsvector GENERATED ALWAYS AS (to_tsvector('english', plain)) STORED);
CREATE INDEX ON passages(document);
CREATE INDEX ON passages(digest);
CREATE INDEX ON passages USING gin(words);
CREATE INDEX ON passages USING hnsw(vector halfvec_ip_ops);
"""


class _Half(bytes):
    """A vector as little-endian float16, on its way to a halfvec."""


class _Held:
    """A thread's connection, closed when the thread ends."""

    def __init__(self, db: psycopg.Connection[Any]) -> None:
        self.db = db

    def __del__(self) -> None:
        self.db.close()


class PostgresStore:
    """`rag.store.Store` on a server; `nearest` takes the place of the FAISS file. One connection a thread."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._local = threading.local()
        self.writable = True
        with self._told(), psycopg.connect(url, connect_timeout=10) as first:
            there = first.execute("SELECT to_regclass('pullquote.meta') IS NOT NULL").fetchone()
        if not there or not there[0]:
            raise NotFound(f"no index in {self.name}; make one with `rag index PATH --index postgresql://…`")
        made = int(self.meta()["format"])
        if made != FORMAT:
            self.close()
            todo = "upgrade pullquote" if made > FORMAT else "drop the schema pullquote there and run `rag index`"
            raise IndexMismatch(f"{self.name}: format {made}, not this program's {FORMAT}; {todo}")

    @property
    def name(self) -> str:
        """The server and database, never the password."""
        return shown(self.url)

    @classmethod
    def create(cls, url: str, model: str, dimension: int) -> None:
        """A new, empty schema `pullquote` for vectors of this model."""
        with _told(url), psycopg.connect(url, connect_timeout=10) as db:
            try:
                db.execute("CREATE EXTENSION IF NOT EXISTS vector")
            except psycopg.Error:
                raise BadInput(
                    f"{shown(url)}: the server has no pgvector; install it, or run `CREATE EXTENSION vector` there"
                ) from None
            db.execute("CREATE SCHEMA pullquote")
            db.execute("SET search_path = pullquote, public")
            db.execute(_SCHEMA.format(dimension=int(dimension)).encode())
            meta = {"format": FORMAT, "id": uuid.uuid4().hex[:8], "version": 0, "model": model, "dimension": dimension}
            for key, value in meta.items():
                db.execute("INSERT INTO meta VALUES(%s, %s)", (key, str(value)))

    @property
    def db(self) -> psycopg.Connection[Any]:
        """This thread's connection; a lost one is made again."""
        held: _Held | None = getattr(self._local, "held", None)
        found = held.db if held else None
        if found is None or found.closed:
            with self._told():
                found = psycopg.connect(self.url, autocommit=True, connect_timeout=10)
                found.execute("SET search_path = pullquote, public")
                found.execute("SET hnsw.iterative_scan = strict_order")
                info = TypeInfo.fetch(found, "halfvec")
                if info is None:
                    found.close()
                    raise BadInput(f"{self.name}: the server has no pgvector; run `CREATE EXTENSION vector` there")
                dumper = type("HalfDumper", (Dumper,), {"oid": info.oid, "format": Format.BINARY, "dump": _dump})
                found.adapters.register_dumper(_Half, dumper)
                self._half = info.oid
            self._local.held = _Held(found)
        return found

    def close(self) -> None:
        """Close this thread's connection."""
        self._local.held = None

    def _told(self) -> contextlib.AbstractContextManager[None]:
        return _told(self.url)

    def _rows(self, query: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        with self._told():
            return self.db.cursor(binary=True).execute(query.encode(), values).fetchall()

    # ── reading ──────────────────────────────────────────────────────────────────────────────────────────────────

    def meta(self) -> dict[str, str]:
        """Format, id, version, model, dimension."""
        return dict(self._rows("SELECT key, value FROM meta"))

    @property
    def version(self) -> str:
        """Changes with every write: `id.counter`."""
        meta = self.meta()
        return f"{meta['id']}.{meta['version']}"

    def size(self) -> int:
        """Bytes of the schema on the server."""
        tables = "SELECT coalesce(sum(pg_total_relation_size(c.oid)), 0)::bigint FROM pg_class c"
        (found,) = self._rows(f"{tables} WHERE relnamespace = 'pullquote'::regnamespace AND relkind = 'r'")
        return int(found[0])

    def count(self) -> tuple[int, int]:
        """Documents and passages."""
        (found,) = self._rows("SELECT (SELECT count(*) FROM documents), (SELECT count(*) FROM passages)")
        return found[0], found[1]

    def document(self, document_id: str) -> Document:
        """The whole document. Raises NotFound."""
        rows = self._rows(f"SELECT {', '.join(COLUMNS)} FROM documents WHERE id = %s", (document_id,))
        if not rows:
            raise NotFound(f"no document {document_id!r} in {self.name}; `rag search` shows ids")
        return document_of(_text(rows[0]))

    def documents(self) -> Iterator[DocumentInfo]:
        """Every document, by id."""
        for id_, title, source, *rest in self._rows(
            "SELECT id, title, source, collection, date, revision,"
            " (SELECT count(*) FROM passages WHERE document = d.key)"
            ' FROM documents d ORDER BY id COLLATE "C"'
        ):
            yield DocumentInfo(id_, title.decode(), source.decode(), *rest)

    def records(self) -> Iterator[Record]:
        """Everything there is, document by document, in the order in which it was written."""
        with self._told(), self.db.transaction():
            self.db.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            yield from self._records()

    def _records(self) -> Iterator[Record]:
        for (key,) in self._rows("SELECT key FROM documents ORDER BY key"):
            for root, path, *row in self._rows(
                f"SELECT root, path, {', '.join(COLUMNS)} FROM documents WHERE key = %s", (key,)
            ):
                document = document_of(_text(row))
                parts = self._rows(
                    'SELECT start, "end", units, context, digest, vector FROM passages'
                    " WHERE document = %s ORDER BY key",
                    (key,),
                )
                passages = (Passage(document.id, s, e, units_of(u), c.decode()) for s, e, u, c, _, _ in parts)
                vectors = tuple(_load(p[5]).tobytes() for p in parts)
                yield Record(root, path, document, tuple(passages), tuple(bytes(p[4]) for p in parts), vectors)

    def passages(self, keys: Sequence[int]) -> dict[int, StoredPassage]:
        """The passages with these keys; one that is gone is left out."""
        rows = self._rows(
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
            [k for (k,) in self._rows("SELECT key FROM passages WHERE key > %s ORDER BY key", (above,))], int
        )

    def any_passage(self, filters: Filters) -> bool:
        """True when the filters leave anything."""
        where, values = _where(filters)
        query = f"SELECT 1 FROM passages p JOIN documents d ON d.key = p.document WHERE {where} LIMIT 1"
        return bool(self._rows(query, values))

    def nearest(self, vector: np.ndarray, top: int, filters: Filters) -> list[tuple[int, float]]:
        """Keys and cosines of the passages nearest to one float32 [d] vector, best first."""
        where, values = _where(filters)
        query = _Half(vector.astype(np.float16).tobytes())
        with self._told(), self.db.transaction():
            self.db.execute(f"SET LOCAL hnsw.ef_search = {min(1000, max(100, 2 * top))}".encode())
            rows = self._rows(
                "SELECT p.key, -(p.vector <#> %s) FROM passages p JOIN documents d ON d.key = p.document"
                f" WHERE {where} ORDER BY p.vector <#> %s LIMIT %s",
                (query, *values, query, top),
            )
        return sorted(((k, float(s)) for k, s in rows), key=lambda pair: (-pair[1], pair[0]))

    def lexical(self, terms: Sequence[str], top: int, filters: Filters) -> list[tuple[int, float]]:
        """Keys and ranks (higher is better) of the passages that hold any of these words, best first."""
        words = [t.replace("\0", " ") for t in terms]
        if not words:
            return []
        where, values = _where(filters)
        asked = " || ".join(["plainto_tsquery('english', %s)"] * len(words))
        rows = self._rows(
            f"SELECT p.key, ts_rank(p.words, q, 1)::float8 AS score FROM (SELECT {asked} AS q) asked, passages p"
            f" JOIN documents d ON d.key = p.document WHERE p.words @@ q AND {where}"
            " ORDER BY score DESC, p.key LIMIT %s",
            (*words, *values, top),
        )
        return [(k, s) for k, s in rows]

    def frequency(self, term: str, filters: Filters, most: int = 1000) -> int:
        """How many passages that the filters leave have a term, counted up to `most`."""
        where, values = _where(filters)
        rows = self._rows(
            "SELECT count(*) FROM (SELECT 1 FROM passages p JOIN documents d ON d.key = p.document"
            f" WHERE p.words @@ plainto_tsquery('english', %s) AND {where} LIMIT %s) found",
            (term, *values, most),
        )
        return int(next(iter(rows))[0])

    def known_vectors(self, digests: Sequence[bytes]) -> dict[bytes, bytes]:
        """Vectors of passages with the same words, so that nothing is embedded twice."""
        rows = self._rows(
            "SELECT DISTINCT ON (digest) digest, vector FROM passages WHERE digest = ANY(%s)", (list(digests),)
        )
        return {bytes(d): _load(v).tobytes() for d, v in rows}

    def roots(self) -> list[tuple[str, str, str]]:
        """Path, collection and id prefix of every root."""
        return [(p, c, x) for p, c, x in self._rows('SELECT * FROM roots ORDER BY path COLLATE "C"')]

    def files(self, root: str) -> dict[str, FileState]:
        """What is known of the files of a root."""
        rows = self._rows("SELECT path, size, mtime_ns, sha256, problem FROM files WHERE root = %s", (root,))
        return {r[0]: FileState(*r[1:]) for r in rows}

    def file_roots(self) -> list[str]:
        """Every root that files are known of."""
        return [r for (r,) in self._rows("SELECT DISTINCT root FROM files ORDER BY root")]

    def problems(self) -> list[tuple[str, str]]:
        """Files that were skipped, wholly or in part, and why."""
        rows = self._rows("SELECT root, path, problem FROM files WHERE problem IS NOT NULL ORDER BY root, path")
        return [(str(Path(root, path)) if path else root, problem) for root, path, problem in rows]

    def collections(self) -> dict[str, int]:
        """Documents of each collection."""
        rows = self._rows('SELECT collection, count(*) FROM documents GROUP BY 1 ORDER BY collection COLLATE "C"')
        return dict(rows)

    def root_of(self, document_id: str) -> tuple[str, str] | None:
        """The root and the file that a document came from."""
        rows = self._rows("SELECT root, path FROM documents WHERE id = %s", (document_id,))
        return (rows[0][0], rows[0][1]) if rows else None

    def same(self, root: str, path: str, document: Document) -> bool:
        """True when exactly this document of this file is there already."""
        rows = self._rows(f"SELECT root, path, {', '.join(COLUMNS)} FROM documents WHERE id = %s", (document.id,))
        return bool(rows) and (*rows[0][:2], *_text(rows[0][2:])) == (root, path, *document_row(document))

    # ── writing ──────────────────────────────────────────────────────────────────────────────────────────────────

    @contextmanager
    def lock(self) -> Iterator[None]:
        """One writer at a time, across hosts; the server lets go of it when the process dies."""
        if not self._rows("SELECT pg_try_advisory_lock(%s)", (_LOCK,))[0][0]:
            raise Busy(f"{self.name}: another process is writing to this index; wait for it and run again")
        try:
            yield
        finally:
            with contextlib.suppress(psycopg.Error):
                self.db.execute("SELECT pg_advisory_unlock(%s)", (_LOCK,))

    @contextmanager
    def writing(self) -> Iterator[psycopg.Connection[Any]]:
        """One transaction; the version rises with it."""
        with self._told(), self.db.transaction():
            yield self.db
            self.db.execute("UPDATE meta SET value = (value::bigint + 1)::text WHERE key = 'version'")

    def add_root(self, path: str, collection: str, prefix: str) -> None:
        """Remember a root."""
        with self.writing() as db:
            db.execute("DELETE FROM roots WHERE path = %s", (path,))
            db.execute("INSERT INTO roots VALUES(%s, %s, %s)", (path, collection, prefix))

    def put(self, record: Record) -> None:
        """Write one document with its passages, in place of the one of that id."""
        document = record.document
        row = [v.encode() if n in _BYTES else v for n, v in zip(COLUMNS, document_row(document), strict=True)]
        names = ("root", "path", *COLUMNS)
        with self.writing() as db:
            db.execute("DELETE FROM documents WHERE id = %s", (document.id,))
            query = f"INSERT INTO documents({', '.join(names)}) VALUES({', '.join(['%s'] * len(names))}) RETURNING key"
            found = db.execute(query.encode(), (record.root, record.path, *row)).fetchone()
            assert found
            columns = 'document, start, "end", context, text, units, digest, vector, plain'
            with db.cursor().copy(f"COPY passages({columns}) FROM STDIN (FORMAT BINARY)".encode()) as copy:
                copy.set_types(["int8", "int4", "int4", "bytea", "bytea", "text", "bytea", self._half, "text"])
                for p, digest, vector in zip(record.passages, record.digests, record.vectors, strict=True):
                    text = document.text[p.start : p.end]
                    plain = f"{p.context}\n{text}".replace("\0", " ")
                    copy.write_row(
                        (found[0], p.start, p.end, p.context.encode(), text.encode(), units_json(p), digest,
                         _Half(vector), plain)
                    )  # fmt: skip

    def touch_file(self, root: str, path: str, state: FileState) -> None:
        """Note the state of a file: no new version."""
        with self._told():
            self.db.execute(
                "INSERT INTO files VALUES(%s, %s, %s, %s, %s, %s) ON CONFLICT (root, path) DO UPDATE SET"
                " (size, mtime_ns, sha256, problem)"
                " = (excluded.size, excluded.mtime_ns, excluded.sha256, excluded.problem)",
                (root, path, *dataclasses.astuple(state)),
            )

    def finish_file(self, root: str, path: str, state: FileState, ids: Iterable[str]) -> None:
        """A file is wholly written: its documents but these go, and its state is noted."""
        kept = set(ids)
        for (id_,) in self._rows("SELECT id FROM documents WHERE root = %s AND path = %s", (root, path)):
            if id_ not in kept:
                self.remove_document(id_)
        self.touch_file(root, path, state)

    def remove_file(self, root: str, path: str) -> None:
        """Forget a file and what came from it."""
        with self.writing() as db:
            db.execute("DELETE FROM documents WHERE root = %s AND path = %s", (root, path))
            db.execute("DELETE FROM files WHERE root = %s AND path = %s", (root, path))

    def remove_document(self, document_id: str) -> bool:
        """Remove one document; False when there is none of that id."""
        with self.writing() as db:
            return db.execute("DELETE FROM documents WHERE id = %s", (document_id,)).rowcount > 0

    def compact(self) -> None:
        """Rewrite the tables and their indexes without what was removed."""
        with self._told():
            for table in ("passages", "documents", "files"):
                self.db.execute(f"VACUUM (FULL, ANALYZE) {table}".encode())


def shown(url: str) -> str:
    """A connection string for people: host and database only."""
    try:
        parts = conninfo_to_dict(url)
    except psycopg.Error:
        return "the PostgreSQL index"
    return f"postgresql://{parts.get('host') or 'localhost'}/{parts.get('dbname') or ''}"


@contextmanager
def _told(url: str) -> Iterator[None]:
    """Failures of the server as one line, without the connection string."""
    try:
        yield
    except psycopg.OperationalError:
        raise BadInput(
            f"{shown(url)}: the server cannot be reached or used; check that it runs, and the name, user and password"
        ) from None
    except psycopg.Error as error:
        reason = (error.diag.message_primary or type(error).__name__).splitlines()[0]
        raise IndexMismatch(f"{shown(url)}: the server refused ({reason}); check the schema pullquote there") from None


def _dump(_: Dumper, value: _Half) -> bytes:
    raw = np.frombuffer(value, "<f2")
    return len(raw).to_bytes(2, "big") + b"\0\0" + raw.astype(">f2").tobytes()


def _load(written: bytes) -> np.ndarray:
    return np.frombuffer(written, ">f2", offset=4).astype("<f2")


def _text(row: Sequence[Any]) -> tuple[Any, ...]:
    """A row in the order of COLUMNS as `document_row` makes it."""
    values = dict(zip(COLUMNS, row, strict=True))
    for name in _BYTES:
        values[name] = bytes(values[name]).decode()
    values["groups"] = json.dumps(values["groups"])
    return tuple(values.values())


def _where(filters: Filters) -> tuple[str, list[Any]]:
    """SQL over `documents d` for the filters, and its values. A document without groups may be read by everyone."""
    parts: list[str] = ["true"]
    values: list[Any] = []
    for column, chosen in (("d.collection", filters.collections), ("d.id", filters.documents)):
        if chosen:
            parts.append(f"{column} = ANY(%s)")
            values.append(list(chosen))
    for comparison, date in ((">=", filters.since), ("<=", filters.until)):
        if date:
            parts.append(f'd.date COLLATE "C" {comparison} %s')
            values.append(date)
    if filters.groups is not None:
        parts.append("(d.groups = '[]'::jsonb OR d.groups ?| %s)")
        values.append(list(filters.groups))
    return " AND ".join(parts), values
