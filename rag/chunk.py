"""Document → Units → Passages. Pure: the caller gives the function that counts tokens.

A unit is what may be quoted: a sentence, heading, list item, table row or code line. A passage is a run of whole
units of about 120 to 160 tokens. No character of a block is lost: units cover every non-space character of it.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import PurePosixPath

import regex

from rag.types import Block, Document, Passage, Unit

MAX_UNIT = 160  # tokens; a longer unit is cut
MAX_PASSAGE = 160  # tokens of all units together
MIN_SECTION = 60  # tokens; a smaller passage runs on over a heading
OVERLAP = 32  # tokens of whole units that a passage repeats from the one before

Count = Callable[[Sequence[str]], Sequence[int]]

# A sentence ends at . ! ? … (or a CJK full stop), closing quotes or brackets included, before white space and
# anything that does not go on in lower case. Abbreviations and initials do not end one.
_END = regex.compile(r"(?:(?<![.!?…])[.!?…]++[\"'”’»)\]]*+(?=\s+[^\s\p{Ll}])|[。！？｡]+[」』”’）]*)")
_ABBREVIATION = regex.compile(
    r"(?:\b(?:mr|mrs|ms|dr|prof|sr|jr|st|vs|etc|cf|approx|ext|dept|inc|ltd|co|corp|gen|capt|col|sgt|rev|hon"
    r"|jan|feb|mar|apr|jun|jul|aug|sep|sept|oct|nov|dec|vol|pp|ed|eds|al)|\b[\p{L}](?:\.[\p{L}])*)\.$",
    regex.IGNORECASE,
)
_NUMBERED = regex.compile(r"\b(?:nos?|fig|art|sec|ch)\.$", regex.IGNORECASE)  # "No. 5", but "He said no. Five left."
_CLAUSE = regex.compile(r"(?<=[;:,—–)])\s+|\n+")
_WORD = regex.compile(r"\s+")
_PLACE = regex.compile(r"row \d+")  # where a row of a sheet stands, which is not what it is about
_GRAPHEME = regex.compile(r"\X")


def sentences(text: str, start: int = 0, end: int | None = None) -> Iterator[tuple[int, int]]:
    """The ranges of the sentences of `text[start:end]`, without the white space between them."""
    end = len(text) if end is None else end
    begin = start
    for match in _END.finditer(text, start, end):
        near = max(begin, match.end() - 12), match.end()
        if match.group() == "." and _ABBREVIATION.search(text, *near):
            continue
        if (
            match.group() == "."
            and _NUMBERED.search(text, *near)
            and text[match.end() : match.end() + 8].lstrip()[:1].isdigit()
        ):
            continue
        yield from _trimmed(text, begin, match.end())
        begin = match.end()
    yield from _trimmed(text, begin, end)


def units(document: Document, count: Count) -> Iterator[tuple[Unit, int]]:
    """Every unit of the document in reading order, with its tokens. A document without blocks is one paragraph."""
    blocks: Iterable[Block] = document.blocks or (Block("paragraph", 0, len(document.text)),)
    whole = (unit for block in blocks for unit in _block_units(document.text, block))
    while batch := list(itertools.islice(whole, 256)):
        for unit, tokens in zip(batch, count([document.text[u.start : u.end] for u in batch]), strict=True):
            if tokens <= MAX_UNIT:
                yield unit, tokens
            else:
                yield from _cut(document.text, unit, count)


def chunk(document: Document, count: Count) -> Iterator[Passage]:
    """The passages of the document, in order; together they hold every unit."""
    run: list[tuple[Unit, int]] = []
    fresh = 0  # units of the run that no earlier passage holds
    for unit, tokens in units(document, count):
        total = sum(t for _, t in run)
        starts_section = unit.kind == "heading" and fresh and total >= MIN_SECTION and run[-1][0].kind != "heading"
        if starts_section or (fresh and total + tokens > MAX_PASSAGE):
            held = _trailing_headings(run, fresh)
            done = run[: len(run) - len(held)]
            yield _passage(document, done)
            run = [*([] if starts_section else _tail(done, tokens + sum(t for _, t in held))), *held]
            fresh = len(held)
        run.append((unit, tokens))
        fresh += 1
    if fresh:
        yield _passage(document, run)


def _trimmed(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    piece = text[start:end]
    inner = piece.strip()
    if inner:
        begin = start + len(piece) - len(piece.lstrip())
        yield begin, begin + len(inner)


def _block_units(text: str, block: Block) -> Iterator[Unit]:
    split = sentences if block.kind in ("paragraph", "item") else _trimmed
    for start, end in split(text, block.start, block.end):
        yield Unit(start, end, block.kind)


def _cut(text: str, unit: Unit, count: Count) -> Iterator[tuple[Unit, int]]:
    """A unit of too many tokens in pieces: at clauses, a clause at words, a word at graphemes."""
    start = end = unit.start
    tokens = 0
    for piece_start, piece_end, size in _pieces(text, unit.start, unit.end, (_CLAUSE, _WORD), count):
        if tokens and tokens + size > MAX_UNIT:
            yield Unit(start, end, unit.kind, partial=True), tokens
            start, tokens = piece_start, 0
        end = piece_end
        tokens += size
    yield Unit(start, end, unit.kind, partial=True), tokens


def _pieces(
    text: str, start: int, end: int, cuts: Sequence[regex.Pattern[str]], count: Count
) -> Iterator[tuple[int, int, int]]:
    """Ranges of `text[start:end]` of at most MAX_UNIT tokens each, with their tokens."""
    if not cuts:  # one endless word: at graphemes, and no grapheme is more than one token of the models we know
        graphemes = _GRAPHEME.finditer(text, start, end)
        while run := list(itertools.islice(graphemes, MAX_UNIT)):
            yield run[0].start(), run[-1].end(), len(run)
        return
    bounds = itertools.chain(cuts[0].finditer(text, start, end), [None])
    begin = start
    while batch := list(itertools.islice(bounds, 256)):
        ranges = []
        for gap in batch:
            stop = end if gap is None else gap.start()
            if stop > begin:
                ranges.append((begin, stop))
            begin = end if gap is None else gap.end()
        for (piece_start, piece_end), size in zip(ranges, count([text[a:b] for a, b in ranges]), strict=True):
            if size <= MAX_UNIT and piece_end - piece_start <= MAX_UNIT * 64:
                yield piece_start, piece_end, size
            else:
                yield from _pieces(text, piece_start, piece_end, cuts[1:], count)


def _trailing_headings(run: list[tuple[Unit, int]], fresh: int) -> list[tuple[Unit, int]]:
    """The headings at the end of the run: they belong to what follows, unless the run is nothing else."""
    held = list(itertools.takewhile(lambda pair: pair[0].kind == "heading", reversed(run[-fresh:])))[::-1]
    return held if len(held) < fresh else []


def _tail(run: list[tuple[Unit, int]], room_for: int) -> list[tuple[Unit, int]]:
    """The last whole units that fit into the overlap and leave room for what comes next."""
    room = min(OVERLAP, MAX_PASSAGE - room_for)
    tail: list[tuple[Unit, int]] = []
    for unit, tokens in reversed(run[1:]):
        if tokens > room:
            break
        room -= tokens
        tail.insert(0, (unit, tokens))
    return tail


def _passage(document: Document, run: Sequence[tuple[Unit, int]]) -> Passage:
    first, last = run[0][0], run[-1][0]
    named_by_file = document.title in (PurePosixPath(document.id).name, PurePosixPath(document.id).stem)
    headings = [h for h in document.section_at(first.start) if not _PLACE.fullmatch(h)]
    words = ([] if named_by_file or document.title in headings else [document.title]) + headings
    return Passage(document.id, first.start, last.end, tuple(u for u, _ in run), " › ".join(w for w in words if w))
