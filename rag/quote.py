"""Short answers → quotes: the shortest run of whole units that carries them."""

from __future__ import annotations

from collections.abc import Sequence

from rag.types import Excerpt, Span, Unit


def quote_run(units: Sequence[Unit], start: int, end: int) -> tuple[Unit, ...]:
    """The shortest run of whole units that carries `start:end`; a heading alone takes the next unit with it."""
    touched = [i for i, u in enumerate(units) if u.start < max(end, start + 1) and start < u.end]
    if not touched:
        return ()
    first, last = touched[0], touched[-1]
    while last + 1 < len(units) and all(u.kind == "heading" for u in units[first : last + 1]):
        last += 1
    return tuple(units[first : last + 1])


def spans_in(excerpt: Excerpt, spans: Sequence[Span]) -> tuple[Span, ...]:
    """Whole-unit quotes for short answers, best first, each once."""
    runs = ((quote_run(excerpt.units, s.start, s.end), s.score) for s in spans)
    quotes = {(run[0].start, run[-1].end): score for run, score in reversed([r for r in runs if r[0]])}
    return tuple(sorted((Span(*at, score) for at, score in quotes.items()), key=lambda s: (-s.score, s.start)))
