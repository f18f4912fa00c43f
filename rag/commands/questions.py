"""Commands about questions: `rag ask`, `search`, `read`, `verify`."""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from rag.commands.common import DONE, FAILED, PARTLY, USAGE, json_file, settings
from rag.errors import BadInput

if TYPE_CHECKING:
    from rag.types import Answer, Filters, Hit


def ask(args: argparse.Namespace) -> int:
    """`rag ask QUESTION` or `--batch`"""
    from rag.answer import Answerer

    _one_or_batch(args)
    chosen = settings(args)
    answerer = Answerer.open(chosen.index, chosen)
    filters = _filters(args)
    if args.batch:
        from rag.batch import text_of

        def one(row: Mapping[str, Any]) -> Mapping[str, Any]:
            return answerer.ask(text_of(row, "question"), _history(row.get("history") or []), filters).to_dict()

        return _batch(args, one)
    history = _history(json_file(args.history)) if args.history else ()
    answer = answerer.ask(args.question, history, filters)
    print(answer.to_json() if args.json else _show_answer(answer))
    return DONE


def search(args: argparse.Namespace) -> int:
    """`rag search QUESTION` or `--batch`"""
    from rag.answer import Answerer
    from rag.batch import text_of

    _one_or_batch(args)
    chosen = settings(args)
    answerer = Answerer.open(chosen.index, chosen)
    filters = _filters(args)

    def hits(question: str) -> list[Hit]:
        return answerer.search(question, filters, args.mode, args.top)

    def row_of(hit: Hit) -> Mapping[str, Any]:
        return {"document_id": hit.document_id, "start": hit.start, "end": hit.end, "score": round(hit.score, 6)}

    if args.batch:
        return _batch(args, lambda row: {"hits": [row_of(h) for h in hits(text_of(row, "question"))]})
    found = hits(args.question)
    if args.json:
        print(json.dumps({"hits": [row_of(h) for h in found]}, ensure_ascii=False))
    else:
        for n, hit in enumerate(found, 1):
            print(f"{n:2}. {hit.score:.4f}  {hit.document_id} [{hit.start}:{hit.end}]")
            print(f"    {' '.join(hit.text.split())[:200]}")
    return DONE


def read(args: argparse.Namespace) -> int:
    """`rag read --batch`"""
    from rag.answer import checked
    from rag.batch import text_of
    from rag.read import PassageReader

    reader = PassageReader.open(settings(args))
    return _batch(args, lambda row: reader.read(checked(text_of(row, "question")), text_of(row, "context")))


def verify(args: argparse.Namespace) -> int:
    """`rag verify ANSWER.json`"""
    from rag.index import Index
    from rag.verify import verify as prove

    chosen = settings(args)
    proofs = prove(json_file(args.answer), Index.open(chosen.index, chosen))
    if args.json:
        print(json.dumps({"citations": [dataclasses.asdict(proof) for proof in proofs]}, ensure_ascii=False))
    else:
        for proof in proofs:
            where = f" [{proof.start}:{proof.end}]" if proof.start is not None else ""
            print(f"[{proof.n}] {proof.document_id}{where}: {proof.state}")
            for words in proof.difference:
                print(f"    {words}")
    return DONE if all(p.state == "exact" for p in proofs) else PARTLY


def _one_or_batch(args: argparse.Namespace) -> None:
    if bool(args.batch) == (args.question is not None) or bool(args.batch) != bool(args.output):
        print("rag: give a QUESTION, or --batch IN.jsonl with --output OUT.jsonl", file=sys.stderr)
        raise SystemExit(USAGE)


def _batch(args: argparse.Namespace, one: Callable[[Mapping[str, Any]], Mapping[str, Any]]) -> int:
    from tqdm import tqdm

    from rag.batch import run_batch

    def progress(lines: Iterable[bytes]) -> Iterable[bytes]:
        return tqdm(lines, unit="row", file=sys.stderr, disable=not sys.stderr.isatty())

    good, bad = run_batch(args.batch, args.output, one, progress)
    if bad:
        print(f"{bad} of {good + bad} rows could not be done; their errors stand in {args.output}", file=sys.stderr)
    if not good:
        if not bad:
            print(f"rag: {args.batch} has no rows", file=sys.stderr)
        return FAILED
    return PARTLY if bad else DONE


def _filters(args: argparse.Namespace) -> Filters:
    from rag.types import Filters

    return Filters(
        tuple(args.collection),
        tuple(args.document),
        args.since,
        args.until,
        None,
        tuple(args.language),
        tuple(args.author),
    )


def _history(given: Any) -> Any:
    from rag.types import turns

    try:
        return turns(given if isinstance(given, list) else [given])
    except ValueError as error:
        raise BadInput(f"history: {error}") from None


def _show_answer(answer: Answer) -> str:
    """An Answer for a terminal: quotes with the short answer marked, and where each stands."""
    lines: list[str] = []
    if answer.query != answer.question:
        lines.append(f"(asked as: {answer.query})")
    if answer.status == "abstained":
        from rag.web.words import WORDS

        title, why = WORDS["silence"][answer.reason]
        lines.append(f"{title}. {why} ({answer.reason}, confidence {answer.confidence:.2f})")
        lines += [
            f"  near: {n.document_id} [{n.start}:{n.end}] {' '.join(n.text.split())[:120]}…" for n in answer.nearest
        ]
        return "\n".join(lines)
    for c in answer.citations:
        quote = c.quote
        if c.answer and (c.answer.start, c.answer.end) != (c.start, c.end):
            a, b = c.answer.start - c.start, c.answer.end - c.start
            quote = f"{quote[:a]}[{quote[a:b]}]{quote[b:]}"
        where = " › ".join(filter(None, (c.title, *c.section, f"p. {c.pages[0]}" if c.pages else "", c.date or "")))
        lines += [f"[{c.n}] “{quote}”", f"    {where} — {c.document_id} [{c.start}:{c.end}]"]
    lines.append(f"confidence {answer.confidence:.2f}" + ("; the documents disagree" if answer.conflict else ""))
    return "\n".join(lines)
