"""Passages embedded in a second: ours beside sentence-transformers with torch in fp32, and the share of the
machine's own matrix-multiply peak that each reaches. Same texts, same process, turn by turn."""

from __future__ import annotations

import os
import statistics

import numpy as np

from bench.corpus import arguments, corpus
from bench.measure import seconds, told
from rag import runtime
from rag.settings import Settings

LAYERS, WIDTH, INNER = 6, 384, 1536  # all-MiniLM-L6-v2


def work(lengths: list[int]) -> float:
    """Floating-point operations of the model's matrix multiplications for texts of these lengths in tokens."""
    weights = LAYERS * (4 * WIDTH * WIDTH + 2 * WIDTH * INNER)
    return float(sum(2 * weights * n + LAYERS * 4 * n * n * WIDTH for n in lengths))


def peaks() -> dict[str, float]:
    """Measured GFLOP/s of square matrix products of the shapes that are fast, all cores: fp32, bf16, int8."""
    import torch

    best = {}
    for name, kind in (("fp32", torch.float32), ("bf16", torch.bfloat16), ("int8", torch.int8)):
        found = 0.0
        for size in (1024, 2048):
            raw = torch.rand(size, size) * 4
            a, b = raw.to(kind), raw.T.contiguous().T.to(kind)
            product = torch._int_mm if kind == torch.int8 else torch.mm
            product(a, b)
            found = max(found, *(2 * size**3 / seconds(lambda p=product, a=a, b=b: p(a, b)) / 1e9 for _ in range(5)))
        best[name] = found
    return best


def main() -> None:
    """One line for each encoder, one for the machine, and one with the ratio."""
    parser = arguments(__doc__)
    parser.add_argument("--texts", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    options.real = options.texts
    import torch
    from sentence_transformers import SentenceTransformer

    made = corpus(options)
    folder = runtime.weights(runtime.DEFAULT_MODEL, Settings().models)
    torch.set_num_threads(Settings().cores)
    other = SentenceTransformer(str(folder), device="cpu")
    ways = {
        "pullquote": made.encoder.encode,
        "sentence-transformers fp32": lambda texts: other.encode(
            texts, batch_size=32, normalize_embeddings=True, show_progress_bar=False
        ),
    }
    texts, taken = made.texts[: options.texts], {name: [] for name in ways}
    agreed = float(np.mean(np.sum(ways["pullquote"](texts[:64]) * ways["sentence-transformers fp32"](texts[:64]), 1)))
    for _ in range(options.rounds):
        for name, encode in ways.items():
            taken[name].append(seconds(lambda encode=encode: encode(texts)))
    flops, peak = work([n + 2 for n in made.encoder.count(texts)]), peaks()
    told("matmul peak", threads=torch.get_num_threads(), **{f"{k}_gflops": v for k, v in peak.items()})
    for name, times in taken.items():
        speed = flops / statistics.median(times) / 1e9
        told(
            "embedding", encoder=name, texts=len(texts), per_second=len(texts) / statistics.median(times),
            slowest=len(texts) / max(times), fastest=len(texts) / min(times), gflops=speed,
            **{f"share_of_{k}_peak": speed / v for k, v in peak.items()},
        )  # fmt: skip
    ours, theirs = (statistics.median(times) for times in taken.values())
    told("embedding ratio", ratio=theirs / ours, cosine_with_fp32=agreed, pid=os.getpid())


if __name__ == "__main__":
    main()
