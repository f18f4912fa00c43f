"""JSON Lines in, JSON Lines out: one row for each row, in the same order; OUT is replaced in one step."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from rag.errors import BadInput, NotFound, RagError


def run_batch(
    source: str | Path,
    target: str | Path,
    one: Callable[[Mapping[str, Any]], Mapping[str, Any]],
    progress: Callable[[Iterable[bytes]], Iterable[bytes]] = lambda lines: lines,
) -> tuple[int, int]:
    """Apply `one` to every row; how many succeeded, and how many became error rows.

    A bad row gives {"id", "line", "error": {"code", "message"}} and the others go on. Blank lines are passed over.
    """
    try:
        with open(source, "rb") as stream:
            lines = stream.read().splitlines()
    except OSError as error:
        raise NotFound(f"{source}: cannot be read ({error.strerror}); check the path") from None
    good = bad = 0
    new = Path(f"{target}.new")
    try:
        with new.open("w", encoding="utf-8") as out:
            for number, line in enumerate(progress(lines), 1):
                if not line.strip():
                    continue
                row: Any = None
                try:
                    row = _row(line)
                    result: Mapping[str, Any] = {"id": row.get("id"), **one(row)}
                    good += 1
                except RagError as error:
                    known = row.get("id") if isinstance(row, dict) else None
                    result = {"id": known, "line": number, "error": {"code": error.code, "message": str(error)}}
                    bad += 1
                out.write(json.dumps(result, ensure_ascii=False) + "\n")
        os.replace(new, target)
    except OSError as error:
        raise BadInput(f"{target}: cannot be written ({error.strerror}); choose another --output") from None
    finally:
        new.unlink(missing_ok=True)
    return good, bad


def text_of(row: Mapping[str, Any], key: str) -> str:
    """The string under `key`. Raises BadInput when it is missing or no string."""
    value = row.get(key)
    if not isinstance(value, str):
        raise BadInput(f'the row has no "{key}"; give it as a string')
    return value


def _row(line: bytes) -> dict[str, Any]:
    try:
        row = json.loads(line.decode("utf-8-sig"))
    except ValueError as error:
        raise BadInput(f"not a JSON object in UTF-8 ({error})") from None
    if not isinstance(row, dict):
        raise BadInput("not a JSON object")
    return row
