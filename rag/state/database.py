"""Where the state is kept: a file beside the index, or the server that holds the index. Door of sqlite3 and psycopg."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path
from typing import Any, Protocol

from rag.errors import BadInput, Busy
from rag.settings import Settings

FILE = "state.sqlite"
WRITER = 0x70756C6C  # the advisory lock of whoever writes on a server
Run = Callable[..., list[Any]]  # (statement, values) → rows


class Database(Protocol):
    """Where the state is kept. Statements have `?` for values and are plain enough for SQLite and PostgreSQL."""

    def reading(self) -> AbstractContextManager[Run]:
        """One state of the data for several queries."""
        ...

    def writing(self) -> AbstractContextManager[Run]:
        """One transaction."""
        ...


def database(settings: Settings) -> Database:
    """Where the state of the configured index is kept. Raises BadInput."""
    if settings.state or "://" not in settings.index:
        return SqliteFile(Path(settings.state or Path(settings.index) / FILE))
    return Server(settings.index)


class SqliteFile:
    """A Database in one file, readable for its owner only; it is made when it is first used."""

    def __init__(self, file: Path) -> None:
        self.file = file

    @contextmanager
    def reading(self) -> Iterator[Run]:
        """One state of the data for several queries."""
        with self._transaction("BEGIN") as run:
            yield run

    @contextmanager
    def writing(self) -> Iterator[Run]:
        """One transaction."""
        with self._transaction("BEGIN IMMEDIATE") as run:
            yield run

    @contextmanager
    def _transaction(self, begin: str) -> Iterator[Run]:
        try:
            if not self.file.exists():
                self.file.touch(mode=0o600)
            with closing(sqlite3.connect(self.file, timeout=10, isolation_level=None)) as db:
                for setting in ("foreign_keys = ON", "secure_delete = ON", "journal_mode = WAL"):
                    db.execute(f"PRAGMA {setting}")
                db.execute(begin)
                try:
                    yield lambda statement, values=(): db.execute(statement, values).fetchall()
                    db.execute("COMMIT")
                except BaseException:
                    if db.in_transaction:
                        db.execute("ROLLBACK")
                    raise
        except sqlite3.OperationalError as error:
            if "locked" in str(error):
                raise Busy(f"{self.file}: another process is writing; ask again in a moment") from None
            raise BadInput(f"{self.file}: cannot be used ({error}); check the file and its folder") from None
        except (OSError, sqlite3.DatabaseError) as error:
            raise BadInput(f"{self.file}: cannot be used ({error}); check the file and its folder") from None


class _Held:
    """A thread's connection, closed when the thread ends."""

    def __init__(self, db: Any) -> None:
        self.db = db

    def __del__(self) -> None:
        self.db.close()


class Server:
    """A Database on PostgreSQL, in the schema of the index; one connection a thread."""

    def __init__(self, url: str) -> None:
        try:
            import psycopg
        except ImportError:
            raise BadInput("an index on PostgreSQL needs psycopg; run `pip install 'pullquote[postgres]'`") from None
        self._psycopg, self._url, self._local = psycopg, url, threading.local()

    @contextmanager
    def reading(self) -> Iterator[Run]:
        """One state of the data for several queries."""
        with self._transaction("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ") as run:
            yield run

    @contextmanager
    def writing(self) -> Iterator[Run]:
        """One transaction, one writer at a time, as in a file."""
        with self._transaction(f"SELECT pg_advisory_xact_lock({WRITER})") as run:
            yield run

    @contextmanager
    def _transaction(self, begin: str) -> Iterator[Run]:
        try:
            db = getattr(getattr(self._local, "held", None), "db", None)
            if db is None or db.closed:
                db = self._psycopg.connect(self._url, autocommit=True, connect_timeout=10)
                self._local.held = _Held(db)
                db.execute("SET search_path = pullquote, public")

            def run(statement: str, values: tuple[Any, ...] = ()) -> list[Any]:
                done = db.execute(statement.replace("?", "%s"), values)
                return done.fetchall() if done.description else []

            with db.transaction():
                run(begin)
                yield run
        except self._psycopg.Error as error:
            reason = (str(error) or type(error).__name__).splitlines()[0]
            raise BadInput(f"conversations cannot be kept on the server of the index ({reason}); check it") from None
