"""What a file says of itself beside title and date: its author and its language. What says nothing is None."""

from __future__ import annotations

import re
from collections.abc import Sequence

_LONGEST = 200  # characters of all authors
_NOBODY = frozenset(
    "admin administrator anonymous author guest n/a none owner python-docx root unknown untitled user username".split()
) | {"microsoft office user", "windows user", "apache poi", "openpyxl", "unknown author", "office user"}
_TAG = re.compile(r"([A-Za-z]{2,3})((?:-[A-Za-z0-9]{1,8})*)")
_NO_LANGUAGE = frozenset(("mis", "mul", "und", "zxx"))  # ISO 639: uncoded, several, undetermined, none
_CONTROL = re.compile("[\\x00-\\x1f\\x7f-\\x9f\\u2028\\u2029\\ud800-\\udfff]")


def author_of(given: str | Sequence[str] | None) -> str | None:
    """The authors in one line, parted by `; `. What programs fill in for want of a name is no author, nor is anything
    but text."""
    every = [given] if isinstance(given, str) else given if isinstance(given, Sequence) else ()
    names = [name for name in every if isinstance(name, str)]
    clean = (" ".join(_CONTROL.sub(" ", name).split()).strip(";, ") for name in names)
    found = "; ".join(dict.fromkeys(name for name in clean if name and name.casefold() not in _NOBODY))
    return found if 0 < len(found) <= _LONGEST else None


def language_of(given: str | None) -> str | None:
    """A language as BCP 47 writes it: `en`, `pt-BR`, `zh-Hant-TW`; None for anything else."""
    found = _TAG.fullmatch((given or "").strip().replace("_", "-"))
    if not found or found[1].lower() in _NO_LANGUAGE:
        return None
    rest = (_CASE.get(len(part), str.lower)(part) for part in found[2].split("-")[1:])
    return "-".join((found[1].lower(), *rest))


_CASE = {2: str.upper, 4: str.title}  # a region, a script
