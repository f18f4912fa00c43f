"""A trained reader goes on, gently, on questions of one's own; it is replaced only when it has become better at them.

`rag train --from-shipped --data QUESTIONS.jsonl --index DIR` for anyone's own documents; with `--from LAST.pt` and
`--also DIR` (the public sets) the second stage of the shipped model.
"""

from __future__ import annotations

import argparse
import copy
import json
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from rag.errors import BadInput
from rag.evaluate.datasets import Problem, kind_of, read_questions
from rag.train import data, examples, export, shipped, validate
from rag.train.loop import Budget, Recipe, Run, say
from rag.train.model import Reader, from_bert, packaged

SHIPPED = Path(__file__).parents[1] / "models" / "reader"
STAGE = replace(Recipe(), rate=1.2e-4, head_rate=4e-4, rounds=(0.0,), short=0.0)  # among all public sets
GENTLE = replace(STAGE, rate=4e-5, head_rate=1e-4, warmup=0.1, average=0.99, rounds=())  # one's own rows alone
HELD = 0.2  # of one's own rows, by document, to judge on
FEWEST = 40  # rows


def main(argv: list[str] | None = None) -> int:
    """Tune, compare on held-out rows, and ship or refuse (exit code 1)."""
    parser = argparse.ArgumentParser(prog="rag train", description=(__doc__ or "").split("\n")[0])
    origin = parser.add_mutually_exclusive_group(required=True)
    origin.add_argument("--from-shipped", action="store_true", help="start from the model of this package")
    origin.add_argument("--from", dest="checkpoint", type=Path, metavar="LAST.pt", help="start from a finished run")
    parser.add_argument("--data", type=Path, required=True, help="labelled questions, or rows with their passage")
    parser.add_argument("--index", help="the index that the questions are about")
    parser.add_argument("--also", type=Path, metavar="DIR", help="the public training sets, drawn beside one's own")
    parser.add_argument("--share", type=float, default=0.08, help="of the examples that are one's own, with --also")
    parser.add_argument("--blend", type=float, default=0.6, help="of the way from the start's weights to the tuned")
    parser.add_argument("--work", type=Path, help="checkpoints; a killed run goes on from there")
    parser.add_argument("--out", type=Path, default=Path("reader"), help="the folder of the new reader")
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--examples", type=int, help="instead of --minutes: the same run on any machine")
    parser.add_argument("--seed", type=int, default=1, help="of what is drawn; another one for another stage")
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args(argv)
    torch.set_num_threads(options.threads)
    tokenizer = examples.open_tokenizer(str(SHIPPED / "tokenizer.json"))
    corpus = corpus_of(options.data, options.index, options.also, options.share)
    model = start_from(options.checkpoint) if options.checkpoint else shipped.load(SHIPPED / "model.onnx")
    start = copy.deepcopy(model)
    before = figures(model, tokenizer, corpus)
    say("before " + json.dumps(before))
    recipe = replace(STAGE if options.also else GENTLE, seed=options.seed)
    with tempfile.TemporaryDirectory() as scratch:
        budget = Budget(options.minutes, options.examples)
        run = Run(model, corpus, tokenizer, recipe, budget, options.work or Path(scratch))
        tuned = between(start, run.train(), options.blend)
    after = figures(tuned, tokenizer, corpus)
    say("after  " + json.dumps(after))
    if worth(after["own"]) <= worth(before["own"]):
        say(f"not better on the held-out rows, {options.out} was not written; label more, or try fewer --minutes")
        return 1
    sample = list(examples.batches(run.source.chunk(0, 1.0)[:256], tokenizer, 8, recipe.longest, "sample"))
    facts = {"data": list(corpus.train), "examples": run.at.examples, "validation": after}
    export.ship(tuned, SHIPPED / "tokenizer.json", options.out, recipe, facts, sample)
    say(f"{options.out}: use it with RAG_READER={options.out}, after `rag evaluate calibrate` has fitted its threshold")
    return 0


def corpus_of(own: Path, index: str | None, public: Path | None, share: float) -> data.Corpus:
    """One's own rows with HELD of them apart, and the public sets beside them. BadInput: too few."""
    corpus = data.load(public) if public else data.Corpus({}, {}, {})
    rows = own_rows(own, index, corpus)
    for line in corpus.named:
        say(f"skipped {line}")
    if len(rows) < FEWEST:
        raise BadInput(f"{own}: {len(rows)} usable rows; at least {FEWEST} are needed to tune and to judge")
    held = data.held_groups(rows, HELD)
    corpus.held[own.stem] = [row for row in rows if row.group in held]
    corpus.train[own.stem] = [row for row in rows if row.group not in held]
    corpus.weights[own.stem] = sum(corpus.weights.values()) * share / (1 - share) or 1.0
    return corpus


def own_rows(own: Path, index: str | None, corpus: data.Corpus) -> list[data.Row]:
    """Rows with their passage as they are; questions with the passages that the index finds for them."""
    if kind_of(own) != "questions":
        return data.read(own.parent, own.name.removesuffix(".gz").removesuffix(".jsonl"), None, corpus)
    if index is None:
        raise BadInput(f"{own}: these questions have no passages; say with --index which documents they are about")
    from rag.index import Index
    from rag.train.own import span_rows

    found = list(read_questions(own, "questions"))
    corpus.named += [str(q) for q in found if isinstance(q, Problem)]
    raws = span_rows([q for q in found if not isinstance(q, Problem)], Index.open(index), own.stem)
    return [data.span_row(own.stem, raw) for raw in raws]


def start_from(checkpoint: Path) -> Reader:
    """The averaged weights of a finished run."""
    model = from_bert(packaged() / "model.safetensors")
    model.load_state_dict(torch.load(checkpoint, weights_only=True)["average"])
    return model


def between(start: Reader, end: Reader, share: float) -> Reader:
    """Weights on the line between two models: what was learned is kept, what was known is not lost (WiSE-FT,
    Wortsman et al. 2022)."""
    blended = Reader(end.shape)
    tail = end.state_dict()
    blended.load_state_dict({name: torch.lerp(value, tail[name], share) for name, value in start.state_dict().items()})
    return blended.eval()


def figures(model: Reader, tokenizer: examples.Tokenizer, corpus: data.Corpus) -> dict[str, dict]:
    """Validation figures on held-out rows, one's own (the last set) and the public ones."""
    predict = validate.torch_predict(model.eval())
    *public, own = corpus.held
    made = {"own": validate.validate(predict, tokenizer, corpus.held[own])}
    if public:
        others = replace(corpus, held={name: corpus.held[name] for name in public})
        made["public"] = validate.validate(predict, tokenizer, validate.rows_for(others, 500))
        if "written" in public:
            made["written"] = validate.validate(predict, tokenizer, corpus.held["written"])
    return made


def worth(found: dict) -> float:
    """What is compared: right spans and right silence count alike, each where there are rows of its kind."""
    return float(np.nansum([found["f1"] / 100, found["null_auc"]]))


if __name__ == "__main__":
    raise SystemExit(main())
