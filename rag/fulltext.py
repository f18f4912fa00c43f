"""Filters and full text in SQLite (FTS5): which passages may be found, and which hold a question's words."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from rag.sqlite import Sqlite
from rag.types import Filters

POSTINGS = 50_000  # entries of the full text that one question may rank; the rarer terms are taken first
_REMEMBERED = 10_000  # words that are too common, kept for the next question


class FullText(Sqlite):
    """The searches of a store."""

    postings = POSTINGS

    def __init__(self, folder: Path, writable: bool) -> None:
        super().__init__(folder, writable)
        self._common: set[str] = set()

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
        found = [(self._entries(q), q) for q in quoted]
        ranked = sorted((n, i, q) for i, (n, q) in enumerate(found) if n)
        chosen, total = [], 0
        for n, _, q in ranked:
            total += n
            if total > self.postings:
                break
            chosen.append(q)
        return " OR ".join(chosen) or " AND ".join(q for _, _, q in ranked[:2])

    def _entries(self, quoted: str) -> int:
        """How many passages have a term, counted up to the budget; one that was too common is not counted again."""
        if quoted in self._common:
            return self.postings + 1
        count = "SELECT count(*) FROM (SELECT 1 FROM lexical WHERE lexical MATCH ? LIMIT ?)"
        ((found,),) = self.rows(count, (quoted, self.postings + 1))
        if found > self.postings and len(self._common) < _REMEMBERED:
            self._common.add(quoted)
        return int(found)

    def frequency(self, term: str, filters: Filters, most: int = 1000) -> int:
        """How many passages that the filters leave have a term, counted up to `most`."""
        where, values = _where(filters)
        rows = self.db.execute(
            f"SELECT count(*) FROM (SELECT 1 FROM lexical l{_joined(where)} lexical MATCH ? LIMIT {most})",
            (*values, f'"{term}"'),
        )
        return int(rows.fetchone()[0])


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
