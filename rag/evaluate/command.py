"""What each command of `rag evaluate` does: tables on stdout, exit codes of the contracts."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from rag.errors import BadInput
from rag.evaluate.grammar import grammar
from rag.settings import Settings


def main(argv: Sequence[str]) -> int:
    """Run `rag evaluate` with these arguments; the exit code. Raises RagError when nothing could be done."""
    args = grammar().parse_args(argv)
    code: int = {
        "run": _run, "compare": _compare, "gate": _gate, "calibrate": _calibrate, "table": _table, "curve": _curve,
        "draft": _draft,
        "feedback": _feedback,
    }[args.evaluation](args)  # fmt: skip
    return code


def _run(args: argparse.Namespace) -> int:
    from rag.evaluate.datasets import kind_of
    from rag.evaluate.runner import run
    from rag.evaluate.summary import summary_table

    settings = Settings.load({key: getattr(args, key) for key in ("index", "model", "reader", "threshold")})
    kind = kind_of(Path(args.questions))
    engine: Any = None
    with ExitStack() as stack:
        build = _builder(stack, settings)
        if (kind in ("spans", "squad") and not args.open) or (kind == "sentences" and not args.retrieval):
            from rag.read import PassageReader

            engine = PassageReader.open(settings)
        elif kind == "questions" or (kind == "beir" and args.index):
            engine = _answerer(settings.index, settings)
        summary = run(
            args.questions, engine, out=args.out, mode=args.mode, open_=args.open, limit=args.limit, sample=args.sample,
            progress=_watch, retrieval=args.retrieval, top=args.top, seed=args.seed, several=args.several,
            typos=args.typos, reread=args.reread, build_index=build,
        )  # fmt: skip
    print(summary_table(summary))
    for problem in summary.problems:
        print(problem, file=sys.stderr)
    skipped = summary.counts["skipped"]
    if skipped:
        print(f"{skipped} rows could not be used", file=sys.stderr)
    return (1 if args.strict else 3) if skipped else 0


def _answerer(path: str, settings: Settings) -> Any:
    from rag.answer import Answerer

    return Answerer.open(path, settings)


def _calibrate(args: argparse.Namespace) -> int:
    from dataclasses import replace

    from rag import calibrate
    from rag.evaluate.labels import labelled

    settings = Settings.load({key: getattr(args, key) for key in ("index", "model")})
    if not args.out and "://" in settings.index:
        raise BadInput("an index on a server has no folder for the calibration; give --out FILE")
    found = labelled([Path(path) for path in args.questions], settings, args.limit, _watch)
    if args.balance and "passage" not in found.kinds:
        raise BadInput("--balance is for rows with their passage; questions about documents take --max-wrong")
    for problem in found.problems:
        print(problem, file=sys.stderr)
    out = Path(args.out) if args.out else Path(settings.index, calibrate.FILE)
    names = ", ".join(Path(path).name for path in args.questions)
    for kind, rows in found.kinds.items():
        if kind == "forced" and len({good for _, goods in rows for good in goods}) < 2:
            continue  # every span is right: nothing to learn
        fitted = calibrate.fit_best([row[0] for row in rows], [row[1] for row in rows], args.max_wrong)
        policy = f"at most {args.max_wrong:.0%} wrong among the answered"
        if kind == "forced":
            fitted, policy = replace(fitted, threshold=0.0), "all of them answered"
        elif args.balance:
            sure = [fitted.probability(features[0]) for features, _ in rows]
            fitted = replace(fitted, threshold=calibrate.balanced(sure, found.f1))
            policy = "answers and silences balanced"
        note = f"{len(rows)} questions of {names}, {policy}"
        calibrate.save(out, found.reader, kind, fitted, note)
        print(f"{out}: {found.reader}, {kind}: {note}; answers begin at {fitted.threshold:.3f}")
    return 3 if found.problems else 0


def _builder(stack: ExitStack, settings: Settings) -> Any:
    """A function that indexes documents in a folder which is gone when `stack` closes, and gives its Answerer."""

    def build(documents: Iterable[Any]) -> Any:
        import tempfile

        from rag.index import Index

        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="rag-evaluate-"))
        index = Index.open(folder, settings, create=True)
        index.put(list(documents))
        index.close()
        return _answerer(folder, settings)

    return build


def _watch(questions: Iterable[Any], total: int) -> Iterable[Any]:
    from tqdm import tqdm

    return tqdm(questions, total=total, unit="question", file=sys.stderr, disable=None)


def _compare(args: argparse.Namespace) -> int:
    import dataclasses

    from rag.evaluate.comparison import compare
    from rag.evaluate.summary import finite

    found = compare(args.a, args.b, args.seed)
    if args.json:
        print(json.dumps(finite(dataclasses.asdict(found)), ensure_ascii=False))
    else:
        print(found.table(args.list))
    return 0


def _gate(args: argparse.Namespace) -> int:
    from rag.evaluate.comparison import checks_table, gate, write_baseline

    if args.write_baseline:
        made = write_baseline(args.results, args.baseline, args.margin)
        print(f"{args.baseline}: {len(made['metrics'])} metrics written")
        return 0
    checks = gate(args.results, args.baseline)
    print(checks_table(checks))
    fell = [check.name for check in checks if not check.passed]
    if fell:
        print(f"fell beyond the margin: {', '.join(fell)}", file=sys.stderr)
    return 1 if fell else 0


def _table(args: argparse.Namespace) -> int:
    from rag.evaluate.tables import write_tables

    settings = Settings.load({"model": args.model, "data": args.data})
    if not settings.data:
        raise BadInput("say where the sets are: --data DIR or RAG_DATA")
    readers = tuple(dict.fromkeys(args.reader or ("overlap", settings.reader)))
    page, missing = write_tables(
        settings, Path(args.out), readers, only=args.only, sample=args.sample, seed=args.seed, progress=_watch
    )
    print(page, end="")
    for name in missing:
        print(f"skipped {name}: no such set in {settings.data}", file=sys.stderr)
    return 3 if missing else 0


def _curve(args: argparse.Namespace) -> int:
    from rag.evaluate.picture import curves_of, picture

    curves = curves_of(args.runs)
    try:
        Path(args.output).write_text(picture(curves), "utf-8")
    except OSError as error:
        raise BadInput(f"{args.output}: {error.strerror}; choose another --output") from None
    print(f"{args.output}: {', '.join(curves)}")
    return 0


def _feedback(args: argparse.Namespace) -> int:
    from rag.evaluate.feedback import lines, rows
    from rag.index import Index
    from rag.state import State

    settings = Settings.load({"index": args.index})
    index = Index.open(settings.index, settings)
    given = State.open(settings).feedback()
    if not args.output:
        print("\n".join(lines(given)) or "no feedback yet")
        return 0
    made, unsettled = rows(given, index)
    if not made:
        raise BadInput(f"{len(given)} ratings, and none says what would have been right; review them without --output")
    try:
        Path(args.output).write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in made), "utf-8")
    except OSError as error:
        raise BadInput(f"{args.output}: {error.strerror}; choose another --output") from None
    print(f"{args.output}: {len(made)} questions")
    if unsettled:
        print(
            f"{unsettled} ratings do not say what would have been right; review them without --output", file=sys.stderr
        )
    return 3 if unsettled else 0


def _draft(args: argparse.Namespace) -> int:
    import tempfile
    from collections import Counter

    from rag.evaluate.draft import draft, unreached
    from rag.evaluate.summary import aligned
    from rag.index import Index

    settings = Settings.load({"model": args.model})
    with tempfile.TemporaryDirectory(prefix="rag-evaluate-") as folder:
        index = Index.open(folder, settings, create=True)
        report = index.add(args.corpus)
        documents = [index.document(info.id) for info in index.documents()]
        index.close()
        rows = [row for document in documents for row in draft(document, args.most)]
        if not rows:
            raise BadInput(f"{args.corpus}: nothing in it gives a question; write some by hand (docs/evaluation.md)")
        try:
            text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
            Path(args.output).write_text(text, "utf-8")
        except OSError as error:
            raise BadInput(f"{args.output}: {error.strerror}; choose another --output") from None
        answerer = _answerer(folder, settings)
        missing = unreached(documents, _watch((row["question"] for row in rows), len(rows)), answerer)
    made = Counter(row["tags"][1] for row in rows)
    print("\n".join(aligned([("rule", "questions"), *((rule, str(n)) for rule, n in made.most_common())])))
    print(f"\n{len(missing)} of the pages and unpaged documents are retrieved by none of them")
    print("".join(f"  {name}\n" for name in missing), end="")
    for path, reason in report.skipped:
        print(f"{path}: {reason}", file=sys.stderr)
    return 3 if report.skipped else 0
