"""A PostgreSQL server under the store: its schema, connections, one writer, and failures as one line."""

from __future__ import annotations

import contextlib
import threading
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import psycopg
from psycopg.adapt import Dumper
from psycopg.conninfo import conninfo_to_dict
from psycopg.pq import Format
from psycopg.types import TypeInfo

from rag.errors import BadInput, Busy, IndexMismatch, NotFound
from rag.ledger import Ledger

FORMAT = 4  # of the schema; docs/postgres.md says what changed
_LOCK = 0x70756C6C  # the advisory lock of the one writer
_MANY = 100  # writes after which the server counts its words anew
_SCHEMA = """
CREATE TABLE meta(key text PRIMARY KEY, value text NOT NULL);
CREATE TABLE roots(path text PRIMARY KEY, collection text NOT NULL, prefix text NOT NULL);
CREATE TABLE files(root text, path text, size bigint NOT NULL, mtime_ns bigint NOT NULL, sha256 text NOT NULL,
    problem text, PRIMARY KEY(root, path));
CREATE TABLE documents(key bigserial PRIMARY KEY, id text NOT NULL UNIQUE, root text NOT NULL, path text NOT NULL,
    title bytea NOT NULL, source bytea NOT NULL, collection text NOT NULL, date text, revision text NOT NULL,
    loader text NOT NULL, groups jsonb NOT NULL, structure bytea NOT NULL, text bytea NOT NULL,
    size int NOT NULL, author text, language text);
CREATE INDEX ON documents(root, path);
CREATE INDEX ON documents(collection, date);
CREATE TABLE passages(key bigserial PRIMARY KEY, document bigint NOT NULL REFERENCES documents ON DELETE CASCADE,
    start int NOT NULL, "end" int NOT NULL, context bytea NOT NULL, text bytea NOT NULL, units text NOT NULL,
    digest bytea NOT NULL, vector halfvec({dimension}) NOT NULL, plain text NOT NULL,
    words tsvector GENERATED ALWAYS AS (to_tsvector('english', plain)) STORED);
ALTER TABLE passages ALTER vector SET STORAGE MAIN, ALTER words SET STORAGE MAIN;
CREATE INDEX ON passages(document);
CREATE INDEX ON passages(digest);
"""
_FROM_3 = """
ALTER TABLE documents ADD COLUMN IF NOT EXISTS author text, ADD COLUMN IF NOT EXISTS language text;
UPDATE meta SET value = '4' WHERE key = 'format';
"""
_SEARCH = """
CREATE INDEX IF NOT EXISTS passages_words ON passages USING gin(words);
CREATE INDEX IF NOT EXISTS passages_vector ON passages USING hnsw(vector halfvec_ip_ops);
"""


class Half(bytes):
    """A vector as little-endian float16, on its way to a halfvec."""


class _Held:
    """A thread's connection, closed when the thread ends."""

    def __init__(self, db: psycopg.Connection[Any]) -> None:
        self.db = db

    def __del__(self) -> None:
        self.db.close()


class Server(Ledger):
    """An open schema `pullquote`. One connection a thread."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._local = threading.local()
        self.writable = True
        with self._told(), psycopg.connect(url, connect_timeout=10) as first:
            there = first.execute("SELECT to_regclass('pullquote.meta') IS NOT NULL").fetchone()
        if not there or not there[0]:
            raise NotFound(f"no index in {self.name}; make one with `rag index PATH --index postgresql://…`")
        made = int(self.meta()["format"])
        if made == 3:
            with self._told(), self.db.transaction():
                self.db.execute(_FROM_3)
        elif made != FORMAT:
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
            db.execute(f"{_SCHEMA.format(dimension=int(dimension))}{_SEARCH}".encode())
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
                found.adapters.register_dumper(Half, dumper)
                self.half = info.oid
            self._local.held = _Held(found)
        return found

    def close(self) -> None:
        """Close this thread's connection."""
        self._local.held = None

    def _told(self) -> contextlib.AbstractContextManager[None]:
        return _told(self.url)

    def rows(self, query: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """The rows that a query gives."""
        with self._told():
            return self.db.cursor(binary=True).execute(_marked(query), values).fetchall()

    def run(self, statement: str, values: Sequence[Any] = ()) -> None:
        """Carry out a statement."""
        with self._told():
            self.db.execute(_marked(statement), values)

    @contextmanager
    def lock(self) -> Iterator[None]:
        """One writer at a time, across hosts; the server lets go of it when the process dies."""
        if not self.rows("SELECT pg_try_advisory_lock(%s)", (_LOCK,))[0][0]:
            raise Busy(f"{self.name}: another process is writing to this index; wait for it and run again")
        before = int(self.meta()["version"])
        try:
            yield
            self.run(_SEARCH)
            if int(self.meta()["version"]) > before + _MANY:
                self.run("ANALYZE passages")  # how common a word is decides what a question ranks
        finally:
            with contextlib.suppress(psycopg.Error):
                self.db.execute("SELECT pg_advisory_unlock(%s)", (_LOCK,))

    def fill(self) -> None:
        """Everything will be copied in: an empty schema gets its search indexes at the end, which is much faster."""
        if not self.rows("SELECT 1 FROM passages LIMIT 1"):
            self.run("DROP INDEX IF EXISTS passages_words, passages_vector")

    @contextmanager
    def writing(self) -> Iterator[psycopg.Connection[Any]]:
        """One transaction; the version rises with it."""
        with self._told(), self.db.transaction():
            yield self.db
            self.db.execute("UPDATE meta SET value = (value::bigint + 1)::text WHERE key = 'version'")

    def size(self) -> int:
        """Bytes of the schema on the server."""
        tables = "SELECT coalesce(sum(pg_total_relation_size(c.oid)), 0)::bigint FROM pg_class c"
        (found,) = self.rows(f"{tables} WHERE relnamespace = 'pullquote'::regnamespace AND relkind = 'r'")
        return int(found[0])

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
    except psycopg.errors.DiskFull:
        raise BadInput(
            f"{shown(url)}: the server's disk is full; make room there and run again; what was committed is kept"
        ) from None
    except (psycopg.errors.ReadOnlySqlTransaction, psycopg.errors.InsufficientPrivilege) as error:
        raise BadInput(
            f"{shown(url)}: this user cannot write there ({error.diag.message_primary}); connect to the primary server"
            " as the owner of the schema pullquote"
        ) from None
    except psycopg.OperationalError:
        raise BadInput(
            f"{shown(url)}: the server cannot be reached or used; check that it runs, and the name, user and password"
        ) from None
    except psycopg.Error as error:
        reason = (error.diag.message_primary or type(error).__name__).splitlines()[0]
        raise IndexMismatch(f"{shown(url)}: the server refused ({reason}); check the schema pullquote there") from None


def _marked(query: str) -> bytes:
    return query.replace("?", "%s").encode()


def _dump(_: Dumper, value: Half) -> bytes:
    raw = np.frombuffer(value, "<f2")
    return len(raw).to_bytes(2, "big") + b"\0\0" + raw.astype(">f2").tobytes()
