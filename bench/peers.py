"""A question's passages at 5,000 passages, warm: ours (dense + lexical + fusion) beside LangChain with FAISS and
Haystack (dense only), same weights, same passages, same process, turn by turn. The question is embedded each time."""

from __future__ import annotations

import shutil
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from bench.corpus import WORK, Corpus, arguments, corpus
from bench.growth import built
from bench.measure import told
from rag import runtime
from rag.retrieve import retrieve
from rag.settings import Settings
from rag.types import Filters

Ask = Callable[[str], Any]


def ours(made: Corpus, many: int) -> Ask:
    """The retrieval of every face of Pullquote."""
    place = WORK / "peers"
    shutil.rmtree(place, ignore_errors=True)
    index, _ = built(many, "real", made, place)
    return lambda question: retrieve(index, question, Filters())


def langchain(made: Corpus, many: int, model: str) -> Ask:
    """LangChain's FAISS store as its documentation sets it up."""
    from langchain_community.vectorstores import FAISS
    from langchain_huggingface import HuggingFaceEmbeddings

    embed = HuggingFaceEmbeddings(
        model_name=model, model_kwargs={"device": "cpu"}, encode_kwargs={"normalize_embeddings": True}
    )
    store = FAISS.from_embeddings(
        list(zip(made.texts[:many], made.vectors[:many].tolist(), strict=True)), embedding=embed
    )
    return lambda question: store.similarity_search_with_score(question, k=10)


def haystack(made: Corpus, many: int, model: str) -> Ask:
    """Haystack's in-memory store behind its pipeline."""
    from haystack import Document, Pipeline
    from haystack.components.retrievers.in_memory import InMemoryEmbeddingRetriever
    from haystack.document_stores.in_memory import InMemoryDocumentStore
    from haystack_integrations.components.embedders.sentence_transformers import SentenceTransformersTextEmbedder

    store = InMemoryDocumentStore(embedding_similarity_function="cosine")
    pairs = zip(made.texts[:many], made.vectors[:many].tolist(), strict=True)
    store.write_documents([Document(content=text, embedding=vector) for text, vector in pairs])
    pipeline = Pipeline()
    pipeline.add_component("embed", SentenceTransformersTextEmbedder(model=model, progress_bar=False))
    pipeline.add_component("find", InMemoryEmbeddingRetriever(store, top_k=10))
    pipeline.connect("embed.embedding", "find.query_embedding")
    return lambda question: pipeline.run({"embed": {"text": question}})


def main() -> None:
    """One line for each, and one with the ratios of the medians."""
    parser = arguments(__doc__)
    parser.add_argument("--passages", type=int, default=5000)
    parser.add_argument("--questions", type=int, default=100)
    options = parser.parse_args()
    options.real = max(options.passages, 1)
    made = corpus(options)
    model = str(runtime.weights(runtime.DEFAULT_MODEL, Settings().models))
    ways = {
        "pullquote": ours(made, options.passages),
        "langchain-faiss": langchain(made, options.passages, model),
        "haystack": haystack(made, options.passages, model),
    }
    questions = made.questions[: options.questions]
    taken: dict[str, list[float]] = {name: [] for name in ways}
    for turn, question in enumerate([*questions[:10], *questions]):
        for name, ask in ways.items():
            began = time.perf_counter()
            ask(question)
            if turn >= 10:  # the first ten warm everything up
                taken[name].append(1000 * (time.perf_counter() - began))
    for name, times in taken.items():
        told(
            "peers", system=name, passages=options.passages, p50_ms=statistics.median(times),
            p95_ms=float(np.percentile(times, 95)),
        )  # fmt: skip
    mine = statistics.median(taken["pullquote"])
    told("peers ratio", **{name: statistics.median(times) / mine for name, times in taken.items() if times})


if __name__ == "__main__":
    main()
