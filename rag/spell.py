"""Typing errors: a word that nobody knows becomes the word of the documents that is one edit away, if there is one."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

SHORTEST, LONGEST = 4, 24  # letters; shorter words have too many neighbours, longer ones are no words
MOST = 8  # unknown words that are looked at; a question with more is no typing error
_LETTERS = "abcdefghijklmnopqrstuvwxyz"
_WORD = re.compile(r"[^\W\d_]+")


def corrected(question: str, known: Callable[[str], bool], found: Callable[[str], int]) -> str:
    """The question with its unknown words corrected.

    `known(word)`: true for a word that is right as it is. `found(word)`: how often the documents have it. Of several
    neighbours the most frequent is taken. Words come in lower case; the question keeps its own. A capital inside the
    question begins a name, and another name would make it another question: it stays.
    """

    looked = 0

    def mended(match: re.Match[str]) -> str:
        nonlocal looked
        word = match.group()
        low = word.lower()
        named = word[0].isupper() and not word.isupper() and bool(question[: match.start()].strip())
        if not SHORTEST <= len(word) <= LONGEST or named or looked == MOST or known(low) or found(low):
            return word
        looked += 1
        best = max(((found(near), near) for near in sorted(set(neighbours(low)))), default=(0, ""))
        if not best[0]:
            return word
        return best[1].upper() if word.isupper() else best[1].capitalize() if word[0].isupper() else best[1]

    return _WORD.sub(mended, question)


def neighbours(word: str) -> Iterator[str]:
    """The words that one typing error may have come from: a letter too many, too few, wrong, or two swapped."""
    for i in range(len(word) + 1):
        head, tail = word[:i], word[i:]
        if tail:
            yield head + tail[1:]
        if len(tail) > 1:
            yield head + tail[1] + tail[0] + tail[2:]
        for letter in _LETTERS:
            yield head + letter + tail
            if tail:
                yield head + letter + tail[1:]
