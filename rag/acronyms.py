"""Acronyms of the documents' own: "Personal Protective Equipment (PPE)" makes either form of a question find the other.

The definitions are looked for in passages that the asker may read, at the time of the question: what a document means
by its letters is known to nobody who may not read it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence

from rag.terms import STOP

LONGEST = 6  # letters
WORDS = 40  # of a question; the rest of a longer one is not looked at
_WORD = re.compile(r"[^\W_]+(?:['’-][^\W_]+)*")
_SMALL = frozenset("a an and at by for in of on or the to with".split())  # have no letter in an acronym
_BEFORE = re.compile(r"\(([^\W\d_]{2,6})s?\)")
_AFTER = re.compile(r"\b([^\W\d_]{2,6}) \(([^()]{5,100})\)")
_END = re.compile(r"[.;:!?()\n]")
_REACH = 120  # characters of a phrase before its acronym


def expanded(
    question: str, known: Callable[[str], bool], texts: Callable[[Sequence[str]], Iterable[str]]
) -> str:  # fmt: skip
    """The question with the other form, in brackets, behind each acronym or phrase that the documents define.

    `known(word)`: true for a common word. `texts(words)`: the texts of passages that hold any of these words; both get
    lower case. An acronym that the documents use for several things stays as it is.
    """
    words = [match.group() for match in _WORD.finditer(question)][:WORDS]
    forms = {word.lower() for word in words if _may_be(word, known)}
    wanted = sorted(forms | set(map(initials, _runs(words))))
    if not wanted:
        return question
    meant: dict[str, dict[str, tuple[str, str]]] = {}  # acronym → phrase, both in lower case → both as written
    for short, phrase in (pair for text in texts(wanted) for pair in definitions(text)):
        meant.setdefault(short.lower(), {}).setdefault(_plain(phrase), (short, phrase.replace("\0", " ")))
    said = _plain(question)
    for low in wanted:
        for plain, (short, phrase) in meant.get(low, {}).items():
            has_short, has_phrase = f" {low} " in said, plain in said
            if has_short and not has_phrase and low in forms and len(meant[low]) == 1:
                question = _behind(question, [low], phrase)
            elif has_phrase and not has_short:
                question = _behind(question, plain.split(), short)
    return question


def definitions(text: str) -> Iterator[tuple[str, str]]:
    """(acronym, phrase) where a phrase stands before its acronym in brackets, or an acronym before its phrase."""
    for match in _BEFORE.finditer(text):
        if _capitals(match[1]) and (phrase := _phrase(text[max(0, match.start() - _REACH) : match.start()], match[1])):
            yield match[1], phrase
    for match in _AFTER.finditer(text):
        if _capitals(match[1]) and initials(match[2].split()) == match[1].lower():
            yield match[1], match[2]


def initials(words: Sequence[str]) -> str:
    """The first letters of words, and of the parts of hyphenated ones, small words left out; lower case."""
    parts = [part for word in words for part in word.split("-") if part and part.lower() not in _SMALL]
    return "".join(part[0] for part in parts).lower()


def _phrase(before: str, short: str) -> str:
    """The words at the end of a text whose initials are `short`, or ""."""
    tail = _END.split(before)[-1].rstrip()
    found = [m for m in _WORD.finditer(tail) if m.group().lower() not in _SMALL]
    for match in reversed(found[:-1]):
        made = initials(_WORD.findall(tail[match.start() :]))
        if made == short.lower():
            return tail[match.start() :]
        if len(made) > len(short):
            break
    return ""


def _behind(question: str, words: Sequence[str], added: str) -> str:
    form = re.compile(r"\b" + r"[^\w]+".join(map(re.escape, words)) + r"\b", re.I)
    return form.sub(lambda match: f"{match.group()} ({added})", question, count=1)


def _plain(text: str) -> str:
    return f" {' '.join(_WORD.findall(text.lower()))} "


def _capitals(word: str) -> bool:
    return word[0].isupper() and sum(map(str.isupper, word)) > 1


def _may_be(word: str, known: Callable[[str], bool]) -> bool:
    """True for capitals, and for a short word typed small that is no word."""
    return word.isalpha() and 2 <= len(word) <= LONGEST and (_capitals(word) or (word.islower() and not known(word)))


def _runs(words: Sequence[str]) -> Iterator[Sequence[str]]:
    """Runs of words that may be the phrase of an acronym: no stop word but small ones, and those not at its ends."""
    for i, first in enumerate(words):
        for j in range(i + 1, min(len(words), i + LONGEST + 3) + 1):
            run = words[i:j]
            if run[-1].lower() in STOP - _SMALL or len(initials(run)) > LONGEST:
                break
            if not {first.lower(), run[-1].lower()} & _SMALL and len(initials(run)) > 1:
                yield run
