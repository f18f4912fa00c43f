"""JSONL → one Document a row. `text` is kept exactly as given; a bad row never costs the others."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from rag.errors import LoadError
from rag.load.build import File, Loaded, document, iso_date, paragraphs
from rag.load.decode import decode
from rag.types import Document

_TYPES = {"title": str, "date": str, "collection": str, "source": str, "url": str, "groups": list}
_CONTROL = re.compile("[\\x00-\\x1f\\x7f-\\x9f\\u2028\\u2029\\ud800-\\udfff]")


def read(file: File) -> Loaded:
    """The documents of all good rows; a problem for each other row, by its line. LoadError when no row is good."""
    documents: dict[str, Document] = {}
    problems = []
    for number, line in _lines(file):
        try:
            made, remark = _document(file, line)
            if made.id in documents:
                raise ValueError(f"_id {made.id!r} was used in an earlier line")
        except (ValueError, RecursionError, LoadError) as error:
            problems.append(f"line {number}: {_reason(error)}; the row is skipped")
        else:
            documents[made.id] = made
            problems += [f"line {number}: {remark}"] if remark else []
    if not documents:
        first = f" ({problems[0]})" if problems else ""
        raise LoadError(f"{file.id}: no usable row{first}; each line is an object with _id and text")
    return Loaded(tuple(documents.values()), tuple(problems))


def _lines(file: File) -> Iterator[tuple[int, bytes]]:
    """Line numbers and UTF-8 lines that are not blank. UTF-16 is converted; other encodings fail row by row."""
    data = file.data
    if data.startswith((b"\xff\xfe", b"\xfe\xff")) or b"\0" in data[:2]:
        data = decode(data, file.id)[0].encode("utf-8")
    for number, line in enumerate(data.removeprefix(b"\xef\xbb\xbf").split(b"\n"), 1):
        if line.strip():
            yield number, line


def _document(file: File, line: bytes) -> tuple[Document, str]:
    """The Document of one row and a remark, or ""; ValueError or LoadError with the reason when there is none."""
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
    date = iso_date(fields.get("date", ""))
    made = document(
        replace(file, id=name, source=fields.get("source") or fields.get("url") or file.source),
        "jsonl/1",
        text,
        blocks=paragraphs(text),
        title=fields.get("title", ""),
        date=date,
        collection=fields.get("collection", ""),
        groups=groups,
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
