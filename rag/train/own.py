"""Labelled questions about documents of one's own → span rows, with the passages a retriever would wrongly offer.

`python -m rag.train.own FOLDER… --output ROWS.jsonl`: each folder has docs/ and questions.jsonl (the house format).
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rag.evaluate.datasets import Problem, Question, read_questions
from rag.evaluate.evidence import evidence
from rag.index import Index
from rag.retrieve import retrieve
from rag.types import Filters, Hit

WRONG = 2  # passages that do not answer, for each question
POOL = 8  # of so many that the retriever finds


def span_rows(questions: list[Question], index: Index, source: str) -> Iterator[dict[str, Any]]:
    """A row for each passage that answers, and up to WRONG rows of passages that look right and do not."""
    for question in questions:
        items = evidence(question, lambda name: index.document(name).text)
        gold = [place for item in items for place in item]
        hits = retrieve(index, question.question, Filters(), top=POOL)
        row = {"question": question.question, "answers": []}
        for n, (name, start, end) in enumerate(gold):
            if context := _around(index, name, start, end):
                low, text = context
                quote = text[start - low : end - low]
                answers = [
                    {"text": a, "answer_start": start - low + quote.find(a)} for a in question.answers if a in quote
                ]
                if answers:
                    title = f"{source}/{name}"
                    yield {
                        **row,
                        "id": f"{source}-{question.id}-{n}",
                        "title": title,
                        "context": text,
                        "answers": answers,
                    }
        wrong = [h for h in hits if not any(_touch(h, place) for place in gold)][:WRONG]
        for n, hit in enumerate(wrong):
            title = f"{source}/{hit.document_id}"
            yield {
                **row,
                "id": f"{source}-{question.id}-w{n}",
                "title": title,
                "context": hit.text,
                "is_impossible": True,
            }


def _around(index: Index, document_id: str, start: int, end: int) -> tuple[int, str] | None:
    """The passage that holds the place: where it begins, and its text."""
    keys = index.store.allowed(Filters(documents=(document_id,)))
    found = index.passages([] if keys is None else keys.tolist()).values()
    return next(((p.start, p.text) for p in found if p.start <= start and end <= p.end), None)


def _touch(hit: Hit, place: tuple[str, int, int]) -> bool:
    return hit.document_id == place[0] and hit.start < place[2] and place[1] < hit.end


def main(argv: list[str] | None = None) -> int:
    """Write the rows of every folder to one file."""
    parser = argparse.ArgumentParser(prog="python -m rag.train.own", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--output", required=True, type=Path)
    options = parser.parse_args(argv)
    count = 0
    with options.output.open("w", encoding="utf-8") as out:
        for folder in options.folders:
            with tempfile.TemporaryDirectory() as place:
                index = Index.open(place, create=True)
                index.add(folder / "docs")
                found = read_questions(folder / "questions.jsonl", "questions")
                questions = [q for q in found if not isinstance(q, Problem)]
                for row in span_rows(questions, index, folder.name):
                    out.write(json.dumps(row, ensure_ascii=False) + "\n")
                    count += 1
                index.close()
    print(f"{options.output}: {count} rows")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
