"""Texts → unit vectors: the default model on onnxruntime, any other through sentence_transformers (its door)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np

from rag import runtime
from rag.errors import ModelError
from rag.export import exportable
from rag.settings import Settings


class Encoder(Protocol):
    """What the index and the retriever need of an embedding model."""

    name: str
    dimension: int

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        """float32 [n, dimension], every row of length 1."""
        ...

    def count(self, texts: Sequence[str]) -> Sequence[int]:
        """Tokens of each text."""
        ...


class OnnxEncoder:
    """A prepared model; texts are cut at `limit` tokens."""

    def __init__(self, name: str, folder: Path, threads: int, limit: int = 256) -> None:
        self.name = name
        self.limit = limit
        self.tokenizer = runtime.Tokenizer(folder / "tokenizer.json")
        self.model = runtime.Model(folder / "model.onnx", threads)
        self.dimension = int(self.model.session.get_outputs()[0].shape[1])
        self.count = self.tokenizer.count

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        """The same vector for a text in any company."""
        rows = [{"input_ids": ids, "attention_mask": [1] * len(ids)} for ids in self.tokenizer.ids(texts, self.limit)]
        vectors = [outputs[0] for outputs in self.model.run(rows)]
        return np.array(vectors, dtype=np.float32).reshape(len(rows), self.dimension)


class TransformersEncoder:
    """Any other sentence-transformers model on this machine: a folder, or pulled. Nothing is fetched here."""

    def __init__(self, name: str, where: str) -> None:
        import sentence_transformers

        try:
            self.model = sentence_transformers.SentenceTransformer(
                where, device="cpu", trust_remote_code=False, local_files_only=True
            )
        except Exception as error:
            reason = str(error).strip().splitlines()[0]
            raise ModelError(f"model {name} cannot be opened: {reason}; run `rag models pull {name}`") from None
        self.name = name
        self.dimension = int(self.model.get_sentence_embedding_dimension() or 0)

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        """sentence_transformers sorts by length itself."""
        vectors = self.model.encode(list(texts), normalize_embeddings=True, show_progress_bar=False)
        return np.asarray(vectors, dtype=np.float32).reshape(len(texts), self.dimension)

    def count(self, texts: Sequence[str]) -> list[int]:
        """Tokens without the special ones."""
        return [len(ids) for ids in self.model.tokenizer(list(texts), add_special_tokens=False)["input_ids"]]


def open_encoder(settings: Settings, name: str | None = None) -> Encoder:
    """The encoder `name` (default: the one of the settings). Raises ModelError with the next step."""
    name = name or settings.model
    folder = runtime.weights(name, settings.models)
    if folder is not None and exportable(folder):
        return OnnxEncoder(name, runtime.prepared(name, settings.models), settings.cores)
    if folder is None and name == runtime.DEFAULT_MODEL:
        runtime.prepared(name, settings.models)  # raises: says how to get it
    return TransformersEncoder(name, str(folder or name))
