"""Questions as hurried people type them: one error in each content word."""

from __future__ import annotations

import random
import re

from rag.terms import STOP

_WORD = re.compile(r"[^\W\d_]{4,}")
_LETTERS = "abcdefghijklmnopqrstuvwxyz"


def with_typos(question: str, seed: int) -> str:
    """One edit (a letter lost, doubled, wrong, or two swapped) in every word of four letters or more that counts.

    The same question and seed give the same errors.
    """
    rng = random.Random(f"{seed}/{question}")

    def mistyped(match: re.Match[str]) -> str:
        word = match.group()
        if word.lower() in STOP:
            return word
        i = rng.randrange(len(word) - 1)
        return rng.choice(
            (
                word[:i] + word[i + 1 :],
                word[:i] + word[i] + word[i:],
                word[:i] + rng.choice(_LETTERS) + word[i + 1 :],
                word[:i] + word[i + 1] + word[i] + word[i + 2 :],
            )
        )

    return _WORD.sub(mistyped, question)
