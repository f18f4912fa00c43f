"""The second stage: a trained reader goes on, gently, on rows of one's own among a part of what it learned from.

`python -m rag.train.tune --from LAST.pt --own ROWS.jsonl --data DIR`; rows come from `rag.train.own`, or are span rows.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path

import torch

from rag.train import data, examples, export, validate
from rag.train.loop import Budget, Recipe, Run, say
from rag.train.model import Reader, from_bert, packaged

GENTLE = replace(Recipe(), rate=1.2e-4, head_rate=4e-4, rounds=(0.0, 0.5), short=0.0)


def corpus_with(own: Path, folder: Path, share: float) -> data.Corpus:
    """The public sets and one's own rows, `share` of the draws."""
    corpus = data.load(folder)
    rows = data.read(own.parent, own.stem, None, corpus)
    if not rows:
        raise SystemExit(f"{own}: no usable row; {corpus.named[-1] if corpus.named else 'it is empty'}")
    held = data.held_groups(rows, 0.1)
    corpus.held[own.stem] = [row for row in rows if row.group in held]
    corpus.train[own.stem] = [row for row in rows if row.group not in held]
    corpus.weights[own.stem] = sum(corpus.weights.values()) * share / (1 - share)
    return corpus


def start_from(checkpoint: Path, weights: Path) -> Reader:
    """The averaged weights of a finished run."""
    model = from_bert(weights)
    model.load_state_dict(torch.load(checkpoint, weights_only=True)["average"])
    return model


def main(argv: list[str] | None = None) -> int:
    """Tune, validate, ship."""
    parser = argparse.ArgumentParser(prog="python -m rag.train.tune", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--from", dest="start", type=Path, required=True, help="last.pt of a finished run")
    parser.add_argument("--own", type=Path, required=True, help="span rows, .jsonl")
    parser.add_argument("--data", type=Path, required=True, help="folder with the public training sets")
    parser.add_argument("--work", type=Path, required=True, help="checkpoints of this stage")
    parser.add_argument("--out", type=Path, required=True, help="where the model goes")
    parser.add_argument("--share", type=float, default=0.08, help="of the examples that are one's own")
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--float32", action="store_true", help="do not quantise")
    options = parser.parse_args(argv)
    torch.set_num_threads(options.threads)
    folder = packaged()
    tokenizer = examples.open_tokenizer(str(folder / "tokenizer.json"))
    corpus = corpus_with(options.own, options.data, options.share)
    model = start_from(options.start, folder / "model.safetensors")
    held = corpus.held[options.own.stem]
    public = validate.rows_for(
        replace(corpus, held={k: v for k, v in corpus.held.items() if k != options.own.stem}), 500
    )
    say("before " + json.dumps(figures(model, tokenizer, public, held)))
    run = Run(model, corpus, tokenizer, GENTLE, Budget(options.minutes), options.work)
    tuned = run.train()
    after = figures(tuned, tokenizer, public, held)
    say("after  " + json.dumps(after))
    sample = list(examples.batches(run.source.chunk(0, 1.0)[:256], tokenizer, 8, GENTLE.longest, "sample"))
    facts = {"data": list(corpus.train), "examples": run.at.examples, "validation": after}
    export.ship(tuned, folder / "tokenizer.json", options.out, GENTLE, facts, sample, int8=not options.float32)
    say(f"shipped to {options.out}")
    return 0


def figures(model: Reader, tokenizer: examples.Tokenizer, public: list[data.Row], own: list[data.Row]) -> dict:
    """Validation figures on held-out public rows and on held-out rows of one's own."""
    predict = validate.torch_predict(model.eval())
    return {"public": validate.validate(predict, tokenizer, public), "own": validate.validate(predict, tokenizer, own)}


if __name__ == "__main__":
    raise SystemExit(main())
