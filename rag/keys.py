"""API keys in a small SQLite file: only the sha256 of a secret of 256 random bits is kept. Door of sqlite3."""

from __future__ import annotations

import datetime
import hashlib
import hmac
import json
import secrets
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from rag.errors import BadInput, NotFound
from rag.settings import Settings

FILE = "keys.sqlite"
PREFIX = "pq_"
SCOPES = ("ask", "upload", "admin", "metrics", "ticket")
_SCHEMA = """CREATE TABLE IF NOT EXISTS keys(id TEXT PRIMARY KEY, name TEXT NOT NULL, sha256 TEXT NOT NULL,
    scopes TEXT NOT NULL, groups TEXT NOT NULL, created TEXT NOT NULL, expires TEXT, revoked TEXT) WITHOUT ROWID"""


@dataclass(frozen=True, slots=True)
class Key:
    """A key without its secret. Times are ISO 8601 in UTC; `groups` None may read every document."""

    id: str
    name: str
    scopes: tuple[str, ...]
    groups: tuple[str, ...] | None
    created: str
    expires: str | None
    revoked: str | None

    def valid(self, now: datetime.datetime | None = None) -> bool:
        """Neither revoked nor expired."""
        now = now or datetime.datetime.now(datetime.UTC)
        return self.revoked is None and (self.expires is None or now < datetime.datetime.fromisoformat(self.expires))


class Keys:
    """The file of keys. It is made, readable for its owner only, when the first key is added."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def add(
        self, name: str, scopes: Sequence[str], groups: Sequence[str] | None, days: int | None = None
    ) -> tuple[Key, str]:
        """A new key and its secret, which is shown now and never again. Raises BadInput."""
        unknown = sorted(set(scopes) - set(SCOPES))
        if not name.strip() or not name.isprintable() or unknown:
            raise BadInput(f"a key needs a name and scopes of {', '.join(SCOPES)}; not {name!r} {unknown}")
        if days is not None and not 0 < days <= 36_500:
            raise BadInput(f"a key is valid for 1 to 36500 days, not {days}")
        now = datetime.datetime.now(datetime.UTC).replace(microsecond=0)
        expires = (now + datetime.timedelta(days=days)).isoformat() if days else None
        limit = None if groups is None else tuple(groups)
        key = Key(secrets.token_hex(6), name.strip(), tuple(scopes), limit, now.isoformat(), expires, None)
        secret = f"{PREFIX}{key.id}_{secrets.token_urlsafe(32)}"
        with self._open(create=True) as db:
            db.execute(_SCHEMA)
            row = (
                key.id,
                key.name,
                _hash(secret),
                json.dumps(key.scopes),
                json.dumps(key.groups),
                key.created,
                expires,
            )
            db.execute("INSERT INTO keys VALUES(?, ?, ?, ?, ?, ?, ?, NULL)", row)
        return key, secret

    def all(self) -> list[Key]:
        """Every key, oldest first."""
        if not self.file.exists():
            return []
        with self._open() as db:
            return [_key(row) for row in db.execute(f"{_SELECT} ORDER BY created, id")]

    def revoke(self, key_id: str) -> None:
        """End a key now. Raises NotFound."""
        now = datetime.datetime.now(datetime.UTC).replace(microsecond=0).isoformat()
        if not any(key.id == key_id for key in self.all()):
            raise NotFound(f"no key {key_id!r}; `rag keys list` shows them")
        with self._open() as db:
            db.execute("UPDATE keys SET revoked = ? WHERE id = ? AND revoked IS NULL", (now, key_id))

    def check(self, secret: str) -> Key | None:
        """The valid key of this secret; None for any other text."""
        key_id = secret.removeprefix(PREFIX).partition("_")[0]
        if not secret.startswith(PREFIX) or not self.file.exists():
            return None
        with self._open() as db:
            row = db.execute(f"{_SELECT} WHERE id = ?", (key_id,)).fetchone()
        if row is None or not hmac.compare_digest(row[-1], _hash(secret)):
            return None
        key = _key(row)
        return key if key.valid() else None

    @contextmanager
    def _open(self, create: bool = False) -> Iterator[sqlite3.Connection]:
        try:
            if create and not self.file.exists():
                self.file.touch(mode=0o600)
            with closing(sqlite3.connect(self.file, timeout=10)) as db, db:
                yield db
        except (OSError, sqlite3.DatabaseError) as error:
            raise BadInput(f"{self.file}: the keys cannot be used ({error}); check the file and its folder") from None


def file_of(settings: Settings) -> Path:
    """Where the API keys are kept. Raises BadInput when an index on a server leaves no place for them."""
    if not settings.keys and "://" in settings.index:
        raise BadInput("the index is on a server; say where the API keys are kept with RAG_KEYS=FILE")
    return Path(settings.keys or Path(settings.index) / FILE)


_SELECT = "SELECT id, name, scopes, groups, created, expires, revoked, sha256 FROM keys"


def _key(row: Sequence[str]) -> Key:
    key_id, name, scopes, groups, created, expires, revoked, _ = row
    limit = json.loads(groups)
    return Key(
        key_id, name, tuple(json.loads(scopes)), None if limit is None else tuple(limit), created, expires, revoked
    )


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "replace")).hexdigest()
