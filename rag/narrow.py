"""Limits that are typed in a question: "since March", "in the travel policy" → Filters, and the question without them.

Only what closes a question is read as a limit, and only when it is one beyond doubt: "since" with a date, "published
before" with a date, or the title of a document or the name of a collection that the asker may read.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from rag.types import Filters

_MONTHS = "january february march april may june july august september october november december".split()
_MONTH = "|".join(f"{name}|{name[:3]}" for name in _MONTHS)
_DATE = (
    rf"(?:(?P<iso>\d{{4}}-\d\d-\d\d)|(?:(?P<day>\d{{1,2}})\s+)?(?P<month>{_MONTH})\.?(?:\s+(?P<year>\d{{4}}))?"
    r"|(?P<only>\d{4}))"
)
_END = r"\s*[?.!]*\s*$"
_WRITTEN = r"(?:that\s+(?:was|were)\s+)?(?:published|dated|written|issued)\s+"
_SINCE = re.compile(rf"[\s,]+(?:since|{_WRITTEN}(?:since|after|from))\s+{_DATE}{_END}", re.I)
_UNTIL = re.compile(rf"[\s,]+(?:{_WRITTEN}(?:before|until|up to))\s+{_DATE}{_END}", re.I)
_PLACE = re.compile(rf"[\s,]+(?:in|according to)\s+(?:the|our)\s+(?P<name>[^,?.!]{{2,120}}?){_END}", re.I)
_KIND = re.compile(r"\s+(?:collection|documents|folder)$", re.I)


@dataclass(frozen=True, slots=True)
class Narrowed:
    """The question without its limits, the filters with them, and the words that were taken as limits."""

    question: str
    filters: Filters
    typed: tuple[str, ...] = ()


def narrowed(
    question: str,
    filters: Filters,
    named: Callable[[], Iterable[tuple[str, str, str]]],
    today: datetime.date | None = None,
) -> Narrowed:
    """Take the limits at the end of a question out of it. `named` gives (document id, title, collection) of what the
    asker may read; it is called only when the question names a place. A month without a year is the latest one."""
    today = today or datetime.date.today()
    found = Narrowed(" ".join(question.split()), filters)
    for _ in range(3):  # one of each kind
        match = _SINCE.search(found.question)
        if match and (day := _day(match, today)):
            found = _taken(found, match, replace(found.filters, since=day.isoformat()))
        match = _UNTIL.search(found.question)
        if match and (day := _day(match, today)):
            found = _taken(found, match, replace(found.filters, until=day.isoformat()))
        match = _PLACE.search(found.question)
        if match and not (found.filters.documents or found.filters.collections):
            limits = _place(match["name"], found.filters, named())
            found = _taken(found, match, limits) if limits else found
    return found


def _taken(found: Narrowed, match: re.Match[str], filters: Filters) -> Narrowed:
    mark = "?" if "?" in match[0] else ""
    rest = found.question[: match.start()].rstrip(" ,")
    if len(rest.split()) < 2:  # nothing would be left to ask
        return found
    return Narrowed(rest + mark, filters, (*found.typed, match[0].strip(" ,?.!")))


def _day(match: re.Match[str], today: datetime.date) -> datetime.date | None:
    """The first day that a date names; None when there is no such day."""
    try:
        if match["iso"]:
            return datetime.date.fromisoformat(match["iso"])
        if match["only"]:
            year = int(match["only"])
            return datetime.date(year, 1, 1) if 1900 <= year <= today.year else None
        month = next(n for n, name in enumerate(_MONTHS, 1) if name.startswith(match["month"].lower()[:3]))
        day = int(match["day"] or 1)
        if match["year"]:
            return datetime.date(int(match["year"]), month, day)
        found = datetime.date(today.year, month, day)
        return found if found <= today else datetime.date(today.year - 1, month, day)
    except ValueError:
        return None


def _place(name: str, filters: Filters, named: Iterable[tuple[str, str, str]]) -> Filters | None:
    sought, bare = name.casefold().strip(), _KIND.sub("", name).casefold().strip()
    documents, collections = [], set()
    for document, title, collection in named:
        if title.casefold() == sought:
            documents.append(document)
        if collection.casefold() == bare and collection != "default":
            collections.add(collection)
    if documents:
        return replace(filters, documents=tuple(documents))
    return replace(filters, collections=tuple(sorted(collections))) if collections else None
