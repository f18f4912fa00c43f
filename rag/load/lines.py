"""Printed lines → paragraphs, items, rows and headings, by where they stand, how large and how bold they are."""

from __future__ import annotations

import itertools
import re
from array import array
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from rag.load.cells import Row, tables
from rag.load.glyphs import Glyphs, Line
from rag.load.numbering import BULLET, marker_of
from rag.types import BlockKind

PAGE = 32  # bits for the position within a page
_HEADING = 1.12  # of the body's size
_LONGEST_HEADING = 200  # characters
_SEVERAL = 3
_ROOM = 0.1  # of a line's length: what may stay empty at its end, since the next word is longer
_ENDS = re.compile(r"[.!?…:;。！？][\"'”’»)\]]*$")
_LEADERS = re.compile(r"(?:\. ?){5}")  # an entry of a table of contents
_WORD = re.compile(r"[^\W\d_]+(?:-[^\W\d_]+)*")
_FIRST_WORD = re.compile(r"[^\W\d_]+")
_LAST_WORD = re.compile(r"([^\W\d_]+)-$")


class Placed(NamedTuple):
    """A cell of a row; `at` as in Part."""

    left: float
    words: str
    at: array[int]


@dataclass(slots=True, eq=False)
class Part:
    """A block in the making. `at` holds for every code point `page << 32 | position`, or -1 for one that was added."""

    kind: BlockKind
    words: str = ""
    at: array[int] = field(default_factory=lambda: array("q"))
    marker: str = ""
    size: float = 0.0
    bold: bool = True
    level: int = 0
    page: int = 0
    left: float = 0.0
    right: float = 0.0  # of the longest line
    lines: int = 0
    last: Line | None = None
    table: object = None  # what the rows of one table share
    repeated: bool = False  # the head of a table that is printed again
    cells: list[Placed] = field(default_factory=list)

    def set_row(self, cells: list[Placed]) -> None:
        """Make a row of cells."""
        self.cells, self.at = cells, array("q")
        self.words = " | ".join(words for _, words, _ in cells)
        for number, (_, _, at) in enumerate(cells):
            self.at.extend([-1] * 3 if number else [])
            self.at.extend(at)


# ── lines → blocks ───────────────────────────────────────────────────────────────────────────────────────────────────


