"""Filters, nearest neighbours and full text on the server."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from rag.postgres.server import Half, Server
from rag.types import Filters

NARROW = 20_000  # passages up to which a filtered search compares every one that is left
POSTINGS = 10_000  # passages that one question's words may bring to be ranked; the rarer words are taken first
_ASKED = "plainto_tsquery('english', %s)"


class Search(Server):
    """The searches of a store."""

    narrow = NARROW
    postings = POSTINGS

    def any_passage(self, filters: Filters) -> bool:
        """True when the filters leave anything."""
        where, values = where_of(filters)
        return bool(self.rows(f"SELECT 1 FROM documents d WHERE size > 0 AND {where} LIMIT 1", values))

    def allowed(self, filters: Filters) -> np.ndarray | None:
        """The keys of the passages that the filters leave, ascending; None when they leave everything."""
        if filters == Filters():
            return None
        where, values = where_of(filters)
        found = self.rows(
            f"SELECT p.key FROM documents d JOIN passages p ON p.document = d.key WHERE {where} ORDER BY 1", values
        )
        return np.array([key for (key,) in found], np.int64)

    def nearest(self, vector: np.ndarray, top: int, filters: Filters) -> list[tuple[int, float]]:
        """Keys and cosines of the passages nearest to one float32 [d] vector, best first.

        Every passage is compared when the filters leave few; else the HNSW index is scanned on until they are met.
        """
        where, values = where_of(filters)
        query = Half(vector.astype(np.float16).tobytes())
        both = "documents d JOIN passages p ON p.document = d.key"
        if filters != Filters() and self._left(where, values) <= self.narrow:
            return self.rows(
                f"SELECT p.key, -(p.vector <#> %s) AS score FROM {both} WHERE {where} ORDER BY score DESC, 1 LIMIT %s",
                (query, *values, top),
            )
        with self._told(), self.db.transaction():
            self.db.execute(f"SET LOCAL hnsw.ef_search = {min(1000, max(100, 2 * top))}".encode())
            rows = self.rows(
                f"SELECT p.key, -(p.vector <#> %s) FROM {both if filters != Filters() else 'passages p'} WHERE {where}"
                " ORDER BY p.vector <#> %s LIMIT %s",
                (query, *values, query, top),
            )
        return sorted(((k, float(s)) for k, s in rows), key=lambda pair: (-pair[1], pair[0]))

    def _left(self, where: str, values: Sequence[Any]) -> int:
        """How many passages a filter leaves: a row a document is read, not one a passage."""
        ((left,),) = self.rows(f"SELECT coalesce(sum(size), 0)::bigint FROM documents d WHERE {where}", values)
        return int(left)

    def lexical(self, terms: Sequence[str], top: int, filters: Filters) -> list[tuple[int, float]]:
        """Keys and ranks (higher is better) of the passages that hold any of these words, best first.

        A word counts the more the rarer it is (the server's own statistics say), as in BM25.
        """
        where, values = where_of(filters)
        few = filters != Filters() and self._left(where, values) <= self.narrow  # every word is affordable then
        chosen, joined = self._affordable([t.replace("\0", " ") for t in terms], math.inf if few else self.postings)
        if not chosen:
            return []
        words = [word for _, word in chosen]
        score = " + ".join(f"{weight:.4f} * ts_rank(p.words, {_ASKED}, 1)" for weight, _ in chosen)
        both = "passages p JOIN documents d ON d.key = p.document" if filters != Filters() else "passages p"
        return [
            (key, found)
            for key, found in self.rows(
                f"SELECT p.key, ({score})::float8 AS score FROM {both}"
                f" WHERE p.words @@ ({joined.join([_ASKED] * len(words))}) AND {where} ORDER BY score DESC, 1 LIMIT %s",
                (*words, *words, *values, top),
            )
        ]

    def _affordable(self, words: Sequence[str], budget: float) -> tuple[list[tuple[float, str]], str]:
        """The weights and words to rank by, and how they are joined: any of the rarer ones whose passages fit the
        budget; when even the rarest is too common, both of the two rarest."""
        explain = f"EXPLAIN (FORMAT JSON) SELECT FROM passages WHERE words @@ {_ASKED}"
        with self._told(), self.db.pipeline():
            plans = [self.db.execute(explain.encode(), (word,)) for word in words]
            nodes = [self.db.execute(f"SELECT numnode({_ASKED})".encode(), (word,)) for word in words]
            size = self.db.execute("SELECT reltuples FROM pg_class WHERE oid = 'passages'::regclass")
            everything = max(1.0, next(iter(size))[0])
            expected = [int(next(iter(plan))[0][0]["Plan"]["Plan Rows"]) for plan in plans]
            told = [next(iter(node))[0] for node in nodes]
        ranked = sorted(
            (n, i, word) for i, (n, word, some) in enumerate(zip(expected, words, told, strict=True)) if some
        )
        weighted = [(n, math.log(1 + max(everything, n) / max(n, 1)), word) for n, _, word in ranked]
        chosen, total = [], 0
        for n, weight, word in weighted:
            total += n
            if total > budget:
                break
            chosen.append((weight, word))
        return (chosen, " || ") if chosen else ([(weight, word) for _, weight, word in weighted[:2]], " && ")

    def frequency(self, term: str, filters: Filters, most: int = 1000) -> int:
        """How many passages that the filters leave have a term, counted up to `most`."""
        where, values = where_of(filters)
        rows = self.rows(
            "SELECT count(*) FROM (SELECT 1 FROM passages p JOIN documents d ON d.key = p.document"
            f" WHERE p.words @@ {_ASKED} AND {where} LIMIT %s) found",
            (term, *values, most),
        )
        return int(next(iter(rows))[0])


def where_of(filters: Filters) -> tuple[str, list[Any]]:
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
    if filters.languages:  # `en` is `en-GB` too
        parts.append(
            "EXISTS (SELECT 1 FROM unnest(%s::text[]) a"
            " WHERE lower(d.language) = a OR starts_with(lower(d.language), a || '-'))"
        )
        values.append([language.lower() for language in filters.languages])
    if filters.authors:
        parts.append(
            "EXISTS (SELECT 1 FROM unnest(%s::text[]) a WHERE strpos('; ' || d.author || '; ', '; ' || a || '; ') > 0)"
        )
        values.append(list(filters.authors))
    if filters.groups is not None:
        parts.append("(d.groups = '[]'::jsonb OR jsonb_exists_any(d.groups, %s))")
        values.append(list(filters.groups))
    return " AND ".join(parts), values
