"""A question as it was meant: "Where is the pool no wait I mean the gym?" asks for the gym.

Spoken questions carry false starts, and the words that were taken back mislead the search. What stands before the last
sign of a repair is dropped, as far as what follows replaces it. A question without such a sign stays as it is.
"""

from __future__ import annotations

import re

from rag.terms import STOP

_ASKING = r"(?:what(?:['’]s)?|which|who(?:se|m)?|when|where|why|how)"
_SOFT = r"(?:oh|well|or|so|but|and|wait|no|nope|not that|actually|instead|rather|uh+|u+m+|erm?|h+m+|ah)"
_HARD = (
    r"(?:i mean(?:t)?(?: to (?:say|ask))?|no no|no wait|wait no|(?:no|oh|or|so|er|uh|um|wait),? (?:i['’]m )?sorry"
    r"|(?<=,\s)sorry|oops|scratch (?:that|this)"
    r"|(?:no|or|wait|actually),? make that|(?:or|no) rather(?! not)|or no|oh no|no actually|no not(?: that)?"
    r"|oh not that|let me rephrase|better yet|i should say"
    rf"|(?:no|(?<=[,.…;:–—-]\s)(?:actually|rather|instead|wait)|uh+|u+m+|er)(?=[\s,]+{_ASKING}\s+\w+\s+\w))"
)
_GAP = r"[\s,.…;:–—-]+"
_REPAIR = re.compile(
    rf"(?<![^\s,.…;–—-])(?:{_SOFT}{_GAP})*{_HARD}(?:{_GAP}(?:{_SOFT}|{_HARD})(?=\W|$))*(?:{_GAP}|$)", re.I
)
_NAMES = re.compile(r"(?<=\w)[\s,]+no,?\s+(?=(?:the\s+)?[A-Z])")  # "Warsaw no Berlin"; "no" elsewhere is a word
_FILLER = re.compile(r"(?<![^\s,])(?:[Uu]h+|[Uu]+m+|[Ee]rm?|[Hh]+m+)\b[,.…]*\s*")  # capitals are an acronym
_ASKS = re.compile(rf"^(?:(?:in|on|at|of|for|from|to|by|with|along|about)\s+)?{_ASKING}\b", re.I)
_ASKS_YES = re.compile(r"^(?:is|are|was|were|do|does|did|can|could|will|would|should|may|must|has|have)\b", re.I)
_PRONOUN = re.compile(r"\b(?:it|its|they|them|their|he|him|his|she|her|one|ones)\b", re.I)
_BACK = 8  # words that a repair can reach back
_KINDS = {
    **dict.fromkeys("the a an this that these those his her its their our my your".split(), "article"),
    **dict.fromkeys("in on at of for from to by with during after before".split(), "preposition"),
}


def fluent(question: str) -> str:
    """The question without what was taken back and without fillers.

    A second question that speaks of the first one's subject as "it" leaves both as they are.
    """
    found = [m for m in _REPAIR.finditer(question) if question[m.end() :].strip(" ?.!")] or [
        m for m in _NAMES.finditer(question) if question[: m.start()].split()[-1][0].isupper() and m.start() > 8
    ]
    if not found:
        return _tidy(_FILLER.sub("", question), question)
    before = _FILLER.sub("", question[: found[-1].start()])
    after = _FILLER.sub("", question[found[-1].end() :])
    if not after.strip(" ,.?!"):
        return _tidy(before, question)
    whole = _ASKS.match(after) or (_ASKS_YES.match(after) and not _ASKS.match(before))
    if not before.strip(" ,.") or (whole and len(after.split()) > 2):
        return question if _PRONOUN.search(after) and before.strip(" ,.") else _tidy(after, question)
    return _tidy(f"{before[: _taken_back(before, after)]} {after}", question)


def _taken_back(before: str, after: str) -> int:
    """Where in `before` the words begin that `after` replaces."""
    words = list(re.finditer(r"\S+", before))
    low = [w.group().lower().strip(",.?") for w in words]
    new = after.split()
    head = new[0].lower().strip(",.?")
    named = new[1] if head in ("the", "a", "an") and len(new) > 1 else new[0]
    start = len(words) - 1
    if named[0].isupper() and words[start].group()[0].isupper() and start:  # a name for a name, with its article
        while start > 1 and words[start - 1].group()[0].isupper():
            start -= 1
        return words[start - (low[start - 1] in ("the", "a", "an") and head in ("the", "a", "an"))].start()
    near = range(start, max(-1, start - _BACK), -1)
    again = next((i for i in near if low[i] == head), None)
    if again is None and head in _KINDS:  # "in the north, no, on the coast": begun again with a word of its kind
        again = next((i for i in near if _KINDS.get(low[i]) == _KINDS[head]), None)
    if again is not None:
        return words[again].start()
    return words[start].start() if start and low[start] not in STOP else len(before)


def _tidy(made: str, question: str) -> str:
    """One space between words, and the first letter as large as it was."""
    made = " ".join(made.split()).lstrip(" ,")
    if not made.strip(" ?.!") or made == " ".join(question.split()):
        return question
    return made[0].upper() + made[1:] if question[:1].isupper() else made
