"""Tickets that let one visitor in once: only their sha256 is kept, and whoever takes one takes it away."""

from __future__ import annotations

import hashlib
import json
import re
import secrets
import time
from collections.abc import Mapping
from typing import Any

from rag.settings import Settings
from rag.state.database import database

SECONDS = 60  # that a ticket may be used
_SHAPE = re.compile(r"pqt_[\w-]{43}", re.ASCII)
_SCHEMA = "CREATE TABLE IF NOT EXISTS tickets(sha256 TEXT PRIMARY KEY, holder TEXT NOT NULL, until BIGINT NOT NULL)"


class Tickets:
    """The tickets of the configured index; safe from several threads and processes. Raises BadInput and Busy."""

    def __init__(self, settings: Settings) -> None:
        self._db = database(settings)
        with self._db.writing() as run:
            run(_SCHEMA)

    def make(self, holder: Mapping[str, Any]) -> str:
        """A new ticket for `holder`; what was never used and is too old is thrown away."""
        ticket, now = f"pqt_{secrets.token_urlsafe(32)}", int(time.time())
        with self._db.writing() as run:
            run("DELETE FROM tickets WHERE until < ?", (now,))
            run("INSERT INTO tickets VALUES(?, ?, ?)", (_hash(ticket), json.dumps(dict(holder)), now + SECONDS))
        return ticket

    def take(self, ticket: str) -> dict[str, Any] | None:
        """The holder of a ticket, to the first who asks within its time; None to everyone else."""
        if not _SHAPE.fullmatch(ticket):
            return None
        with self._db.reading() as run:  # a stranger's guesses do not make others wait
            if not run("SELECT 1 FROM tickets WHERE sha256 = ?", (_hash(ticket),)):
                return None
        with self._db.writing() as run:
            taken = run("DELETE FROM tickets WHERE sha256 = ? RETURNING holder, until", (_hash(ticket),))
        if not taken or taken[0][1] < time.time():
            return None
        holder: dict[str, Any] = json.loads(taken[0][0])
        return holder


def _hash(ticket: str) -> str:
    return hashlib.sha256(ticket.encode()).hexdigest()
