"""Subtitles (.srt, .vtt) → canonical text: the words of each cue in a line, its section the time at which it begins."""

from __future__ import annotations

import html
import itertools
import re
from collections.abc import Iterator

from rag.errors import LoadError
from rag.load.build import Builder, File, Loaded, document
from rag.load.decode import text_of

CUES = 200_000  # of one file: 55 hours at a cue a second
_STAMP = r"(?:(\d{1,4}):)?([0-5]?\d):([0-5]?\d)[.,](\d{1,3})"
_TIMES = re.compile(rf"[ \t]*{_STAMP}[ \t]*-->[ \t]*{_STAMP}(?:[ \t].*)?")
_DIGITS = re.compile(r"\d[:.,]\d")  # an arrow between words is no time
_VOICE = re.compile(r"<v(?:\.[^\s<>]{0,200})?[ \t]([^<>]{1,200})>", re.IGNORECASE)
_TAG = re.compile(
    r"</?(?:[bciuv]|lang|ruby|rt|font|(?:\d+:)?\d\d:\d\d)\b[^<>]{0,200}>|\{\\[^{}]{0,200}\}", re.IGNORECASE
)


def read(file: File) -> Loaded:
    """One document. Raises LoadError when there are no cues, or more than CUES."""
    text, notes = text_of(file)
    builder = Builder()
    cues = damaged = repeated = 0
    end, last = "", ""  # of the cue before: its time, and its last line
    for times, lines in _cues(text.split("\n")):
        found = _TIMES.fullmatch(times)
        shown = list(filter(None, map(_shown, lines)))
        if found is None or not shown:
            damaged += found is None
            continue
        if (cues := cues + 1) > CUES:
            raise LoadError(f"{file.id}: more than {CUES} cues; cut it into parts")
        start = _clock(found.groups()[:4])
        if shown[0] == last and start <= end:  # captions that roll up print each line twice
            repeated += len(shown.pop(0))
        end = _clock(found.groups()[4:])
        if not shown:
            continue
        last = shown[-1]
        block = builder.write("paragraph", " ".join(shown), group=builder)
        builder.section(start[:-4], block.start, block.end)
    if not cues:
        raise LoadError(f"{file.id}: no cue in it has a time and words; it is empty, damaged or no subtitles")
    if damaged:
        notes = (*notes, f"cues left out, whose times cannot be read: {damaged}")
    made = document(file, "subtitles/1", builder.text, blocks=tuple(builder.blocks), sections=builder.sections())
    return Loaded((made,), notes, {"repeated lines": repeated} if repeated else {})


def _cues(lines: list[str]) -> Iterator[tuple[str, list[str]]]:
    """The line of times and the lines of words of each cue. Only in WebVTT does a blank line surely end the words."""
    web = lines[0].startswith("WEBVTT")
    at = [number for number, line in enumerate(lines) if "-->" in line and _DIGITS.search(line)]
    for begin, following in itertools.pairwise([*at, len(lines) + 1]):
        words = lines[begin + 1 : following]
        if following <= len(lines) and words and (words[-1].strip().isdigit() or not "".join(words[-2:-1]).strip()):
            words.pop()  # the number or name of the next cue
        if web:
            words = words[: next((n for n, line in enumerate(words) if not line.strip()), len(words))]
        yield lines[begin], words


def _shown(line: str) -> str:
    return " ".join(html.unescape(_TAG.sub("", _VOICE.sub(r"\1: ", line))).split())


def _clock(stamp: tuple[str | None, ...]) -> str:
    """HH:MM:SS.mmm"""
    hours, minutes, seconds, rest = (part or "0" for part in stamp)
    return f"{int(hours):02}:{int(minutes):02}:{int(seconds):02}.{rest:0<3}"
