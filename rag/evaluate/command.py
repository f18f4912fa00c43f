"""`rag evaluate run | compare | gate | calibrate | table | draft`: tables on stdout, exit codes of the contracts."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from rag.errors import BadInput
from rag.settings import Settings


def grammar() -> argparse.ArgumentParser:
    """The commands and their options. `--index` is None unless it was given."""
    parser = argparse.ArgumentParser(prog="rag evaluate", description="How good the answers are.")
    commands = parser.add_subparsers(
        dest="evaluation", required=True, metavar="run | compare | gate | calibrate | table | draft"
    )

    run = commands.add_parser("run", help="ask a file of questions and measure the answers")
    run.add_argument(
        "questions", help="JSONL of questions, SQuAD JSON, SQuAD-like JSONL, answer sentences, BEIR folder"
    )
    run.add_argument("--index", help="the index to ask")
    run.add_argument("--out", help="folder for results.jsonl, summary.json and report.html")
    run.add_argument("--mode", choices=("end-to-end", "retrieval", "reader"), help="default: what suits the file")
    run.add_argument("--open", action="store_true", help="index the file's own passages and answer over all of them")
    run.add_argument("--retrieval", choices=("dense", "lexical", "fused", "reranked"), help="how passages are found")
    run.add_argument("--reread", type=_positive, help="reranked: the reader judges so many, the others follow as fused")
    run.add_argument("--top", type=_positive, help="passages looked at (10; 100 for a BEIR folder)")
    run.add_argument("--several", action="store_true", help="the gold spans of a row are parts of one answer")
    run.add_argument("--limit", type=_positive, help="only the first N rows")
    run.add_argument("--sample", type=_positive, help="N rows drawn at random (see --seed)")
    run.add_argument("--typos", action="store_true", help="with one typing error in each content word of a question")
    run.add_argument("--threshold", type=float, help="answer from this probability on, in place of the calibrated one")
    run.add_argument("--model", help="the embedding model, as in `rag index`")
    run.add_argument("--reader", help="shipped, overlap, a reader folder or a pulled model")
    run.add_argument("--seed", type=int, default=0, help="of sample, typos and bootstrap (0)")
    run.add_argument("--strict", action="store_true", help="exit code 1 when a row could not be used")

    compare = commands.add_parser("compare", help="set two runs side by side, question by question")
    compare.add_argument("a", help="folder of the first run")
    compare.add_argument("b", help="folder of the second run")
    compare.add_argument("--list", type=_positive, default=20, help="questions listed each way (20)")
    compare.add_argument("--json", action="store_true", help="everything, as JSON")
    compare.add_argument("--seed", type=int, default=0, help="of the bootstrap (0)")

    gate = commands.add_parser("gate", help="exit code 1 when a figure fell beyond its margin")
    gate.add_argument("results", help="folder of the run")
    gate.add_argument("--baseline", required=True, help="JSON file of values and margins")
    gate.add_argument("--write-baseline", action="store_true", help="make the baseline that this run just meets")
    gate.add_argument("--margin", type=float, default=0.02, help="for metrics new to a written baseline (0.02)")

    fit = commands.add_parser("calibrate", help="fit confidence and threshold to labelled questions of your own")
    fit.add_argument(
        "questions", nargs="+", metavar="QUESTIONS",
        help="as for `run`; or a folder with questions.jsonl and the docs/ they are about",
    )  # fmt: skip
    fit.add_argument("--index", help="the index that questions outside such a folder are about")
    fit.add_argument("--max-wrong", type=float, default=0.1, help="accepted share of wrong answers among the answered")
    fit.add_argument("--out", help="the file to write (default: calibration.json in the index folder)")
    fit.add_argument("--limit", type=_positive, help="only the first N rows")
    fit.add_argument("--model", help="the embedding model, as in `rag index`")

    table = commands.add_parser("table", help="run the standard sets and write their figures as one Markdown table")
    table.add_argument("--data", help="folder with eval/ and retrieval/ (default: RAG_DATA)")
    table.add_argument("--out", required=True, help="folder of the runs, taken up where it stopped, and of table.md")
    table.add_argument("--reader", action="append", help="repeatable; default: overlap, and the one of the settings")
    table.add_argument("--only", action="append", default=[], metavar="NAME", help="only runs with NAME in their name")
    table.add_argument("--sample", type=_positive, help="at most N questions of every set (default: see the table)")
    table.add_argument("--model", help="the embedding model, as in `rag index`")
    table.add_argument("--seed", type=int, default=0, help="of sample, typos and bootstrap (0)")

    draft = commands.add_parser(
        "draft", help="make questions by rules, for a person to check, and name unreached pages"
    )
    draft.add_argument("corpus", help="folder or file, as in `rag index`")
    draft.add_argument("--output", required=True, help="JSONL file of questions to write")
    draft.add_argument("--most", type=_positive, default=12, help="questions a document (12)")
    draft.add_argument("--model", help="the embedding model, as in `rag index`")
    return parser


def main(argv: Sequence[str]) -> int:
    """Run `rag evaluate` with these arguments; the exit code. Raises RagError when nothing could be done."""
    args = grammar().parse_args(argv)
    code: int = {
        "run": _run, "compare": _compare, "gate": _gate, "calibrate": _calibrate, "table": _table, "draft": _draft
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
    from rag import calibrate
    from rag.evaluate.labels import labelled

    settings = Settings.load({key: getattr(args, key) for key in ("index", "model")})
    if not args.out and "://" in settings.index:
        raise BadInput("an index on a server has no folder for the calibration; give --out FILE")
    found = labelled([Path(path) for path in args.questions], settings, args.limit, _watch)
    for problem in found.problems:
        print(problem, file=sys.stderr)
    fitted = calibrate.fit_best(found.features, found.right, args.max_wrong)
    out = Path(args.out) if args.out else Path(settings.index, calibrate.FILE)
    names = ", ".join(Path(path).name for path in args.questions)
    note = f"{len(found.features)} questions of {names}, at most {args.max_wrong:.0%} wrong among the answered"
    calibrate.save(out, found.reader, found.kind, fitted, note)
    print(f"{out}: {found.reader}, {found.kind}: {note}; answers begin at {fitted.threshold:.3f}")
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


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is not 1 or more")
    return number
