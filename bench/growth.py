"""From 1,000 passages to a million: time, memory, disk, p50 and p95 of a question, recall against exact search.

Every size is built and asked in a process of its own. Sizes up to the number of real passages are measured with real
ones as well; rows say which they are ("real" or "mixed", see bench/corpus.py).
"""

from __future__ import annotations

import json
import resource
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from bench.corpus import WORK, Corpus, arguments, corpus
from bench.measure import each, seconds, told
from rag.index import Index
from rag.retrieve import retrieve
from rag.types import Filters

LIMITS = {"all": Filters(), "1%": Filters(until="2020-12-31"), "0.1%": Filters(collections=("c1",))}
QUESTIONS = 200


def built(many: int, kind: str, made: Corpus, place: str | Path) -> tuple[Index, dict[str, Any]]:
    """A new index of that size at `place`, and what it cost to make."""
    index = Index.open(place, create=True, encoder=made.encoder)
    records = made.records(many, kind == "mixed")
    stored = seconds(lambda: _store(index, records))
    return index, {"stored_s": stored, "passages_per_s": round(many / stored)}


def _store(index: Index, records: Any) -> None:
    with index.writing():
        for record in records:
            index.store.put(record)
        began = time.perf_counter()
    print(f"vectors made in {time.perf_counter() - began:.1f} s", file=sys.stderr)


def truth(index: Index, asked: np.ndarray, filters: Filters) -> list[set[int]]:
    """The keys of the ten nearest passages of each question, by comparing every one."""
    allowed = index.store.allowed(filters)
    keys, scores = np.empty(0, np.int64), np.empty((len(asked), 0), np.float32)
    for some, vectors in index.store.vectors(index.store.keys() if allowed is None else allowed):
        keys, scores = np.append(keys, some), np.hstack([scores, asked @ vectors.T])
        best = np.unique(np.argsort(-scores, axis=1)[:, :10])
        keys, scores = keys[best], scores[:, best]
    return [set(keys[np.argsort(-row)[:10]].tolist()) for row in scores]


def asked(index: Index, made: Corpus) -> dict[str, Any]:
    """What a question costs, warm, without its embedding: whole, by part, and under filters; and the recall."""
    pairs = list(zip(made.questions[:QUESTIONS], made.asked[:QUESTIONS], strict=True))
    for question, vector in pairs[:50]:
        retrieve(index, question, Filters(), vector=vector)
    parts: dict[str, Any] = {
        mode: each([lambda q=q, v=v, m=mode: retrieve(index, q, Filters(), mode=m, vector=v) for q, v in pairs])
        for mode in ("fused", "dense", "lexical")
    }
    for name, filters in LIMITS.items():
        if name != "all":
            retrieve(index, *pairs[0][:1], filters, vector=pairs[0][1])
            parts[name] = each([lambda q=q, v=v, f=filters: retrieve(index, q, f, vector=v) for q, v in pairs])
        near = truth(index, made.asked[:QUESTIONS], filters)
        found = [{key for key, _ in index.dense(vector, 10, filters)} for _, vector in pairs]
        right = sum(len(a & b) for a, b in zip(found, near, strict=True))
        parts[f"recall@10 {name}"] = round(right / max(1, sum(map(len, near))), 4)
    return parts


def one(many: int, kind: str, made: Corpus) -> dict[str, Any]:
    """One size, in this process; the index stays in build/bench/."""
    place = WORK / f"growth-{kind}-{many}"
    shutil.rmtree(place, ignore_errors=True)
    index, cost = built(many, kind, made, place)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    figures = asked(index, made)
    search = index.status()["search"]
    index.close()  # the last connection also empties the write-ahead log
    disk = {f"{f.name}_mb": f.stat().st_size // 2**20 for f in place.iterdir() if f.stat().st_size > 2**20}
    opened = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "bench.opening", str(place), *made.questions[:10]],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    return {
        "passages": many, "kind": kind, **cost, "peak_mb": peak, **disk, "search": search,
        **figures, **json.loads(opened.stdout),
    }  # fmt: skip


def plot(rows: list[dict[str, Any]], file: Path) -> None:
    """Time of a question, recall, disk and memory over the size; real filled, mixed hollow."""
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(2, 2, figsize=(10, 7))
    panels = {
        "milliseconds a question (p95 —, p50 ··)": lambda r: (r["fused"]["p95_ms"], r["fused"]["p50_ms"]),
        "recall@10 against exact": lambda r: (r["recall@10 all"],),
        "MB on disk": lambda r: (sum(v for k, v in r.items() if k.endswith(("sqlite_mb", "faiss_mb"))),),
        "resident MB of a serving process": lambda r: (r["rss_mb"],),
    }
    for axis, (title, value) in zip(axes.flat, panels.items(), strict=True):
        for kind, face in (("real", "C0"), ("mixed", "white")):
            own = sorted((r for r in rows if r["kind"] == kind), key=lambda r: r["passages"])
            for style, line in zip(("o-", "o:"), zip(*(value(r) for r in own), strict=True), strict=False):
                axis.plot([r["passages"] for r in own], line, style, color="C0", markerfacecolor=face,
                          label=kind if style == "o-" else None)  # fmt: skip
        axis.set(xscale="log", title=title, xlabel="passages")
        axis.set_ylim(bottom=0)
        axis.legend()
    figure.tight_layout()
    figure.savefig(file, dpi=120)


def main() -> None:
    """`--one N KIND` is what the benchmark calls for each size."""
    parser = arguments(__doc__)
    parser.add_argument("--sizes", default="1000,10000,100000,1000000")
    parser.add_argument("--one", nargs=2, metavar=("N", "KIND"))
    parser.add_argument("--keep", action="store_true", help="leave the indexes in build/bench")
    options = parser.parse_args()
    if options.one:
        told("growth", **one(int(options.one[0]), options.one[1], corpus(options)))
        return
    corpus(options)  # made before the clock of any size runs
    rows = []
    for many in map(int, options.sizes.split(",")):
        for kind in ("real", "mixed"):
            if kind == "real" and many > options.real:
                continue
            own = ["--real", str(options.real), *(["--docs", options.docs] if options.docs else [])]
            done = subprocess.run(
                [sys.executable, "-W", "ignore", "-m", "bench.growth", "--one", str(many), kind, *own],
                stdout=subprocess.PIPE, text=True, check=True,
            )  # fmt: skip
            print(done.stdout, end="", flush=True)
            rows.append(json.loads(done.stdout))
            if not options.keep:
                shutil.rmtree(WORK / f"growth-{kind}-{many}")
    mixed = {r["passages"]: r["fused"]["p95_ms"] for r in rows if r["kind"] == "mixed"}
    if len(mixed) > 1:
        small = 10_000 if 10_000 in mixed else min(mixed)
        told("growth ratio", **{"from": small, "to": max(mixed), "p95": mixed[max(mixed)] / mixed[small]})
    plot(rows, WORK / "growth.png")
    print(f"plot in {WORK / 'growth.png'}", file=sys.stderr)


if __name__ == "__main__":
    main()
