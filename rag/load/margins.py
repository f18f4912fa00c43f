"""Which lines of a paged document are its running heads and feet: they repeat, or they count the pages."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Sequence

from rag.load.glyphs import Glyphs, Line

_MARGIN = 0.13  # of the page's height, above and below
_REPEATS = 3  # pages
_SNAP = 4.0  # points: heads of left and right pages stand equally high
_NUMBER = re.compile(r"\d{1,5}|\b[ivxlc]{1,7}\b")
_ROMAN = {"i": 1, "v": 5, "x": 10, "l": 50, "c": 100}


def running(pages: Sequence[Glyphs | None], body: float) -> tuple[list[set[int]], dict[int, str]]:
    """For every page the positions of the lines that belong to its margins; and the page numbers printed there.

    `body` is the usual font size: what is set larger is no running head.
    """
    seen: defaultdict[tuple[object, ...], list[tuple[int, int, str]]] = defaultdict(list)
    for number, page in enumerate(pages):
        for at, line in enumerate(page.lines if page else ()):
            if page and line.size <= 1.1 * body and _in_margin(page, line):
                height = round(line.base / _SNAP)
                words = " ".join(line.text.split())
                seen[(height, words)].append((number, at, ""))
                found = _NUMBER.findall(words)
                for printed in {found[0], found[-1]} if found else ():
                    if words.startswith(printed) or words.endswith(printed) or len(found) == 1:
                        seen[(height, None, _value(printed) - number)].append((number, at, printed))
    lines: list[set[int]] = [set() for _ in pages]
    printed_numbers: dict[int, str] = {}
    by_offset: Counter[tuple[object, ...]] = Counter()
    for key, places in seen.items():
        if len({number for number, _, _ in places}) >= min(_REPEATS, max(2, len(pages))):
            for number, at, printed in places:
                lines[number].add(at)
                if printed:
                    by_offset[key] += 1
    for key, _ in by_offset.most_common():
        for number, _, printed in seen[key]:
            printed_numbers.setdefault(number, printed)
    return lines, printed_numbers


def _in_margin(page: Glyphs, line: Line) -> bool:
    _, low, _, high = page.box
    edge = _MARGIN * (high - low)
    return line.base > high - edge or line.base < low + edge


def _value(printed: str) -> int:
    if printed.isdigit():
        return int(printed)
    values = [_ROMAN[letter] for letter in printed]
    return sum(-a if a < b else a for a, b in zip(values, [*values[1:], 0], strict=True))
