"""JSONL → one Document a row. `text` is kept exactly as given; a bad row never costs the others.

A file is read row by row, twice: once to see what is there, and again when the documents are wanted. What is held of a
file of any size is where its good rows begin, and their ids.
"""

from __future__ import annotations

import io
import json
import re
from array import array
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any, BinaryIO, overload

from rag.errors import LoadError
from rag.load.build import File, Loaded, document, iso_date, paragraphs
from rag.load.decode import decode
from rag.types import Document

Open = Callable[[], BinaryIO]

_LONGEST = 64 << 20  # bytes of a row
_TOLD = 1_000  # rows that are named when they cannot be used
_TYPES = {"title": str, "date": str, "collection": str, "source": str, "url": str, "groups": list}
_CONTROL = re.compile("[\\x00-\\x1f\\x7f-\\x9f\\u2028\\u2029\\ud800-\\udfff]")


class Rows(Sequence[Document]):
    """The documents of a file's good rows, made anew from the file whenever they are asked for."""

    def __init__(self, file: File, opened: Open, starts: array[int]) -> None:
        self._file, self._open, self._starts = file, opened, starts

    def __len__(self) -> int:
        return len(self._starts)

    @overload
    def __getitem__(self, at: int) -> Document: ...
    @overload
    def __getitem__(self, at: slice) -> Rows: ...
    def __getitem__(self, at: int | slice) -> Document | Rows:
        if isinstance(at, slice):
            return Rows(self._file, self._open, self._starts[at])
        return next(iter(self[at : at + 1 or None])) if -len(self) <= at < len(self) else _no_row(at)

    def __iter__(self) -> Iterator[Document]:
        """The documents in order. Raises LoadError when the file is no longer what it was."""
        with self._open() as stream:
            for start in self._starts:
                stream.seek(start)
                try:
                    yield _document(self._file, stream.readline(_LONGEST + 1))[0]
                except (ValueError, RecursionError):
                    raise LoadError("it changes while it is read; run again when it is finished") from None


def read(file: File) -> Loaded:
    """The documents of all good rows; a problem for each other row, by its line. LoadError when no row is good."""
    data = file.data
    return rows(replace(file, data=b""), lambda: io.BytesIO(data))


def rows(file: File, opened: Open) -> Loaded:
    """As `read`, of the file that `opened` opens; `file` only names it."""
    with opened() as stream:
        head = stream.read(2)
        if head in (b"\xff\xfe", b"\xfe\xff") or b"\0" in head:  # UTF-16; other encodings fail row by row
            data = decode(head + stream.read(), file.id)[0].encode("utf-8")
            return rows(file, lambda: io.BytesIO(data))
        seen: set[str] = set()
        starts = array("q")
        problems: list[str] = []
        skipped = 0
        for number, start, line in _lines(stream):
            try:
                made, remark = _document(file, line)
                if made.id in seen:
                    raise ValueError(f"_id {made.id!r} was used in an earlier line")
            except (ValueError, RecursionError, LoadError) as error:
                remark = f"{_reason(error)}; the row is skipped"
                skipped += 1
            else:
                seen.add(made.id)
                starts.append(start)
            if remark and len(problems) < _TOLD:
                problems.append(f"line {number}: {remark}")
    if not starts:
        first = f" ({problems[0]})" if problems else ""
        raise LoadError(f"{file.id}: no usable row{first}; each line is an object with _id and text")
    if skipped > _TOLD:
        problems.append(f"{skipped} rows are skipped; the first are named")
    return Loaded(Rows(file, opened, starts), tuple(problems))


def _lines(stream: BinaryIO) -> Iterator[tuple[int, int, bytes]]:
    """Number (from 1), place and bytes of each line that is not blank; of one that is too long only its beginning."""
    stream.seek(0)
    start = 3 if stream.read(3) == b"\xef\xbb\xbf" else 0
    stream.seek(start)
    number, whole = 0, True
    while line := stream.readline(_LONGEST + 1):
        number += whole
        if whole and line.strip():
            yield number, start, line
        whole = line.endswith(b"\n")
        start += len(line)


def _no_row(at: int) -> Document:
    raise IndexError(at)


def _document(file: File, line: bytes) -> tuple[Document, str]:
    """The Document of one row and a remark, or ""; ValueError or LoadError with the reason when there is none."""
    if len(line) > _LONGEST:
        raise ValueError(f"longer than {_LONGEST >> 20} MiB")
    row = json.loads(line.decode("utf-8"))
    if not isinstance(row, dict):
        raise ValueError("not an object")
    name = row.get("_id", row.get("id"))
    if not isinstance(name, str) or not name.strip() or _CONTROL.search(name):
        raise ValueError("_id is missing" if name is None else "_id is not a string that can be printed in one line")
    text = row.get("text")
    if not isinstance(text, str) or not text.strip():
        raise ValueError("text is missing" if text is None else "text is not a string, or blank")
    for key, kind in _TYPES.items():
        if row.get(key) is not None and not isinstance(row[key], kind):
            raise ValueError(f"{key} is not a {'string' if kind is str else 'list of names'}")
    fields: dict[str, Any] = {key: value for key, value in row.items() if value}
    groups = tuple(fields.get("groups", ()))
    if not all(isinstance(group, str) and group for group in groups):
        raise ValueError("groups is not a list of names")
    date, author, language = iso_date(fields.get("date", "")), fields.get("author"), fields.get("language")
    made = document(
        replace(file, id=name, source=fields.get("source") or fields.get("url") or file.source),
        "jsonl/1",
        text,
        blocks=paragraphs(text),
        title=fields.get("title", ""),
        date=date,
        collection=fields.get("collection", ""),
        groups=groups,
        author=author if isinstance(author, (str, list)) else None,
        language=language if isinstance(language, str) else None,
    )
    return (
        made,
        "" if date or "date" not in fields else f"date {fields['date'][:40]!r} is not YYYY-MM-DD and is ignored",
    )


def _reason(error: Exception) -> str:
    if isinstance(error, json.JSONDecodeError):
        return f"not JSON ({error.msg} at character {error.pos + 1})"
    if isinstance(error, UnicodeDecodeError):
        return "not UTF-8"
    if isinstance(error, RecursionError):
        return "nested too deeply"
    return str(error)
