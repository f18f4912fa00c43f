"""Filters and full text in SQLite (FTS5): which passages may be found, and which hold a question's words."""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from rag.sqlite import Sqlite
from rag.terms import stem
from rag.types import Filters

POSTINGS = 10_000  # entries of the full text that one question may rank; the rarer terms are taken first
_REMEMBERED = 10_000  # frequencies of common words that are kept for the next question
_COUNTED = 10  # times the budget: how far a common word is counted
_CANDIDATES = 240  # passages of the rarer words that the common ones order


class FullText(Sqlite):
    """The searches of a store."""

    postings = POSTINGS

    def __init__(self, folder: Path, writable: bool) -> None:
        super().__init__(folder, writable)
        self._common: dict[str, float] = {}

    def allowed(self, filters: Filters) -> np.ndarray | None:
        """The keys of the passages that the filters leave, ascending; None when they leave everything.

        It reads a row a document, not a passage: the keys of a document's passages follow one another.
        """
        where, values = where_of(filters)
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
        where, values = where_of(filters)
        query = f"SELECT 1 FROM documents d WHERE first IS NOT NULL AND {where or 'true'} LIMIT 1"
        return self.db.execute(query, values).fetchone() is not None

    def lexical(self, terms: Sequence[str], top: int, filters: Filters) -> list[tuple[int, float]]:
        """Keys and BM25 scores (higher is better) of the passages that hold any of these words, best first.

        In a large store the rarer words bring the candidates, and the common ones only help to order them.
        """
        match, common = self._affordable(terms)
        if not match:
            return []
        where, values = where_of(filters)
        rows = self.db.execute(
            f"SELECT l.rowid, -bm25(lexical, 0.5, 1.0) AS score FROM lexical l{_joined(where)} lexical MATCH ?"
            " ORDER BY score DESC, l.rowid LIMIT ?",
            (*values, match, max(top, _CANDIDATES) if common else top),
        ).fetchall()
        return self._ordered(rows, common)[:top] if common and len(rows) > 1 else rows

    def _affordable(self, terms: Sequence[str]) -> tuple[str, dict[str, float]]:
        """An FTS5 expression for any of the terms, and the inverse frequencies of those that are left out of it.

        Every term is a quoted string, so no question is ever syntax. In a large store the rarer terms are taken whose
        postings fit the budget; when even the rarest is too common, passages must hold the two rarest.
        """
        quoted = ['"' + term.replace('"', '""').replace("\0", " ") + '"' for term in terms]
        highest = self.db.execute("SELECT coalesce(max(key), 0) FROM passages").fetchone()[0]
        if highest <= self.postings:
            return " OR ".join(quoted), {}
        found = [(self._entries(q, highest), q, term) for q, term in zip(quoted, terms, strict=True)]
        ranked = sorted((n, i, q, term) for i, (n, q, term) in enumerate(found) if n)
        chosen, total = 0, 0.0
        for n, *_ in ranked:
            total += n
            if total > self.postings:
                break
            chosen += 1
        joined = " OR " if chosen else " AND "
        chosen = chosen or 2
        left = {term: math.log(max(1.0, (highest - n + 0.5) / (n + 0.5))) for n, _, _, term in ranked[chosen:]}
        return joined.join(q for _, _, q, _ in ranked[:chosen]), left

    def _entries(self, quoted: str, highest: int) -> float:
        """How many passages have a term. Of a common one that is counted once, and not to the end: how far the first
        ones reach tells the rest."""
        if quoted not in self._common:
            first = "SELECT count(*), max(rowid) FROM (SELECT rowid FROM lexical WHERE lexical MATCH ? LIMIT ?)"
            ((found, reached),) = self.rows(first, (quoted, _COUNTED * self.postings))
            if found <= self.postings:
                return float(found)
            if len(self._common) >= _REMEMBERED:
                self._common.clear()
            self._common[quoted] = found if found < _COUNTED * self.postings else found * highest / reached
        return self._common[quoted]

    def _ordered(self, rows: list[tuple[int, float]], common: dict[str, float]) -> list[tuple[int, float]]:
        """BM25 of the common words (b 0.75, k1 1.2, as FTS5 has them) added to the scores of the candidates."""
        query = "SELECT key, context || ' ' || text FROM passages WHERE key IN (SELECT value FROM json_each(?))"
        texts = {key: text.lower() for key, text in self.rows(query, (json.dumps([key for key, _ in rows]),))}
        worth = {stem(word): weight for word, weight in common.items()}
        found = re.compile(rf"\b({'|'.join(map(re.escape, sorted(worth, key=len, reverse=True)))})\w{{0,5}}\b")
        mean = sum(map(len, texts.values())) / max(1, len(texts))
        scored = []
        for key, score in rows:
            text = texts.get(key, "")
            room = 1.2 * (0.25 + 0.75 * len(text) / max(1.0, mean))
            counts = Counter(found.findall(text))
            scored.append((key, score + sum(worth[word] * 2.2 * n / (n + room) for word, n in counts.items())))
        return sorted(scored, key=lambda pair: (-pair[1], pair[0]))

    def frequency(self, term: str, filters: Filters, most: int = 1000) -> int:
        """How many passages that the filters leave have a term, counted up to `most`."""
        where, values = where_of(filters)
        rows = self.db.execute(
            f"SELECT count(*) FROM (SELECT 1 FROM lexical l{_joined(where)} lexical MATCH ? LIMIT {most})",
            (*values, f'"{term}"'),
        )
        return int(rows.fetchone()[0])


def where_of(filters: Filters) -> tuple[str, list[Any]]:
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
    if filters.languages:  # `en` is `en-GB` too
        parts.append(
            "EXISTS (SELECT 1 FROM json_each(?) a WHERE lower(d.language) = a.value"
            " OR substr(lower(d.language), 1, length(a.value) + 1) = a.value || '-')"
        )
        values.append(json.dumps([language.lower() for language in filters.languages]))
    if filters.authors:
        parts.append(
            "EXISTS (SELECT 1 FROM json_each(?) a WHERE instr('; ' || d.author || '; ', '; ' || a.value || '; '))"
        )
        values.append(json.dumps(filters.authors))
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
