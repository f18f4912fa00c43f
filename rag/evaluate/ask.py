"""Asking one question in each mode: a row for results.jsonl, numbers for the figures, milliseconds, what went wrong."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from typing import Any, Literal, Protocol

from rag.errors import BadInput, NotFound
from rag.evaluate.datasets import Kind, Question, passage_id
from rag.evaluate.evidence import Items, Mark, evidence, windows
from rag.evaluate.score import (
    Scores,
    plain,
    score_answer,
    score_candidates,
    score_hits,
    score_ranking,
    score_reading,
)
from rag.types import Answer, Document, Filters, Hit, Turn

Mode = Literal["end-to-end", "retrieval", "reader", "sentences"]
Retrieval = Literal["dense", "lexical", "fused", "reranked"]
Scorer = Callable[[str, Sequence[str]], Sequence[float]]
Search = Callable[[str], Sequence[Hit]]
KEPT = 10  # hits that a row keeps; a question whose evidence is not among them was not retrieved


class Texts(Protocol):
    """The part of an index that is needed here."""

    @property
    def version(self) -> str: ...
    def document(self, document_id: str) -> Document: ...


class Engine(Protocol):
    """What is evaluated: the Answerer, or anything that answers like it.

    `read` gives the fields of `rag read`. Only the methods of the chosen mode are called.
    """

    @property
    def index(self) -> Texts: ...
    def ask(self, question: str, history: Sequence[Turn] = ()) -> Answer: ...
    def search(self, question: str, filters: Filters = ..., mode: Any = "reranked", top: int = 10) -> Sequence[Hit]: ...
    def read(self, question: str, context: str) -> Mapping[str, Any]: ...


@dataclass(frozen=True, slots=True)
class Asked:
    """What one question gave."""

    row: dict[str, Any]
    scores: Scores
    times: Mapping[str, float]
    failure: str | None


def asker(
    engine: Any, mode: Mode, kind: Kind, retrieval: Retrieval, top: int, several: bool, scorer: Scorer | None,
    reread: int | None = None,
) -> Callable[[Question], Asked]:  # fmt: skip
    """The function that asks one question in `mode`; it raises RagError on one that cannot be used."""
    if mode == "reader":
        return lambda question: _read(engine, question, several)
    if mode == "sentences":
        return lambda question: _rank(scorer or _by_relevance(engine), question)

    @lru_cache(maxsize=256)
    def text_of(document_id: str) -> str:
        text: str = engine.index.document(document_id).text
        return text

    def search(text: str) -> Sequence[Hit]:
        if retrieval != "reranked" or reread is None or reread >= top:
            return engine.search(text, mode=retrieval, top=top)
        judged = engine.search(text, mode="reranked", top=reread)
        known = {(hit.document_id, hit.start, hit.end) for hit in judged}
        rest = engine.search(text, mode="fused", top=top)
        return [*judged, *(hit for hit in rest if (hit.document_id, hit.start, hit.end) not in known)][:top]

    if mode == "retrieval":
        return lambda question: _search(search, question, kind, top, text_of)
    return lambda question: _ask(engine, search, question, top, text_of)


def _ask(engine: Engine, search: Search, question: Question, top: int, text_of: Callable[[str], str]) -> Asked:
    items = evidence(question, text_of)
    began = time.perf_counter()
    answer = engine.ask(question.question, history=question.history)
    spent = (time.perf_counter() - began) * 1000
    hits = search(answer.query or question.question) if items else []
    places = [(hit.document_id, hit.start, hit.end) for hit in hits]
    marks = _gold_marks(items)
    for citation in answer.citations:
        marks.append(((citation.document_id, citation.start, citation.end), "quote"))
        if citation.answer:
            marks.append(((citation.document_id, citation.answer.start, citation.answer.end), "answer"))
    near = answer.nearest[0] if answer.nearest and not answer.citations else None
    if near:
        marks.append(((near.document_id, near.start, near.end), "nearest"))
    texts = _texts({place[0] for place, _ in marks} | {p[0] for item in items for p in item}, text_of)
    scores, failure = score_answer(question, answer, items, texts, places)
    scores |= {name: value for name, value in score_hits(places, items, top).items() if name != "map"}
    answered = answer.status == "answered"
    row = _row(question, scores, failure, items) | {
        "query": answer.query,
        "status": answer.status,
        "reason": answer.reason,
        "confidence": answer.confidence,
        "answer": answer.answers[0].text if answer.answers else None,
        "citations": [
            {"n": c.n, "document_id": c.document_id, "start": c.start, "end": c.end, "quote": c.quote,
             "answer": plain(c.answer)} for c in answer.citations
        ],
        "hits": _hits(hits),
        "passages": windows(marks, texts),
        "timings_ms": {**answer.timings_ms, "total": spent},
    }  # fmt: skip
    numbers = {"_confidence": answer.confidence, "_candidate": scores["right"]} if answered else {}
    return Asked(row, scores | numbers, {**answer.timings_ms, "total": spent}, failure)


def _search(search: Search, question: Question, kind: Kind, top: int, text_of: Callable[[str], str]) -> Asked:
    items = () if kind == "beir" else evidence(question, text_of)
    began = time.perf_counter()
    hits = search(question.question)
    spent = (time.perf_counter() - began) * 1000
    places = [(hit.document_id, hit.start, hit.end) for hit in hits]
    if kind == "beir":
        documents = list(dict.fromkeys(hit.document_id for hit in hits))
        scores = score_ranking(documents, question.relevant, top)
        known: dict[str, Any] = {"relevant": dict(islice(question.relevant.items(), 50))}
        seen = scores["recall@10"] > 0 if "recall@10" in scores else scores["mrr"] > 0
        marks: list[Mark] = [((hit.document_id, hit.start, hit.end), "nearest") for hit in hits[:1]]
    else:
        scores, known = score_hits(places, items, top), {}
        seen = not items or scores["mrr"] > 0
        marks = _gold_marks(items) + [(place, "nearest") for place in places[:1]]
    failure = None if seen else "not_retrieved"
    row = _row(question, scores, failure, items) | known | {
        "hits": _hits(hits),
        "passages": windows(marks, _texts({place[0] for place, _ in marks}, text_of)),
        "timings_ms": {"total": spent},
    }  # fmt: skip
    return Asked(row, scores, {"total": spent}, failure)


def _read(engine: Engine, question: Question, several: bool) -> Asked:
    began = time.perf_counter()
    reading = engine.read(question.question, question.context)
    spent = (time.perf_counter() - began) * 1000
    scores, failure, candidate = score_reading(question, reading, several)
    answered = bool(reading["answerable"])
    marks: list[Mark] = [(("passage", start, end), "gold") for start, end in question.spans]
    marks += [(("passage", quote["start"], quote["end"]), "quote") for quote in reading["quotes"][:1]]
    marks.append((("passage", reading["start"], reading["end"]), "answer" if answered else "nearest"))
    row = _row(question, scores, failure, ()) | {
        "status": "answered" if answered else "abstained",
        "confidence": reading["probability"],
        "answer": reading["text"],
        "score": reading["score"],
        "no_answer_score": reading["no_answer_score"],
        "passages": windows(marks, {"passage": question.context}),
        "timings_ms": {"total": spent},
    }
    numbers = {"_confidence": float(reading["probability"]), "_candidate": float(candidate)}
    return Asked(row, scores | numbers, {"total": spent}, failure)


def _rank(scorer: Scorer, question: Question) -> Asked:
    texts = [text for text, _ in question.candidates]
    began = time.perf_counter()
    given = [float(score) for score in scorer(question.question, texts)]
    spent = (time.perf_counter() - began) * 1000
    if len(given) != len(texts):
        raise BadInput(f"the scorer gave {len(given)} scores for {len(texts)} candidates")
    scores, order = score_candidates(question, given)
    wanted = ("mrr", "map", "ndcg@10", "recall@1") if question.answerable else ()
    scores = {name: scores[name] for name in wanted}
    failure = "wrong_span" if question.answerable and scores["mrr"] < 1 else None
    row = _row(question, scores, failure, ()) | {
        "candidates": [{"text": texts[i], "label": question.candidates[i][1], "score": given[i]} for i in order[:20]],
        "timings_ms": {"total": spent},
    }
    return Asked(row, scores, {"total": spent}, failure)


def _by_relevance(engine: Engine) -> Scorer:
    return lambda question, texts: [engine.read(question, text)["relevance"] for text in texts]


def by_search(engine: Engine, retrieval: Retrieval) -> Scorer:
    """Scores of candidate sentences that are documents of the index, each named by `passage_id`."""

    def scores(question: str, texts: Sequence[str]) -> list[float]:
        names = [passage_id(text) for text in texts]
        hits = engine.search(question, Filters(documents=tuple(dict.fromkeys(names))), retrieval, 4 * len(names))
        found: dict[str, float] = {}
        for hit in hits:
            found.setdefault(hit.document_id, hit.score)  # best first
        return [found.get(name, -1.0) for name in names]  # what is not found comes last

    return scores


def _row(question: Question, scores: Scores, failure: str | None, items: Items) -> dict[str, Any]:
    """The fields that every row of results.jsonl has."""
    return {
        "id": question.id,
        "line": question.line,
        "question": question.question,
        "history": [plain(turn) for turn in question.history],
        "tags": list(question.tags),
        "answerable": question.answerable,
        "answers": list(question.answers),
        "gold": [[{"document_id": d, "start": s, "end": e} for d, s, e in item] for item in items],
        "failure": failure,
        "scores": {name: value for name, value in scores.items() if not name.startswith("_")},
        "overlap": {name[1:]: value for name, value in scores.items() if name.startswith(("_exact", "_partial"))},
    }


def _gold_marks(items: Items) -> list[Mark]:
    """At most three places, the first of each item first."""
    places = [place for item in items for place in item[:1]] + [place for item in items for place in item[1:]]
    return [(place, "gold") for place in places[:3]]


def _hits(hits: Sequence[Hit]) -> list[dict[str, Any]]:
    return [
        {"document_id": hit.document_id, "start": hit.start, "end": hit.end, "score": hit.score} for hit in hits[:KEPT]
    ]


def _texts(names: Iterable[str], text_of: Callable[[str], str]) -> dict[str, str]:
    """The texts by name; a document that a citation names and the index does not have is empty, and no quote holds."""
    found = {}
    for name in names:
        try:
            found[name] = text_of(name)
        except NotFound:
            found[name] = ""
    return found
