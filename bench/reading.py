"""Ten passages read for a question: the int8 reader as it ships beside torch in fp32, the same shape and weights,
turn by turn in one process. Passages are of 160 tokens with the question."""

from __future__ import annotations

import argparse
import statistics

import numpy as np
import torch

from bench.measure import seconds, told
from rag.neural import SHIPPED, NeuralReader
from rag.settings import Settings
from rag.train import shipped

PASSAGES, TOKENS, ASKED = 10, 160, 12


def main() -> None:
    """One line: milliseconds of each, and the ratio."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=20)
    options = parser.parse_args()
    torch.set_num_threads(Settings().cores)
    reader, model = NeuralReader(SHIPPED, Settings().cores), shipped.load(SHIPPED / "model.onnx")
    rng = np.random.default_rng(0)
    ids = rng.integers(1000, 30000, (PASSAGES, TOKENS))
    ids[:, 0], ids[:, ASKED], ids[:, -1] = reader.cls, reader.sep, reader.sep
    kinds = np.broadcast_to((np.arange(TOKENS) > ASKED).astype(int), ids.shape)
    mask = np.ones_like(ids)
    rows = [
        {"input_ids": i, "attention_mask": m, "token_type_ids": k} for i, m, k in zip(ids, mask, kinds, strict=True)
    ]
    tensors = [torch.tensor(x) for x in (ids, mask, kinds.copy())]

    def with_torch() -> object:
        with torch.inference_mode():
            return model(*tensors)

    ways = {"pullquote int8": lambda: reader.model.run(rows), "torch fp32": with_torch}
    taken: dict[str, list[float]] = {name: [] for name in ways}
    for round_ in range(options.rounds + 2):
        for name, call in ways.items():
            time = seconds(call)
            if round_ > 1:  # the first two warm up
                taken[name].append(1000 * time)
    ours, theirs = (statistics.median(times) for times in taken.values())
    told(
        "reading", passages=PASSAGES, tokens=TOKENS, threads=Settings().cores, rounds=options.rounds,
        **{f"{name} ms": statistics.median(times) for name, times in taken.items()}, ratio=theirs / ours,
    )  # fmt: skip


if __name__ == "__main__":
    main()
