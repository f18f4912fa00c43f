"""Question files, recognised by content, as Questions one at a time. A bad row becomes a Problem; the rest goes on."""

from __future__ import annotations

import gzip
import hashlib
import json
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from rag.errors import BadInput, NotFound
from rag.types import Document, Turn, turns

Kind = Literal["questions", "squad", "spans", "sentences", "beir"]
LOOK = 20  # lines that are looked at to recognise a format


@dataclass(frozen=True, slots=True)
class Problem:
    """A row that could not be used, or a part of it, and why."""

    file: str
    line: int
    message: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.message}"


@dataclass(frozen=True, slots=True)
class Gold:
    """One item of evidence: a quote (every place where it stands counts), a range, or a whole document."""

    document_id: str
    quote: str | None = None
    start: int | None = None
    end: int | None = None


@dataclass(frozen=True, slots=True)
class Question:
    """A question and what is known about its answer. Which fields are filled depends on the format:

    questions: history, answers, gold, tags. squad, spans: answers, context, title, spans (the answers' ranges in the
    context). sentences: candidates (text, gain). beir: relevant (document id → gain).
    """

    id: str
    line: int
    question: str
    answerable: bool = True
    history: tuple[Turn, ...] = ()
    answers: tuple[str, ...] = ()
    gold: tuple[Gold, ...] = ()
    tags: tuple[str, ...] = ()
    context: str = ""
    title: str = ""
    spans: tuple[tuple[int, int], ...] = ()
    candidates: tuple[tuple[str, float], ...] = ()
    relevant: Mapping[str, float] = field(default_factory=dict)


def kind_of(path: Path) -> Kind:
    """The format of a file or folder. Raises NotFound, or BadInput when it is empty or nothing that we know."""
    if path.is_dir():
        return "beir"
    if not path.is_file():
        raise NotFound(f"{path}: no such file or folder; name a file of questions")
    seen = 0
    for seen, row in enumerate(read_rows(path), 1):
        if not isinstance(row, Problem):
            if isinstance(row[1].get("data"), list):
                return "squad"
            for key, kind in _SIGNS:
                if key in row[1]:
                    return kind
        if seen == LOOK:
            break
    if not seen:
        raise BadInput(f"{path}: the file is empty; write one question a line (docs/evaluation.md shows the formats)")
    if _squad(path) is not None:
        return "squad"
    raise BadInput(f"{path}: no format of questions is recognised in it; docs/evaluation.md shows those that are read")


_SIGNS: tuple[tuple[str, Kind], ...] = (("candidates", "sentences"), ("context", "spans"), ("question", "questions"))


def read_questions(path: Path, kind: Kind) -> Iterator[Question | Problem]:
    """The questions in file order; the second of two equal ids is a Problem."""
    if kind == "beir":
        from rag.evaluate.beir import beir_questions

        found = beir_questions(path)
    else:
        found = _squad_questions(path) if kind == "squad" else _row_questions(path, kind)
    first: dict[str, int] = {}
    for item in found:
        if isinstance(item, Question):
            if item.id in first:
                yield Problem(str(path), item.line, f"id {item.id!r} was used in line {first[item.id]} already")
                continue
            first[item.id] = item.line
        yield item


def read_passages(path: Path, kind: Kind) -> Iterator[Document]:
    """The documents to search: a BEIR corpus, or the unique passages or candidate sentences of a file."""
    if kind == "beir":
        from rag.evaluate.beir import beir_documents

        yield from beir_documents(path)
        return
    seen = set()
    for item in read_questions(path, kind):
        if isinstance(item, Question):
            for text in [sentence for sentence, _ in item.candidates] or [item.context]:
                if (name := passage_id(text)) not in seen and text.strip():
                    seen.add(name)
                    yield Document(name, text, item.title)


