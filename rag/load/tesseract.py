"""Pictures of pages → lines of words, by Debian's `tesseract` program. Nothing of it is installed with Pullquote.

A page is rendered here, in the process that parses, sent to the program, and its table of words (TSV) comes back: one
page at a time, one thread, within bounds of time and size. Positions are points from the bottom left of the page as it
is shown; the `at` of a character is the number of its word on the page.
"""

from __future__ import annotations

import csv
import io
import itertools
import math
import os
import re
import statistics
import subprocess
from array import array
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import dataclass

import pypdfium2 as pdfium

from rag.load.glyphs import Line
from rag.load.paper import Box

SECONDS = 60  # of one processor, a page
_WAIT = 100  # seconds by the clock: less than a worker may be silent
_DOTS = 300 / 72  # pixels a point: what tesseract is made for
_PIXELS = 16_000_000  # of a picture: a large sheet is read more coarsely
_SURE = 30  # of 100: a line without any word above is mostly a smudge, or a piece of a picture
_LARGE = 1.2  # of the page's usual line: what is set larger; less is how letters differ
_UP, _DOWN = re.compile(r"[^acegm-suv-z.,:;_~-]"), re.compile(r"[gjpqyQ,;()\[\]{}/|]")
_EM = {(True, True): 0.93, (True, False): 0.72, (False, True): 0.72, (False, False): 0.52}  # what a word's height is of


@dataclass(frozen=True, slots=True)
class Recognised:
    """The lines of one page in reading order, the box of each word, the mean confidence (0 to 100) of the words, and
    the characters of lines left out because the program is unsure of every word."""

    lines: list[Line]
    words: list[Box]
    confidence: float
    unsure: int
    size: tuple[float, float]


@dataclass(frozen=True, slots=True)
class _Word:
    """A row of the table. `line` is its block, paragraph and line."""

    text: str
    box: Box
    line: tuple[int, int, int]
    confidence: float


def recognise(document: pdfium.PdfDocument, index: int, languages: str) -> Recognised | None:
    """One page; without lines when the program sees no words, None when it fails or takes too long."""
    with closing(document[index]) as page:
        width, height = page.get_size()
        scale = min(_DOTS, math.sqrt(_PIXELS / max(width * height, 1.0)))
        bitmap = page.render(scale=scale, grayscale=True)
    with closing(bitmap):
        pixels, stride, across = bytes(bitmap.buffer), bitmap.stride, bitmap.width
        rows = b"".join(pixels[y * stride : y * stride + across] for y in range(bitmap.height))
        picture = b"P5 %d %d 255\n" % (across, bitmap.height) + rows
    table = _table(picture, languages, round(72 * scale))
    if table is None:
        return None
    words = list(_words(table, scale, height))
    clear = {word.line for word in words if word.confidence >= _SURE}
    sure = [word for word in words if word.line in clear]
    unsure = sum(len(word.text) for word in words) - sum(len(word.text) for word in sure)
    confidence = statistics.fmean(word.confidence for word in sure) if sure else 0.0
    return Recognised(_lines(sure), [word.box for word in sure], confidence, unsure, (width, height))


def _table(picture: bytes, languages: str, dots: int) -> str | None:
    command = ["tesseract", "stdin", "stdout", "-l", languages, "--dpi", str(dots), "tsv"]
    with suppress(OSError, subprocess.TimeoutExpired):
        done = subprocess.run(
            command,
            input=picture,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=_WAIT,
            check=False,
            env={**os.environ, "OMP_THREAD_LIMIT": "1"},
            preexec_fn=_bounded,
        )
        if not done.returncode:
            return done.stdout.decode("utf-8", "replace")
    return None


def _bounded() -> None:
    """In the child: it ends by itself, should this process be ended first."""
    with suppress(ImportError, ValueError, OSError):
        import resource

        resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))


def _words(table: str, scale: float, height: float) -> Iterator[_Word]:
    for row in csv.DictReader(io.StringIO(table), delimiter="\t", quoting=csv.QUOTE_NONE):
        text = "".join((row["text"] or "").split())
        if row["level"] != "5" or not text:
            continue
        x, y, across, down = (int(row[name]) / scale for name in ("left", "top", "width", "height"))
        place = (int(row["block_num"]), int(row["par_num"]), int(row["line_num"]))
        yield _Word(text, (x, height - y - down, x + across, height - y), place, float(row["conf"]))


def _lines(words: list[_Word]) -> list[Line]:
    """The words by line. `paragraph` counts blocks and paragraphs; sizes near the usual one are it."""
    lines: list[Line] = []
    paragraph, before = 0, (0, 0)
    numbered = itertools.groupby(enumerate(words), key=lambda pair: pair[1].line)
    for place, group in numbered:
        row = list(group)
        paragraph, before = paragraph + (place[:2] != before), place[:2]
        text, at = "", array("q")
        for number, word in row:
            if text:
                text += " "
                at.append(-1)
            text += word.text
            at.extend([number] * len(word.text))
        lefts, bottoms, rights, tops = zip(*(word.box for _, word in row), strict=True)
        box = (min(lefts), min(bottoms), max(rights), max(tops))
        size = statistics.median(_size(word) for _, word in row)
        lines.append(Line(text, at, box, box[1], size, False, [], [], paragraph))
    usual = statistics.median(line.size for line in lines) if lines else 0.0
    for line in lines:
        line.size = line.size if line.size > _LARGE * usual else usual
    return lines


def _size(word: _Word) -> float:
    """The size of its type: letters that rise or hang make a word higher."""
    return (word.box[3] - word.box[1]) / _EM[bool(_UP.search(word.text)), bool(_DOWN.search(word.text))]
