"""Nearest neighbours over passage keys. Door of faiss. Derived from the store; may be deleted at any time."""

from __future__ import annotations

import json
import os
from pathlib import Path

import faiss
import numpy as np

FILE = "vectors.faiss"
_STATE = "vectors.json"


class Vectors:
    """Exact inner-product search over unit vectors kept as float16."""

    def __init__(self, raw: faiss.IndexIDMap2) -> None:
        self.raw = raw

    @classmethod
    def empty(cls, dimension: int) -> Vectors:
        """An index without vectors."""
        kind = faiss.IndexScalarQuantizer(dimension, faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_INNER_PRODUCT)
        return cls(faiss.IndexIDMap2(kind))

    @classmethod
    def load(cls, folder: Path, dimension: int) -> tuple[Vectors, str]:
        """The saved index and the store version it was saved at; an empty one and "" when there is no sound file."""
        if version := cls.saved_version(folder):
            try:
                raw = faiss.read_index(str(folder / FILE))
                if raw.d == dimension:
                    return cls(raw), version
            except RuntimeError:
                pass
        return cls.empty(dimension), ""

    @staticmethod
    def saved_version(folder: Path) -> str:
        """The store version that the saved file was made at; "" when there is none, or it has another size now."""
        try:
            state = json.loads((folder / _STATE).read_text("utf-8"))
            return str(state["version"]) if (folder / FILE).stat().st_size == state["bytes"] else ""
        except (OSError, ValueError, KeyError, TypeError):
            return ""

    def save(self, folder: Path, version: str) -> None:
        """Write index and state, each in one step; the state last, so that a torn pair is never taken for current."""
        (folder / _STATE).unlink(missing_ok=True)
        faiss.write_index(self.raw, str(folder / f"{FILE}.new"))
        state = json.dumps({"version": version, "bytes": (folder / f"{FILE}.new").stat().st_size})
        os.replace(folder / f"{FILE}.new", folder / FILE)
        (folder / f"{_STATE}.new").write_text(state, "utf-8")
        os.replace(folder / f"{_STATE}.new", folder / _STATE)

    def __len__(self) -> int:
        return int(self.raw.ntotal)

    def keys(self) -> np.ndarray:
        """int64: the keys that are in it."""
        return faiss.vector_to_array(self.raw.id_map)

    def add(self, keys: np.ndarray, vectors: np.ndarray) -> None:
        """int64 [n] keys and float32 [n, d] unit vectors."""
        self.raw.add_with_ids(np.ascontiguousarray(vectors), np.ascontiguousarray(keys))

    def remove(self, keys: np.ndarray) -> None:
        """Keys that are not in it are passed over."""
        if len(keys):
            self.raw.remove_ids(np.ascontiguousarray(keys))

    def search(self, vector: np.ndarray, top: int, allowed: np.ndarray | None = None) -> list[tuple[int, float]]:
        """Keys and cosines of the `top` nearest to one float32 [d] vector, best first, among `allowed` keys only."""
        if not len(self) or (allowed is not None and not len(allowed)):
            return []
        options = None
        if allowed is not None:
            options = faiss.SearchParameters(sel=faiss.IDSelectorBatch(np.ascontiguousarray(allowed)))
        # A single query is slower on several threads than on one.
        threads = faiss.omp_get_max_threads()
        faiss.omp_set_num_threads(1)
        try:
            scores, keys = self.raw.search(vector.reshape(1, -1), min(top, len(self)), params=options)
        finally:
            faiss.omp_set_num_threads(threads)
        return [(int(k), float(s)) for k, s in zip(keys[0], scores[0], strict=True) if k >= 0]
