"""The values that a text states – numbers with their unit, dates, times, names – so that they compare as values."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

from rag.terms import content, coverage, stem

_ONES = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen"
    " eighteen nineteen"
).split()
_TENS = "twenty thirty forty fifty sixty seventy eighty ninety".split()
_WORDS = {word: n for n, word in enumerate(_ONES)} | {word: 10 * n for n, word in enumerate(_TENS, 2)}
_TIMES = {"hundred": 100, "thousand": 1_000, "k": 1_000, "million": 10**6, "m": 10**6, "billion": 10**9}
_MONTHS = "january february march april may june july august september october november december".split()
# What is counted in, and how many of the smallest one is: two weeks are 14 days, but no month is a number of days.
_MEASURES: dict[str, dict[str, int]] = {
    "time": {
        "second sec": 1,
        "minute min": 60,
        "hour hr": 3_600,
        "day": 86_400,
        "week": 604_800,
        "fortnight": 1_209_600,
    },
    "months": {"month": 1, "year yr": 12},
    "£": {"pence penny p": 1, "£ pound quid gbp": 100},
    "$": {"cent": 1, "$ dollar usd": 100},
    "€": {"€ euro eur": 100},
    "%": {"% percent": 1},
    "length": {"mm millimetre millimeter": 1, "cm centimetre centimeter": 10, "m metre meter": 1_000, "km": 10**6},
    "weight": {"gram": 1, "kg kilo kilogram": 1_000, "tonne": 10**6},
}
_UNITS = {
    name: (kind, size) for kind, sizes in _MEASURES.items() for names, size in sizes.items() for name in names.split()
}
_NUMBER = rf"\d+(?:[.,]\d+)*|(?:{'|'.join(_TENS)})(?:[- ](?:{'|'.join(_ONES[1:10])}))?|{'|'.join(reversed(_ONES))}"
_MONTH = "|".join(f"{month}|{month[:3]}" for month in _MONTHS)
_FACT = re.compile(
    rf"""(?<![\w.,])(?:
      (?P<iso>\d{{4}}-\d\d-\d\d)\b
    | (?P<day>\d{{1,2}})(?:st|nd|rd|th)?\s(?:of\s)?(?P<month>{_MONTH})\b(?:,?\s(?P<year>\d{{4}})\b)?
    | (?P<month_>{_MONTH})\s(?P<day_>\d{{1,2}})(?:st|nd|rd|th)?\b(?!:)(?:,?\s(?P<year_>\d{{4}})\b)?
    | (?P<hour>\d{{1,2}}):(?P<minute>[0-5]\d)(?:\s?(?P<half>[ap])\.?m\b)?
    | (?P<hour_>\d{{1,2}})(?:\.(?P<minute_>[0-5]\d))?\s?(?P<half_>[ap])\.?m\b
    | (?P<nth>\d+)(?:st|nd|rd|th)\b
    | (?P<sign>[£$€])?(?P<number>{_NUMBER})(?![^\W\dkmpg%])
      (?:\s?(?P<times>hundred|thousand|million|billion|(?<=\d)[km])\b)?
    )""",
    re.X | re.I,
)
_AFTER = re.compile(r"\s?%|\s?per\scent\b|[\s-]?[^\W\d_]+")  # one word of what is counted
_PER = re.compile(r"\s(?:a|an|per|each|every)\s([^\W\d_]+)", re.I)
_LABEL = re.compile(r"\b([^\W\d_]{3,})\.?\s$")
_RANGE = re.compile(r"\s*(?:to|or|and|[-–—])\s*", re.I)
_NAME = re.compile(r"[A-Z][\w'’-]*\.?(?:\s[A-Z][\w'’-]+)+")
_MIDDLE = re.compile(r"(?<=[\w,;] )[A-Z][\w'’-]+")  # capitals that no beginning of a sentence or cell explains
_IN_YEAR = re.compile(r"\bin\s((?:19|20)\d\d)\b")
_YEAR = re.compile(r"(?:19|20)\d\d")
_ADJECTIVES = 3  # words that may stand before what is counted ("36 free single trips")
_DAYS = frozenset(["I", *(month.capitalize() for month in _MONTHS)]) | frozenset(
    "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split()
)
# Words that no number counts: what is counted stands before them.
_STOPS = frozenset(
    "a after ago also an and are as at be before but by can could during each every for from had has have if in into"
    " is it its may more must no not of off on or over per since than that the then they this to under until up was"
    " were when where which while who will with within would you your".split()
)


@dataclass(frozen=True, slots=True)
class Fact:
    """A value at `start:end` of its text: its kind ("date", "£ a mile", "week", …), its size in it, and its words."""

    kind: str
    size: str
    text: str
    start: int
    end: int


def facts(text: str) -> tuple[Fact, ...]:
    """The numbers, dates and times of a text that can be compared. "26th" and "26 weeks" are of two kinds, "£1,200" and
    "1200 pounds" are one value; a number of nothing ("27" in a cell) is none."""
    found = [fact for match in _FACT.finditer(text) if (fact := _fact(match, text))]
    for i in range(len(found) - 2, -1, -1):  # "9 to 11 weeks"
        one, after = found[i], found[i + 1]
        if not one.kind and after.kind and _RANGE.fullmatch(text, one.end, after.start):
            whole = text[one.start : one.end] + text[after.start : after.end].lstrip("0123456789.,")
            same = [fact for match in _FACT.finditer(whole) if (fact := _fact(match, whole))][:1]
            found[i] = replace(one, kind=after.kind, size=same[0].size if same else "")
    return tuple(fact for fact in found if fact.kind and fact.size)


def stated(quote: str, start: int, end: int) -> tuple[Fact, ...]:
    """The values that the short answer `start:end` of a quote states: those it touches; where it touches none, itself
    as a name, or else the value of the quote when that has only one."""
    around = facts(quote)
    if touched := tuple(fact for fact in around if fact.start < end and start < fact.end):
        return touched
    answer = quote[start:end]
    if _NAME.fullmatch(answer):
        return (Fact("name", answer.casefold(), answer, start, end),)
    return around if len(around) == 1 else ()


def differing(one: Sequence[Fact], other: Sequence[Fact]) -> tuple[Fact, Fact] | None:
    """The first values of one kind that differ, unless some of that kind agree; None when no kind is in both."""
    for mine in one:
        pairs = [(a, b) for a in one for b in other if a.kind == b.kind == mine.kind]
        if pairs and not any(_agree(a, b) for a, b in pairs):
            return pairs[0]
    return None


def elsewhere(one: str, other: str) -> bool:
    """True when each of two texts names somebody or something, or says in which year, and none of it is the same."""
    named = [{*_MIDDLE.findall(text), *_IN_YEAR.findall(text)} - _DAYS for text in (one, other)]
    return all(named) and not named[0] & named[1]


def alike(one: str, other: str) -> bool:
    """True when half of the words of the shorter text, its values left out, are in the other one."""
    shorter, longer = sorted((content(_without_facts(text)) for text in (one, other)), key=len)
    return coverage(shorter, longer) >= 0.5


def _without_facts(text: str) -> str:
    at = [0, *(place for fact in facts(text) for place in (fact.start, fact.end)), len(text)]
    return " ".join(text[start:end] for start, end in zip(at[::2], at[1::2], strict=True))


def _agree(one: Fact, other: Fact) -> bool:
    if one.kind == "name":
        return bool(set(one.size.split()) & set(other.size.split()))
    if one.kind == "date":  # without a year it may be any
        return one.size.endswith(other.size) or other.size.endswith(one.size)
    return one.size == other.size


def _fact(match: re.Match[str], text: str) -> Fact | None:
    """The value of one match; its kind is "" for a number of nothing."""
    part, start, end = match.groupdict(), match.start(), match.end()
    month, day = part["month"] or part["month_"], part["day"] or part["day_"]
    hour, half = part["hour"] or part["hour_"], (part["half"] or part["half_"] or "").lower()
    if part["iso"]:
        return Fact("date", part["iso"], part["iso"], start, end)
    if month:
        nth = 1 + next(i for i, name in enumerate(_MONTHS) if name.startswith(month.lower()))
        year = part["year"] or part["year_"]
        return Fact("date", f"{year}-" * bool(year) + f"{nth:02}-{int(day):02}", match[0], start, end)
    if hour:
        clock = int(hour) % 12 + 12 * (half == "p") if half else int(hour)
        return Fact("clock", f"{clock}:{part['minute'] or part['minute_'] or '00'}", match[0], start, end)
    if part["nth"]:
        return Fact("nth", part["nth"], match[0], start, end)
    number, times = _decimal(part["number"]), (part["times"] or "").lower()
    if number is None:
        return None
    if times in ("k", "m") and not part["sign"]:  # "5m" are metres
        times, end = "", match.start("times")
    kind, size, end = _counted(part["sign"] or "", text, end)
    if not kind and part["number"].isdigit():
        if _YEAR.fullmatch(part["number"]):
            kind = "year"
        elif (label := _LABEL.search(text, max(0, start - 30), start)) and label[1].lower() not in _STOPS:
            kind = f"{stem(label[1].lower())} number"
    return Fact(kind, f"{(number * _TIMES.get(times, 1) * size).normalize():f}", text[start:end], start, end)


def _decimal(written: str) -> Decimal | None:
    """The number; None for "1.200", which is one thing here and another there."""
    if not written[0].isdigit():
        return Decimal(sum(_WORDS[word] for word in re.split(r"[-\s]", written.lower())))
    if re.fullmatch(r"\d{1,3}(?:,\d{3})+(?:\.\d+)?", written):
        return Decimal(written.replace(",", ""))
    if re.fullmatch(r"\d{1,3}(?:\.\d{3})+,\d+|\d+,\d{1,2}", written):
        return Decimal(written.replace(".", "").replace(",", "."))
    if re.fullmatch(r"[1-9]\d{0,2}\.\d{3}", written) or not re.fullmatch(r"\d+(?:\.\d+)?", written):
        return None
    return Decimal(written)


def _counted(sign: str, text: str, at: int) -> tuple[str, int, int]:
    """What a number that ends at `at` counts, as its kind, the size of one, and where the words of it end."""
    words, end = list(_following(text, at)), at
    kind, size = _UNITS.get(sign, ("", 1))
    if not kind:
        known = next((word for word in words if word[0] in _UNITS), None)
        plural = next((word for word in words if word[1].endswith("s")), words[0] if words else None)
        if not (chosen := known or plural):
            return "", 1, at
        kind, size = _UNITS.get(chosen[0], (chosen[0], 1))
        end = chosen[2]
    if per := _PER.match(text, end):
        kind, end = f"{kind} a {_singular(per[1].lower())}", per.end()
    return kind, size, end


def _following(text: str, at: int) -> Iterator[tuple[str, str, int]]:
    """The words of what may be counted: singular, as written, and where each ends."""
    for _ in range(_ADJECTIVES):
        found = _AFTER.match(text, at)
        if not found:
            return
        word = "percent" if "cent" in found[0] and "per" in found[0] else found[0].strip(" -\n\t\xa0").lower()
        if word in _STOPS:
            return
        at = found.end()
        yield _singular(word), word, at


def _singular(word: str) -> str:
    bare = word.removesuffix("s")
    return next((known for known in (word, bare, stem(word)) if known in _UNITS), stem(bare))
