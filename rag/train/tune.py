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

SHARE = 0.5  # of the examples that are one's own
KEPT = ("squad1_train_part", "squadshifts_new_wiki_part", "squad2cr_unanswerable_matched", "squad2_train_extra")
GENTLE = replace(Recipe(), rate=6e-5, head_rate=2e-4, warmup=0.1, average=0.99)


def corpus_with(own: Path, folder: Path) -> data.Corpus:
    """The kept public sets and one's own rows, SHARE of the draws."""
    kept = {name: data.MIXTURE[name] for name in KEPT}
    corpus = data.load(folder, kept)
    rows = data.read(own.parent, own.stem, None, corpus)
    if not rows:
        raise SystemExit(f"{own}: no usable row; {corpus.named[-1] if corpus.named else 'it is empty'}")
    held = data.held_groups(rows, 0.1)
    corpus.held[own.stem] = [row for row in rows if row.group in held]
    corpus.train[own.stem] = [row for row in rows if row.group not in held]
    corpus.weights[own.stem] = sum(corpus.weights.values()) * SHARE / (1 - SHARE)
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
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--float32", action="store_true", help="do not quantise")
    options = parser.parse_args(argv)
    torch.set_num_threads(options.threads)
    folder = packaged()
    tokenizer = examples.open_tokenizer(str(folder / "tokenizer.json"))
    corpus = corpus_with(options.own, options.data)
    model = start_from(options.start, folder / "model.safetensors")
    held = corpus.held[options.own.stem]
    public = validate.rows_for(replace(corpus, held={k: v for k, v in corpus.held.items() if k in KEPT}), 300)
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
