"""The words of a text: terms for a search, and stems to compare what two texts speak of."""

from __future__ import annotations

import re

STOP = frozenset(
    "a about am an and any are as at be been being but by can could did do does doing for from had has have having he"
    " her hers him his how i if in into is it its just may me might must my no nor not of on or our ours shall she"
    " should so some such than that the their theirs them then there these they this those to too us was we were what"
    " when where which while who whom whose why will with would you your yours".split()
)
_TERM = re.compile(r"\w+")
WORD = re.compile(r"[^\W_]+(?:[.,:'’-][^\W_]+)*")  # keeps 1,250.00, 07:15 and o'clock whole


def terms(question: str) -> list[str]:
    """The question's words in lower case, without stop words unless it has no others; each once."""
    words = list(dict.fromkeys(_TERM.findall(question.lower())))
    return [w for w in words if w not in STOP] or words


def content(text: str) -> frozenset[str]:
    """The stems of a text's words, stop words left out."""
    return frozenset(stem(w) for w in map(str.lower, WORD.findall(text)) if w not in STOP)


def coverage(asked: frozenset[str], found: frozenset[str]) -> float:
    """The share of the asked stems that are found, 0 to 1."""
    return len(asked & found) / len(asked) if asked else 0.0


def stem(word: str) -> str:
    """A word without the commonest endings of English."""
    for suffix in ("ations", "ation", "ings", "ing", "ies", "ed", "es", "s"):
        if word.endswith(suffix) and len(word) - len(suffix) >= 3:
            return word[: -len(suffix)] + ("y" if suffix == "ies" else "")
    return word
