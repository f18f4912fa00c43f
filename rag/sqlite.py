"""The SQLite file under the store: its schema, opening it safely, older formats, compacting. Door of sqlite3."""

from __future__ import annotations

import os
import sqlite3
import threading
import uuid
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from rag.errors import BadInput, Busy, IndexMismatch
from rag.ledger import Ledger
from rag.rows import FORMAT

Connection = sqlite3.Connection
FILE = "store.sqlite"
_DAMAGED = "not a readable index ({reason}); restore a copy, or delete the folder and run `rag index`"
_LIMITS = """
CREATE INDEX documents_limits ON documents(collection, date, groups, language, author, first, last);
"""
_LEXICAL = """
CREATE VIRTUAL TABLE lexical USING fts5(context, text, content='', tokenize='porter unicode61 remove_diacritics 2');
"""
# `first` and `last` are the keys of a document's passages, which are written together; `removed` lets what derives
# from the store catch up at the cost of the change, back to the version `log_from`.
_SCHEMA = f"""
CREATE TABLE meta(key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE roots(path TEXT PRIMARY KEY, collection TEXT NOT NULL, prefix TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE files(root TEXT NOT NULL, path TEXT NOT NULL, size INTEGER NOT NULL, mtime_ns INTEGER NOT NULL,
    sha256 TEXT NOT NULL, problem TEXT, PRIMARY KEY(root, path)) WITHOUT ROWID;
CREATE TABLE documents(key INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, root TEXT NOT NULL,
    path TEXT NOT NULL, title TEXT NOT NULL, source TEXT NOT NULL, collection TEXT NOT NULL, date TEXT,
    revision TEXT NOT NULL, loader TEXT NOT NULL, groups TEXT NOT NULL, structure TEXT NOT NULL, text TEXT NOT NULL,
    first INTEGER, last INTEGER, author TEXT, language TEXT);
CREATE INDEX documents_file ON documents(root, path);
CREATE TABLE passages(key INTEGER PRIMARY KEY AUTOINCREMENT, document INTEGER NOT NULL REFERENCES documents(key),
    start INTEGER NOT NULL, end INTEGER NOT NULL, context TEXT NOT NULL, text TEXT NOT NULL, units TEXT NOT NULL,
    digest BLOB NOT NULL, vector BLOB NOT NULL);
CREATE INDEX passages_document ON passages(document);
CREATE INDEX passages_digest ON passages(digest);
CREATE TABLE removed(key INTEGER PRIMARY KEY, version INTEGER NOT NULL);
CREATE INDEX removed_version ON removed(version);
{_LIMITS}{_LEXICAL}"""
_FROM_1 = """
ALTER TABLE documents ADD COLUMN first INTEGER;
ALTER TABLE documents ADD COLUMN last INTEGER;
UPDATE documents SET first = (SELECT min(key) FROM passages WHERE document = documents.key),
    last = (SELECT max(key) FROM passages WHERE document = documents.key);
CREATE TABLE removed(key INTEGER PRIMARY KEY, version INTEGER NOT NULL);
CREATE INDEX removed_version ON removed(version);
INSERT INTO meta SELECT 'log_from', value FROM meta WHERE key = 'version';
"""
_FROM_2 = f"""
ALTER TABLE documents ADD COLUMN author TEXT;
ALTER TABLE documents ADD COLUMN language TEXT;
DROP INDEX IF EXISTS documents_limits;
{_LIMITS}
UPDATE meta SET value = '3' WHERE key = 'format';
"""


class _Connection(Connection):
    """A connection whose failures are one line with the next step."""

    def execute(self, *args: Any) -> sqlite3.Cursor:
        with told():
            return super().execute(*args)


@contextmanager
def told() -> Iterator[None]:
    """Failures of SQLite as RagErrors."""
    try:
        yield
    except sqlite3.IntegrityError:
        raise
    except sqlite3.OperationalError as error:
        reason = str(error)
        if "locked" in reason:
            raise Busy("the index is being written by another process; run again in a moment") from None
        if any(word in reason for word in ("full", "readonly", "disk I/O", "unable to open")):
            raise BadInput(
                f"the index cannot be written ({reason}); make room or choose another folder, then run again;"
                " what was committed before is kept"
            ) from None
        raise
    except sqlite3.DatabaseError as error:
        raise IndexMismatch(_DAMAGED.format(reason=error)) from None


