"""A question that carries a claim: what it takes for granted, set against what is quoted."""

from __future__ import annotations

import re

from rag.facts import differing, facts, stated

# A question to which the answer is yes or no, or a statement that asks to be confirmed.
_FORM = re.compile(
    r"""^\W*(?:(?:so|and|but|or|then|well|ok|okay|hi|hello|please|just|checking)\b\W*)*
        (?:is|isn['’]t|are|aren['’]t|was|were|do|don['’]t|does|doesn['’]t|did|can|can['’]t|could|may|must|will|would|should
        |shall|has|have|am)\b
    | [,;:–]\s*(?:right|correct|true|yes|no|is\ it|isn['’]t\ it|are\ they|aren['’]t\ they|do\ i|do\ we)\s*\?*\s*$""",
    re.X | re.I,
)


def claim(question: str, quote: str, start: int, end: int) -> tuple[str, str] | None:
    """What a yes/no question says and what the quote says instead, in their own words ("20 days", "26 days").

    `start:end` is the short answer in the quote. None when the question asks for a value, when nothing in it is of the
    kind that the quote states, and when one of the values of the quote agrees.
    """
    if not _FORM.search(question):
        return None
    asked = facts(question)
    pair = differing(asked, stated(quote, start, end))
    return (pair[0].text, pair[1].text) if pair and differing(asked, facts(quote)) else None
