"""The grammar of `rag evaluate`."""

from __future__ import annotations

import argparse


def grammar() -> argparse.ArgumentParser:
    """The commands and their options. `--index` is None unless it was given."""
    parser = argparse.ArgumentParser(prog="rag evaluate", description="How good the answers are.")
    commands = parser.add_subparsers(
        dest="evaluation", required=True, metavar="run | compare | gate | calibrate | table | curve | feedback | draft"
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
    policy = fit.add_mutually_exclusive_group()
    policy.add_argument(
        "--max-wrong", type=float, default=0.1, help="accepted share of wrong answers among the answered"
    )
    policy.add_argument(
        "--balance", action="store_true",
        help="rows with their passage: answer from where F1 of the answerable is the share of silence on the others",
    )  # fmt: skip
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

    curve = commands.add_parser("curve", help="draw how many answers are wrong when only the surest are given")
    curve.add_argument("runs", nargs="+", metavar="[NAME=]FOLDER", help="folders of runs")
    curve.add_argument("--output", required=True, help="SVG file to write")

    rated = commands.add_parser("feedback", help="show what people thought of answers, or turn it into questions")
    rated.add_argument("--index", help="the index that was asked")
    rated.add_argument("--output", help="JSONL file of questions to write")

    draft = commands.add_parser(
        "draft", help="make questions by rules, for a person to check, and name unreached pages"
    )
    draft.add_argument("corpus", help="folder or file, as in `rag index`")
    draft.add_argument("--output", required=True, help="JSONL file of questions to write")
    draft.add_argument("--most", type=_positive, default=12, help="questions a document (12)")
    draft.add_argument("--model", help="the embedding model, as in `rag index`")
    return parser


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is not 1 or more")
    return number
