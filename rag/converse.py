"""A follow-up question and its history → a stand-alone question, by rules; it is shown and can be edited."""

from __future__ import annotations

import re
from collections.abc import Sequence

from rag.terms import terms
from rag.types import Turn

_ELLIPSIS = re.compile(r"^\s*(?:and|but|or|so|also|then|what about|how about|and what about|what if|same for)\b", re.I)
_POINTER = re.compile(
    r"\b(?:it|its|they|them|their|theirs|he|him|his|she|her|hers|this one|that one|those|these|the same|there"
    r"|(?:this|that)(?=\s*[?.!]|\s*$|\s+(?:is|was|apply|applies|cost|costs|take|takes|happen|happens|mean|work)))\b",
    re.I,
)


def standalone(question: str, history: Sequence[Turn]) -> str:
    """The question unchanged when it can stand alone; else with the words of the user's last question that it lacks."""
    earlier = [turn.content for turn in history if turn.role == "user" and turn.content.strip()]
    own = terms(question)
    if not earlier or not (_ELLIPSIS.search(question) or _POINTER.search(question) or len(own) < 2):
        return question
    lacking = [word for word in terms(standalone(earlier[-1], history[: _last_user(history)])) if word not in own]
    return f"{question.rstrip(' ?')} ({' '.join(lacking)})?" if lacking else question


def _last_user(history: Sequence[Turn]) -> int:
    """The position of the last turn of the user that says anything."""
    return max(i for i, turn in enumerate(history) if turn.role == "user" and turn.content.strip())
