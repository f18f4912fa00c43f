"""What people thought of answers, as evaluation rows in our own format: each rating that settles what is right."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from rag.errors import NotFound
from rag.state import Feedback
from rag.verify import Documents

SHORTEST = 12  # characters of a comment that may be the right sentence


def lines(given: Iterable[Feedback]) -> Iterator[str]:
    """Feedback for a person to review, a few lines each."""
    for one in given:
        answer = one.turn.answer or {}
        verdict = "good" if one.good else one.reason
        yield f"{one.given[:16]}  {verdict:<16}  {one.owner}  {one.turn.question}"
        if answer and answer["query"] != one.turn.question:
            yield f"    searched for: {answer['query']}"
        said = "; ".join(item["text"] for item in answer.get("answers", ())) or f"silence ({answer.get('reason')})"
        yield f"    {said}"
        if one.comment:
            yield f"    “{one.comment}”"


def row(given: Feedback, index: Documents) -> dict[str, Any] | None:
    """The evaluation row of one rating; None when it does not say what would have been right.

    A good answer is gold as it stands; a good silence, and an answer where silence was due, is a question without an
    answer. Of the other complaints a comment helps that is a sentence of a document which was cited or near: it is the
    gold quote. The question is the stand-alone one that was searched for.
    """
    answer = given.turn.answer
    if answer is None:
        return None
    made: dict[str, Any] = {"id": f"feedback-{given.turn.id[:12]}", "question": answer["query"]}
    tags = ["feedback", "good" if given.good else given.reason]
    if given.reason == "should_be_silent" or (given.good and not answer["answers"]):
        return {**made, "answers": [], "gold": [], "answerable": False, "tags": tags}
    if given.good:
        gold = [_gold(citation["document_id"], citation["quote"]) for citation in answer["citations"]]
        texts = [item["text"] for item in answer["answers"]]
        if not all(_stands(index, **one) for one in gold) or not all(texts):  # changed, gone, or taken out since
            return None
        return {**made, "answers": texts, "gold": gold, "answerable": True, "tags": tags}
    quote = given.comment.strip(" \n“”\"'")
    named = dict.fromkeys(part["document_id"] for part in (*answer["citations"], *answer["nearest"]))
    gold = [_gold(name, quote) for name in named if len(quote) >= SHORTEST and _stands(index, name, quote)]
    return {**made, "answers": [], "gold": gold[:1], "answerable": True, "tags": tags} if gold else None


def rows(given: Iterable[Feedback], index: Documents) -> tuple[list[dict[str, Any]], int]:
    """(rows, how many ratings gave none). Of several ratings of one turn the last counts."""
    latest: Mapping[str, Feedback] = {one.turn.id: one for one in given}
    found = [row(one, index) for one in latest.values()]
    return [one for one in found if one], found.count(None)


def _gold(document: str, quote: str) -> dict[str, str]:
    return {"document_id": document, "quote": quote}


def _stands(index: Documents, document_id: str, quote: str) -> bool:
    try:
        return bool(quote) and quote in index.document(document_id).text
    except NotFound:
        return False