def blocks_of(number: int, lines: Sequence[Line]) -> Iterator[Part]:
    """The blocks of page `number` (from 0), in the order of its lines."""
    steps = sorted(round(a.base - b.base, 1) for a, b in itertools.pairwise(lines) if 0 < a.base - b.base < 3 * a.size)
    step = steps[len(steps) // 4] if steps else 0.0
    right = max((line.box[2] for line in lines), default=0.0)
    printed = () if lines and lines[0].paragraph else tables(lines)
    found = {first: (end, rows) for first, end, rows in printed}
    part: Part | None = None
    at = 0
    while at < len(lines):
        line = lines[at]
        if at in found:
            if part:
                yield part
                part = None
            at, rows = found[at]
            table = object()
            yield from (_row(number, row, table) for row in rows)
            continue
        if part is None or _begins(part, line, step, right):
            if part:
                yield part
            part = _begin(number, line)
        else:
            _append(part, number, line)
        at += 1
    if part:
        yield part


def _place(number: int, at: array[int]) -> array[int]:
    return array("q", [-1 if position < 0 else number << PAGE | position for position in at])


def _row(number: int, row: Row, table: object) -> Part:
    part = Part("row", size=row.last.size, bold=row.bold, page=number, last=row.last, table=table)
    part.set_row([Placed(cell.left, cell.text, _place(number, cell.at)) for cell in row.cells])
    return part


def _begin(number: int, line: Line) -> Part:
    found = BULLET.match(line.text)
    cut = found.end() if found else 0
    return Part(
        "item" if found else "paragraph",
        line.text[cut:],
        _place(number, line.at[cut:]),
        marker=marker_of(line.text[:cut]),
        size=line.size,
        bold=line.bold,
        page=number,
        left=line.box[0],
        right=line.box[2],
        lines=1,
        last=line,
    )


def _append(part: Part, number: int, line: Line) -> None:
    part.words += "\n" + line.text  # line ends are resolved when all words are known
    part.at.append(-1)
    part.at.extend(_place(number, line.at))
    part.bold = part.bold and line.bold
    part.right = max(part.right, line.box[2])
    part.lines += 1
    part.last = line


def _begins(part: Part, line: Line, step: float, right: float) -> bool:
    """Whether a line begins a new block."""
    last = part.last
    assert last
    if line.paragraph:
        other = line.paragraph != last.paragraph or abs(line.size - last.size) > 0.2 * last.size
        return other or bool(BULLET.match(line.text) and _ENDS.search(last.text))
    hanging = part.kind == "item" and line.box[0] > part.left + 0.3 * line.size
    lighter = part.bold and not line.bold and part.lines < 3 and not hanging
    if abs(line.size - last.size) > 0.12 * last.size or lighter:
        return True
    if line.bold and not part.bold and not last.bold and _ENDS.search(last.text):
        return True
    down = last.base - line.base
    ended = _ENDS.search(last.text)
    if (down > max(1.45 * step, 0.8 * line.size) and down > 1.2 * line.size) or (
        BULLET.match(line.text) and (ended or part.kind == "item" or not line.text[0].isdigit())
    ):
        return True
    if down < -0.5 * line.size:  # the next column, or something else
        return bool(ended) or line.box[0] < last.box[2]
    if part.kind == "item":
        return line.box[0] < part.left - 0.3 * line.size
    indented = line.box[0] > last.box[0] + 0.8 * line.size and part.lines > 1
    short = last.box[2] < right - 0.2 * (right - last.box[0])
    return bool(ended and (indented or short)) or abs(line.box[0] - last.box[0]) > 6 * line.size


def goes_on(before: Part, part: Part) -> bool:
    """Whether a block continues the last one of the page before: a sentence runs over the page's end."""
    return (
        part.page == before.page + 1
        and part.kind == "paragraph"
        and before.kind in ("paragraph", "item")
        and abs(part.size - before.size) < 0.5
        and part.bold == before.bold
        and not _ENDS.search(before.words)
        and (part.words[:1].islower() or before.words.endswith("-") or _cut(before, part))
    )


def _cut(before: Part, part: Part) -> bool:
    """Whether the last of several lines reaches so far to the right that the next word would not fit, and what follows
    is prose: neither a running head nor an entry of a table of contents."""
    assert before.last
    full = before.lines > 1 and before.last.box[2] > before.right - _ROOM * (before.right - before.left)
    return full and bool(part.lines > 1 or _ENDS.search(part.words)) and not _LEADERS.search(part.words)


def join(before: Part, part: Part) -> None:
    """Append a block to the one that it continues."""
    before.words += "\n" + part.words
    before.at.append(-1)
    before.at.extend(part.at)
    before.page, before.last, before.lines = part.page, part.last, before.lines + part.lines
    before.left, before.right = min(before.left, part.left), max(before.right, part.right)


# ── line ends ────────────────────────────────────────────────────────────────────────────────────────────────────────


def words_of(pages: Sequence[Glyphs | None]) -> Counter[str]:
    """How often each word stands on the pages, those cut at line ends not counted."""
    words: Counter[str] = Counter()
    for page in pages:
        for line in page.lines if page else ():
            text = _LAST_WORD.sub("", line.text)
            words.update(word.lower() for word in _WORD.findall(text))
    return words


def parts_words(pages: Sequence[Glyphs | None], vocabulary: Counter[str]) -> bool:
    """Whether the document parts words at line ends: not where its own words know several with their hyphens, and none
    without."""
    kept = set[str]()
    for page in pages:
        for line, after in itertools.pairwise(page.lines if page else ()):
            first, last = _FIRST_WORD.match(after.text), _LAST_WORD.search(line.text[-80:])
            if first and last:
                if vocabulary[(last[1] + first[0]).lower()]:
                    return True
                word = f"{last[1]}-{first[0]}".lower()
                kept |= {word} if vocabulary[word] else set()
    return len(kept) < _SEVERAL


def dehyphenated(part: Part, vocabulary: Counter[str], parts: bool) -> int:
    """Make running text of the block: a line end is a space, or nothing after a hyphen that only parts a word.

    How many hyphens were removed. The document's own words decide, where they know either spelling, and then whether it
    `parts` words at all.
    """
    removed = begin = 0
    words, at = "", array("q")
    for line in part.words.split("\n"):
        end = begin + len(line)
        first, last = _FIRST_WORD.match(line), _LAST_WORD.search(words[-80:])
        if first and last:
            whole, kept = (last[1] + first[0]).lower(), f"{last[1]}-{first[0]}".lower()
            same_case = first[0].islower() or (last[1].isupper() and first[0].isupper())
            if vocabulary[kept] <= vocabulary[whole] and (vocabulary[whole] or (same_case and parts)):
                words = words[:-1]
                at.pop()
                removed += 1
        elif words and (not words.endswith(("-", "–", "—", "/")) or words[-2:-1].isspace()):
            words += " "
            at.append(-1)
        words += line
        at.extend(part.at[begin:end])
        begin = end + 1
    part.words, part.at = words, at
    return removed


# ── headings ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def key(text: str) -> str:
    """What two spellings of a heading have in common: its letters and digits."""
    return re.sub(r"[\W_]+", "", text).casefold()


def mark_headings(blocks: Sequence[Part], body: float, marks: dict[tuple[int, str], int]) -> None:
    """Turn blocks into headings: those that the outline names, then those that are set larger or alone in bold."""
    sizes = sorted({round(p.size) for p in blocks if _may_head(p) and p.size > _HEADING * body}, reverse=True)[:5]
    ranks = {size: rank for rank, size in enumerate(sizes, 1)}
    named = 0
    for part in blocks:
        if _may_head(part) and (level := marks.get((part.page, key(part.marker + part.words)))):
            part.level, named = level, named + 1
    lowest = max((part.level for part in blocks), default=0)
    for part, after in zip(blocks, [*blocks[1:], None], strict=True):
        if part.level or not _may_head(part):
            continue
        if part.size > _HEADING * body:
            part.level = min(6, ranks.get(round(part.size), 5) if not named else lowest + 1)
        elif part.bold and part.lines == 1 and len(part.words) <= 80 and after and not after.bold:
            part.level = min(6, (lowest if named else len(sizes)) + 1) if not _ENDS.search(part.words) else 0
    for part in blocks:
        if part.level:
            part.kind = "heading"
            if part.marker and part.marker != "- ":
                part.words, part.at = part.marker + part.words, array("q", [-1] * len(part.marker)) + part.at
            part.marker = ""


def _may_head(part: Part) -> bool:
    return (
        part.kind in ("paragraph", "item")
        and part.lines <= 3
        and len(part.words) <= _LONGEST_HEADING
        and any(character.isalpha() for character in part.words)
        and not _LEADERS.search(part.words)
    )


def up_and_down(lines: Sequence[Line]) -> bool:
    """Whether many lines stand above the one before and not beside it, as no column does."""
    ups = sum(
        b.base > a.base + 2 * a.size and b.box[0] < a.box[2] and a.box[0] < b.box[2]
        for a, b in itertools.pairwise(lines)
    )
    return ups >= 3 and 5 * ups > len(lines)
