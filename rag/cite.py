"""Candidates → Citations: the quote is cut from the document, and everything that locates it is written beside it."""

from __future__ import annotations

from rag.decide import Candidate
from rag.types import QUOTE_CONTEXT, Citation, Document, ShortAnswer


def cite(document: Document, candidate: Candidate, n: int) -> Citation:
    """The citation number `n` of a candidate, from the document it was found in."""
    text, (start, end) = document.text, (candidate.start, candidate.end)
    first, last = candidate.answer
    before = utf16(text[:start])
    return Citation(
        n=n,
        document_id=document.id,
        title=document.title,
        source=document.source,
        collection=document.collection,
        date=document.date,
        revision=document.revision,
        start=start,
        end=end,
        quote=text[start:end],
        partial=candidate.partial,
        answer=ShortAnswer(first, last, text[first:last]),
        prefix=text[max(0, start - QUOTE_CONTEXT) : start],
        suffix=text[end : end + QUOTE_CONTEXT],
        utf16={"start": before, "end": before + utf16(text[start:end])},
        pages=document.pages_of(start, end),
        section=document.section_at(start),
        score=round(candidate.probability, 4),
        author=document.author,
    )


def utf16(text: str) -> int:
    """The length of a text in UTF-16 code units, which is how browsers count."""
    return len(text.encode("utf-16-le")) // 2
