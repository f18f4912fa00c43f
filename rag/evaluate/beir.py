"""A retrieval set in the layout of BEIR: corpus.jsonl(.gz), queries.jsonl(.gz), qrels.tsv or qrels/test.tsv."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

from rag.errors import NotFound
from rag.evaluate.datasets import Problem, Question, read_lines, read_rows
from rag.types import Document


def beir_documents(folder: Path) -> Iterator[Document]:
    """The documents of the corpus that have any text; a document without text is its title."""
    seen = set()
    for row in read_rows(_part(folder, "corpus.jsonl", "corpus.jsonl.gz")):
        if not isinstance(row, Problem) and isinstance(name := row[1].get("_id"), str) and name not in seen:
            seen.add(name)
            title, text = (value if isinstance(value := row[1].get(key), str) else "" for key in ("title", "text"))
            if text.strip() or title.strip():
                yield Document(name, text if text.strip() else title, title)


def beir_questions(folder: Path) -> Iterator[Question | Problem]:
    """The queries that have a relevant document, in the order of the file."""
    corpus, queries = (_part(folder, f"{name}.jsonl", f"{name}.jsonl.gz") for name in ("corpus", "queries"))
    documents: set[str] = set()
    for row in read_rows(corpus):
        if isinstance(row, Problem):
            yield row
        elif not isinstance(name := row[1].get("_id"), str):
            yield Problem(str(corpus), row[0], "the document has no _id")
        elif name in documents:
            yield Problem(str(corpus), row[0], f"_id {name!r} was used already")
        else:
            documents.add(name)
    judged: dict[str, dict[str, float]] = {}
    yield from _judgements(_part(folder, "qrels.tsv", "qrels/test.tsv", "qrels.tsv.gz"), documents, judged)
    for row in read_rows(queries):
        if isinstance(row, Problem):
            yield row
            continue
        number, query = row
        name, text = query.get("_id"), query.get("text")
        if not isinstance(name, str) or not isinstance(text, str) or not text.strip():
            yield Problem(str(queries), number, "the query has no _id or no text")
        elif any(gain > 0 for gain in judged.get(name, {}).values()):
            yield Question(name, number, text, relevant=judged[name])


def _judgements(path: Path, documents: set[str], judged: dict[str, dict[str, float]]) -> Iterator[Problem]:
    """Fill `judged` (query id → document id → gain) from three columns, or the four of TREC; yield what is wrong."""
    for item in read_lines(path):
        if isinstance(item, Problem):
            yield item
            continue
        number, line = item
        fields = line.split()
        if fields[0] == "query-id":
            continue
        if len(fields) == 4:
            del fields[1]
        try:
            query, document, gain = fields[0], fields[1], float(fields[2])
            if len(fields) != 3 or not math.isfinite(gain):
                raise ValueError
        except (IndexError, ValueError):
            yield Problem(str(path), number, "not a line of query id, document id and a number")
            continue
        if document in documents:
            judged.setdefault(query, {})[document] = gain
        else:
            yield Problem(str(path), number, f"document {document!r} is not in the corpus")


def _part(folder: Path, *names: str) -> Path:
    found = next((folder / name for name in names if (folder / name).is_file()), None)
    if found is None:
        raise NotFound(f"{folder}: {names[0]} is missing; a retrieval set has corpus.jsonl, queries.jsonl, qrels.tsv")
    return found
