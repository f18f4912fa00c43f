"""The numbers that a word processor prints before headings and list items, counted as it counts them."""

from __future__ import annotations

import re
from collections import defaultdict
from xml.etree.ElementTree import Element

from rag.load.zipped import attribute, child, local

_ROMAN = ((1000, "m"), (900, "cm"), (500, "d"), (400, "cd"), (100, "c"), (90, "xc"), (50, "l"), (40, "xl"), (10, "x"),
          (9, "ix"), (5, "v"), (4, "iv"), (1, "i"))  # fmt: skip
BULLET = re.compile(r"(?:[•▪▸►‣◦●○■□·–—*-]|\(?(?:\d{1,3}|[a-z]|[ivx]{1,5})[.)])[ \xa0]+(?=\S)")  # typed before an item
_PLACE = re.compile(r"%(\d)")


class Numbering:
    """Counters of every list of a document. `next` is to be called once for each item, in order."""

    def __init__(self, root: Element | None) -> None:
        parts = list(root) if root is not None else []
        levels = {
            attribute(part, "abstractNumId") or "": {
                int(attribute(level, "ilvl") or 0): level for level in part if local(level) == "lvl"
            }
            for part in parts
            if local(part) == "abstractNum"
        }
        self._abstract = {
            attribute(part, "numId") or "": attribute(child(part, "abstractNumId"), "val") or ""
            for part in parts
            if local(part) == "num"
        }
        self._levels = levels
        self._starts = {
            (attribute(part, "numId") or "", int(attribute(over, "ilvl") or 0))
            for part in parts
            for over in part
            if local(over) == "lvlOverride" and child(over, "startOverride") is not None
        }
        self._counts: defaultdict[str, dict[int, int]] = defaultdict(dict)

    def next(self, name: str, depth: int) -> tuple[int, str] | None:
        """Depth and number of the next item of list `name`; number "" for a bullet, None outside of any list."""
        abstract = self._abstract.get(name)
        level = self._levels.get(abstract or "", {}).get(depth)
        if abstract is None or name == "0":
            return None
        if level is None or attribute(child(level, "numFmt"), "val") in ("bullet", "none"):
            return depth, ""
        counts = self._counts[abstract]
        if (name, depth) in self._starts:  # a list that begins anew
            self._starts.discard((name, depth))
            counts.pop(depth, None)
        start = attribute(child(level, "start"), "val") or "1"
        counts[depth] = counts[depth] + 1 if depth in counts else int(start) if start.isdigit() else 1
        for deeper in [d for d in counts if d > depth]:
            del counts[deeper]
        pattern = attribute(child(level, "lvlText"), "val") or f"%{depth + 1}."
        return depth, _PLACE.sub(lambda found: self._figure(abstract, int(found[1]) - 1), pattern)

    def _figure(self, abstract: str, depth: int) -> str:
        style = attribute(child(self._levels[abstract].get(depth), "numFmt"), "val") or "decimal"
        return figure(self._counts[abstract].get(depth, 1), style)


def marker_of(printed: str) -> str:
    """What an item begins with in canonical text: its number as printed, or a dash for any other sign."""
    return printed.replace("\xa0", " ") if not printed or any(map(str.isalnum, printed)) else "- "


def figure(count: int, style: str) -> str:
    """A number as a list prints it: `lowerLetter`, `upperRoman` …; any other style is decimal."""
    if style.endswith("Letter") and count > 0:
        words = chr(ord("a") + (count - 1) % 26) * ((count - 1) // 26 + 1)
    elif style.endswith("Roman") and 0 < count < 4000:
        words, rest = "", count
        for value, letters in _ROMAN:
            words += letters * (rest // value)
            rest %= value
    else:
        return str(count)
    return words.upper() if style.startswith("upper") else words