def passage_id(text: str) -> str:
    """The id of a passage that came without one: a hash of its text."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]


# ---- Rows -----------------------------------------------------------------------------------------------------------


def read_lines(path: Path) -> Iterator[tuple[int, str] | Problem]:
    """Lines with their numbers from 1, white ones left out; gzip is recognised by content."""
    number = 0
    with path.open("rb") as plain:
        packed = plain.read(2) == b"\x1f\x8b"
        plain.seek(0)
        with gzip.GzipFile(fileobj=plain) if packed else plain as stream:
            try:
                for number, raw in enumerate(stream, 1):
                    try:
                        line = raw.decode("utf-8-sig" if number == 1 else "utf-8")
                    except UnicodeDecodeError as error:
                        yield Problem(str(path), number, f"not UTF-8: {error.reason} at byte {error.start}")
                        continue
                    if line.strip():
                        yield number, line
            except (EOFError, zlib.error, gzip.BadGzipFile) as error:
                yield Problem(str(path), number + 1, f"the compressed file is damaged or cut short here: {error}")


def read_rows(path: Path) -> Iterator[tuple[int, dict[str, Any]] | Problem]:
    """JSON objects, one a line."""
    for item in read_lines(path):
        if isinstance(item, Problem):
            yield item
            continue
        number, line = item
        try:
            row = json.loads(line)
        except (json.JSONDecodeError, RecursionError) as error:
            yield Problem(str(path), number, f"not a line of JSON, perhaps half-written: {error}")
            continue
        yield (number, row) if isinstance(row, dict) else Problem(str(path), number, "not a JSON object")


def _row_questions(path: Path, kind: Kind) -> Iterator[Question | Problem]:
    make = {"questions": _own, "spans": _span, "sentences": _sentences}[kind]
    for item in read_rows(path):
        if isinstance(item, Problem):
            yield item
            continue
        number, row = item
        try:
            yield make(row, number)
        except ValueError as error:
            yield Problem(str(path), number, str(error))


def _identity(row: Mapping[str, Any], line: int) -> dict[str, Any]:
    """What every format has: an id (the line number when there is none), the question, tags."""
    question, name, tags = row.get("question"), row.get("id", f"line {line}"), row.get("tags", [])
    if not isinstance(question, str) or not question.strip():
        raise ValueError("the row has no question")
    if not isinstance(name, str | int):
        raise ValueError("id must be a string")
    if not isinstance(tags, list) or not all(isinstance(tag, str) for tag in tags):
        raise ValueError("tags must be a list of strings")
    return {"id": str(name), "line": line, "question": question, "tags": tuple(dict.fromkeys(tags))}


def _own(row: Mapping[str, Any], line: int) -> Question:
    answers, gold, history = row.get("answers", []), row.get("gold", []), row.get("history", [])
    if not isinstance(answers, list) or not all(isinstance(text, str) and text for text in answers):
        raise ValueError("answers must be a list of strings that are not empty")
    if not isinstance(gold, list) or not isinstance(history, list):
        raise ValueError("gold and history must be lists")
    answerable = row.get("answerable", True)
    if not isinstance(answerable, bool):
        raise ValueError("answerable must be true or false")
    if answerable != bool(answers or gold):
        raise ValueError(
            'the row has neither answers nor gold; write "answerable": false when silence is right'
            if answerable
            else "the row is not answerable, but has answers or gold"
        )
    return Question(
        **_identity(row, line),
        answerable=answerable,
        history=turns(history),
        answers=tuple(answers),
        gold=tuple(map(_gold, gold)),
    )


def _gold(item: Any) -> Gold:
    if not isinstance(item, Mapping) or not isinstance(item.get("document_id"), str):
        raise ValueError('an item of gold is {"document_id", "quote"} or {"document_id", "start", "end"}')
    quote, start, end = item.get("quote"), item.get("start"), item.get("end")
    if quote is not None and not (isinstance(quote, str) and quote.strip()):
        raise ValueError("a gold quote must be a string that is not empty")
    if (start is None) != (end is None):
        raise ValueError("gold has only one of start and end")
    if start is not None and not (type(start) is type(end) is int and 0 <= start < end):
        raise ValueError(f"gold start {start!r} and end {end!r} are no range")
    return Gold(item["document_id"], quote, start, end)


def _span(row: Mapping[str, Any], line: int) -> Question:
    context, answers = row.get("context"), row.get("answers", [])
    if not isinstance(context, str) or not context.strip():
        raise ValueError("the row has no context")
    if isinstance(answers, Mapping):  # {"text": […], "answer_start": […]}, as some tools write it
        texts, starts = answers.get("text", []), answers.get("answer_start", [])
        if len(texts) != len(starts):
            raise ValueError(f"answers have {len(texts)} texts, but {len(starts)} starts")
        answers = [{"text": text, "answer_start": start} for text, start in zip(texts, starts, strict=True)]
    spans = []
    for answer in answers:
        text, start = (answer.get("text"), answer.get("answer_start")) if isinstance(answer, Mapping) else (None, None)
        if not isinstance(text, str) or not text or type(start) is not int:
            raise ValueError('an answer is {"text", "answer_start"}')
        if start < 0 or context[start : start + len(text)] != text:
            raise ValueError(f"answer {text[:60]!r} does not stand at {start} in the context")
        spans.append((start, start + len(text)))
    impossible = bool(row.get("is_impossible", not spans))
    if impossible == bool(spans):
        raise ValueError("is_impossible contradicts the answers")
    return Question(
        **_identity(row, line),
        answerable=not impossible,
        answers=tuple(dict.fromkeys(context[start:end] for start, end in spans)),
        spans=tuple(dict.fromkeys(spans)),
        context=context,
        title=row["title"] if isinstance(row.get("title"), str) else "",
    )


def _sentences(row: Mapping[str, Any], line: int) -> Question:
    given = row.get("candidates")
    if not isinstance(given, list) or not given:
        raise ValueError("the row has no candidates")
    found = []
    for candidate in given:
        text, label = (
            (candidate.get("text"), candidate.get("label")) if isinstance(candidate, Mapping) else (None, None)
        )
        if not isinstance(text, str) or not isinstance(label, int | float):
            raise ValueError('a candidate is {"text", "label"}')
        found.append((text, float(label)))
    return Question(**_identity(row, line), candidates=tuple(found), answerable=any(label > 0 for _, label in found))


def _squad(path: Path) -> dict[str, Any] | None:
    """A whole file as one JSON object with "data", or None."""
    lines = [item for item in read_lines(path) if not isinstance(item, Problem)]
    try:
        found = json.loads("".join(line for _, line in lines))
    except (json.JSONDecodeError, RecursionError):
        return None
    return found if isinstance(found, dict) and isinstance(found.get("data"), list) else None


def _squad_questions(path: Path) -> Iterator[Question | Problem]:
    found = _squad(path)
    if found is None:
        yield Problem(str(path), 1, 'not one JSON object with "data"')
        return
    lines = list(read_lines(path))  # to give a problem its line: SQuAD files are one line or pretty-printed

    def line_of(name: object) -> int:
        sign = json.dumps(name)
        return next((item[0] for item in lines if not isinstance(item, Problem) and sign in item[1]), 1)

    for a, article in enumerate(found["data"]):
        for p, paragraph in enumerate(_list(article, "paragraphs")):
            for q, qa in enumerate(_list(paragraph, "qas")):
                where = f"data[{a}].paragraphs[{p}].qas[{q}]"
                try:
                    if not isinstance(qa, Mapping):
                        raise ValueError("not an object")
                    row = {"id": where, **qa, "context": paragraph.get("context"), "title": article.get("title")}
                    yield _span(row, 1)
                except ValueError as error:
                    name = qa.get("id") if isinstance(qa, Mapping) else None
                    yield Problem(str(path), line_of(name), f"{where}: {error}")


def _list(value: Any, key: str) -> list[Any]:
    found = value.get(key) if isinstance(value, Mapping) else None
    return found if isinstance(found, list) else []
