"""What each part of the recipe gives: equal runs on a part of the data, one thing left out in each.

`python -m rag.train.ablate --data DIR --out FILE.jsonl [--examples N]`; rows that FILE has are not run again.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from dataclasses import replace
from pathlib import Path

import torch

from rag.train import data, examples, validate
from rag.train.loop import Budget, Recipe, Run, say
from rag.train.model import from_bert, packaged

BASE = replace(Recipe(), rounds=(0.5,), short=1.0)
REAL = ("squad2cr_unanswerable_matched", "squad2_train_extra")
SENTENCES = ("reqa_squad_train10k", "selqa_dev")
WIKIPEDIA = ("squad1_train_part", "squadshifts_new_wiki_part", *REAL, *SENTENCES)
LATER = ("written", "medquad", "pages")  # sets that the base goes without
ROWS: dict[str, tuple[Recipe, tuple[str, ...]]] = {  # name: (recipe, sets left out)
    "base, seed 1": (BASE, LATER),
    "base, seed 2": (replace(BASE, seed=2), LATER),
    "no made negatives": (replace(BASE, negatives=0.0), LATER),
    "no real unanswerable questions": (BASE, (*REAL, *LATER)),
    "no sentence rows, so no self-training": (BASE, (*SENTENCES, *LATER)),
    "Wikipedia alone": (BASE, tuple(name for name in data.MIXTURE if name not in WIKIPEDIA)),
    "no evidence loss": (replace(BASE, evidence_weight=0.0), LATER),
    "with written questions and MedQuAD": (BASE, ("pages",)),
}


def main(argv: list[str] | None = None) -> int:
    """Run what is missing in the file, then print the table in Markdown."""
    parser = argparse.ArgumentParser(prog="python -m rag.train.ablate", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="folder with the training sets")
    parser.add_argument("--out", type=Path, required=True, help="one JSON line a row")
    parser.add_argument("--examples", type=int, default=3000, help="of each run")
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args(argv)
    torch.set_num_threads(options.threads)
    lines = options.out.read_text("utf-8").splitlines() if options.out.exists() else []
    done = {row["name"]: row for row in map(json.loads, lines)}
    start = packaged()
    tokenizer = examples.open_tokenizer(str(start / "tokenizer.json"))
    judged = validate.rows_for(data.load(options.data), 500)
    for name, (recipe, without) in ROWS.items():
        if name in done:
            continue
        corpus = data.load(options.data, {k: v for k, v in data.MIXTURE.items() if k not in without})
        torch.manual_seed(recipe.seed)
        with tempfile.TemporaryDirectory() as work:
            model = from_bert(start / "model.safetensors")
            model = Run(model, corpus, tokenizer, recipe, Budget(examples=options.examples), Path(work)).train()
        found = validate.validate(validate.torch_predict(model), tokenizer, judged)
        done[name] = {"name": name, "examples": options.examples, **found}
        with options.out.open("a", encoding="utf-8") as out:
            out.write(json.dumps(done[name]) + "\n")
        say(json.dumps(done[name]))
    print("| left out | EM | F1 | AUC of relevance | AUC of best span against “no answer” |\n|---|---|---|---|---|")
    for name in ROWS:
        row = done[name]
        print(f"| {name} | {row['em']:.1f} | {row['f1']:.1f} | {row['relevance_auc']:.3f} | {row['null_auc']:.3f} |")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