class Sqlite(Ledger):
    """An open file. Connections are one a thread; writing needs the caller to hold the index's lock."""

    def __init__(self, folder: Path, writable: bool) -> None:
        self.file = folder / FILE
        self.writable = writable
        self._local = threading.local()
        self._check()

    @staticmethod
    def create(folder: Path, model: str, dimension: int) -> None:
        """A new, empty file for vectors of this model; it appears whole or not at all."""
        new = folder / f"{FILE}.new"
        new.unlink(missing_ok=True)
        try:
            with closing(sqlite3.connect(new)) as db, db:
                db.executescript(_SCHEMA)
                meta = {
                    "format": FORMAT, "id": uuid.uuid4().hex[:8], "version": 0, "model": model,
                    "dimension": dimension, "log_from": 0,
                }  # fmt: skip
                db.executemany("INSERT INTO meta VALUES(?, ?)", [(k, str(v)) for k, v in meta.items()])
            os.replace(new, folder / FILE)
        except (sqlite3.Error, OSError) as error:
            raise BadInput(f"{folder}: cannot make the index there ({error}); choose another --index") from None

    @property
    def db(self) -> sqlite3.Connection:
        """This thread's connection."""
        found: sqlite3.Connection | None = getattr(self._local, "db", None)
        if found is None:
            with told():
                found = sqlite3.connect(
                    f"file:{_uri(self.file)}?{self._mode()}", uri=True, timeout=30, factory=_Connection,
                    isolation_level=None,
                )  # fmt: skip
            if self.writable:
                found.execute("PRAGMA journal_mode=WAL")
            found.execute("PRAGMA foreign_keys=ON")
            found.execute("PRAGMA synchronous=NORMAL")
            found.execute("PRAGMA secure_delete=ON")
            self._local.db = found
        return found

    def _mode(self) -> str:
        if self.writable:
            return "mode=rw"
        # In a folder that cannot be written SQLite cannot make the shared memory that a WAL file is read with.
        return "mode=ro" if self._wal() else "mode=ro&immutable=1"

    def _wal(self) -> bool:
        wal = self.file.with_name(f"{FILE}-wal")
        return wal.exists() and wal.stat().st_size > 0

    def close(self) -> None:
        """Close this thread's connection."""
        if found := getattr(self._local, "db", None):
            found.close()
            self._local.db = None

    def rows(self, query: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """The rows that a query gives."""
        return self.db.execute(query, values).fetchall()

    def run(self, statement: str, values: Sequence[Any] = ()) -> None:
        """Carry out a statement."""
        self.db.execute(statement, values)

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
            if db.in_transaction:
                db.execute("ROLLBACK")
            raise

    def compact(self) -> None:
        """Rewrite the file and the full text, so that nothing of what was removed is left in any byte of them."""
        with self.writing() as db:
            db.execute("INSERT INTO lexical(lexical) VALUES('delete-all')")
            db.execute("INSERT INTO lexical(rowid, context, text) SELECT key, context, text FROM passages")
            db.execute("INSERT INTO lexical(lexical) VALUES('optimize')")
            db.execute("DELETE FROM removed")
            db.execute("UPDATE meta SET value = (SELECT CAST(value AS INTEGER) + 1 FROM meta WHERE key = 'version')"
                       " WHERE key = 'log_from'")  # fmt: skip
        self.db.execute("VACUUM")
        busy, *_ = self.db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        if busy:
            raise Busy(f"{self.file.parent}: another process reads the index; stop it and run `rag compact` again")

    def _check(self) -> None:
        try:
            with self.file.open("rb") as stream:
                header = stream.read(100)
            page = int.from_bytes(header[16:18], "big")
            pages = int.from_bytes(header[28:32], "big")
            # While a WAL file holds pages, a crash may have left the header ahead of the file: SQLite sees to that.
            if not self._wal() and self.file.stat().st_size < pages * (65536 if page == 1 else page):
                raise ValueError("it was cut short")
            made = int(self.meta()["format"])
        except (OSError, sqlite3.DatabaseError, KeyError, ValueError) as error:
            raise IndexMismatch(f"{self.file}: {_DAMAGED.format(reason=error)}") from None
        if made > FORMAT:
            raise IndexMismatch(f"{self.file}: format {made} is newer than this program's {FORMAT}; upgrade pullquote")
        if made < FORMAT:
            self._migrate(made)

    def _migrate(self, made: int) -> None:
        """An older format, brought up to date from what is stored: nothing is embedded, the version stays."""
        if not self.writable:
            raise IndexMismatch(
                f"{self.file}: format {made} is older than {FORMAT} and the folder cannot be written;"
                " open it once where it can, for example `rag status`"
            )
        self.db.execute("BEGIN IMMEDIATE")
        try:
            made = int(self.meta()["format"])  # another process may have done it meanwhile
            steps = (_FROM_1 if made < 2 else "") + (_FROM_2 if made < 3 else "")
            for statement in filter(str.strip, steps.split(";\n")):
                self.db.execute(statement)
            self.db.execute("COMMIT")
        except BaseException:
            self.db.execute("ROLLBACK")
            raise


def _uri(path: Path) -> str:
    """A path as sqlite wants it in a file: URI."""
    return str(path.absolute()).replace("%", "%25").replace("?", "%3f").replace("#", "%23")
