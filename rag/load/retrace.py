"""Where a range stands on a page of a document that OCR read: that page alone is read again, not the whole file.

The letters and digits of the page's lines are followed along the canonical text of the page, line by line and in order;
lines that are not in it are running heads. When anything is left over, nothing is marked.
"""

from __future__ import annotations

from collections.abc import Iterator

from rag.load.glyphs import glyphs
from rag.load.numbering import BULLET
from rag.load.paper import Box, character_boxes, merged, opened
from rag.load.tesseract import Recognised, recognise


def boxes(data: bytes, index: int, text: str, start: int, end: int, languages: str) -> list[Box]:
    """Boxes of `text[start:end]` as the page `index` (from 0) is shown, `text` being all that it gave."""
    with opened(data, "this file") as source:
        page = glyphs(source, index) if 0 <= index < len(source) else None
        read = recognise(source, index, languages) if page and page.scanned else None
    lines = read.lines if read else page.lines if page else []
    wanted: list[int] = []
    places = [place for place, character in enumerate(text) if character.isalnum()]
    letters = "".join(text[place] for place in places)
    done = 0
    for line in lines:
        bullet = BULLET.match(line.text)
        for begin in (0, bullet.end() if bullet else 0):  # the sign of a page's first item is not of the page
            own = [at for at in range(begin, len(line.text)) if line.text[at].isalnum()]
            if own and letters.startswith("".join(line.text[at] for at in own), done):
                there = range(done, done + len(own))
                wanted += [line.at[at] for at, n in zip(own, there, strict=True) if start <= places[n] < end]
                done += len(own)
                break
    if done < len(letters):
        return []
    return merged(_shown(read, wanted)) if read else character_boxes(data, index, wanted)


def _shown(read: Recognised, words: list[int]) -> Iterator[Box]:
    for word in dict.fromkeys(words):
        x0, y0, x1, y1 = read.words[word]
        yield x0, read.size[1] - y1, x1, read.size[1] - y0
