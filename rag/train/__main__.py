"""`python -m rag.train --data DIR`: from data to the model that ships; after a kill the same command goes on.

`rag train --from-shipped --data QUESTIONS.jsonl --index DIR` tunes the shipped one on questions of one's own.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from dataclasses import replace
from pathlib import Path

import torch

from rag.train import data, examples, validate
from rag.train.loop import Budget, Recipe, Run, say
from rag.train.model import from_bert, packaged


def arguments(argv: list[str] | None = None) -> argparse.Namespace:
    cache = Path(os.environ.get("RAG_CACHE") or Path.home() / ".cache" / "pullquote")
    parser = argparse.ArgumentParser(prog="python -m rag.train", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder with the training sets (or with train/)")
    parser.add_argument("--work", type=Path, default=cache / "train", help="checkpoints; the run goes on from there")
    parser.add_argument("--out", type=Path, help="where the model goes (default: the package's own models/reader)")
    parser.add_argument("--start", type=Path, help="folder with model.safetensors and tokenizer.json to start from")
    parser.add_argument("--minutes", type=float, default=96, help="training time in all, over every resumption")
    parser.add_argument("--examples", type=int, help="instead of --minutes: the same run on any machine")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=2)
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    if any(flag.startswith("--from") for flag in (sys.argv[1:] if argv is None else argv)):
        from rag.train import tune

        return tune.main(argv)
    options = arguments(argv)
    torch.set_num_threads(options.threads)
    start = options.start or packaged()
    tokenizer = examples.open_tokenizer(str(start / "tokenizer.json"))
    corpus = data.load(options.data)
    for line in corpus.named:
        say(f"skipped {line}")
    say(f"{sum(map(len, corpus.train.values()))} rows, {sum(corpus.bad.values())} bad rows skipped")
    recipe = replace(Recipe(), seed=options.seed)
    budget = Budget(options.minutes, options.examples)
    run = Run(from_bert(start / "model.safetensors"), corpus, tokenizer, recipe, budget, options.work)
    model = run.train()
    figures = validate.validate(validate.torch_predict(model), tokenizer, validate.rows_for(corpus, 500))
    say(json.dumps(figures))
    from rag.train import export  # onnx is needed only now

    out = options.out or Path(__file__).parents[1] / "models" / "reader"
    sample = list(examples.batches(run.source.chunk(0, 1.0)[:256], tokenizer, 8, recipe.longest, "sample"))
    facts = {"data": list(corpus.train), "examples": run.at.examples, "validation": figures}
    export.ship(model, start / "tokenizer.json", out, recipe, facts, sample)
    say(f"shipped to {out}")
    return 3 if corpus.bad else 0


if __name__ == "__main__":
    raise SystemExit(main())
