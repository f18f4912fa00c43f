"""Nearest neighbours over passage keys. Door of faiss. Derived from the store; may be deleted at any time.

`base` is what was built and saved: every vector as float16 while exact search is fast, inverted lists of 8 bit codes
above that. It is never changed. What came and went since stands beside it, and a search looks at both.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import faiss
import numpy as np

from rag.errors import BadInput

FILE = "vectors.faiss"
EXACT = 200_000  # vectors up to which every one of them is compared
NARROW = 20_000  # passages up to which a filtered search compares every one that is left
RECALL = 0.98  # recall@10 that the number of lists to look into is chosen for
SMALL = 50_000  # an index up to this size is written anew with every change
_STATE = "vectors.json"
_WIDER = 4  # candidates of an inexact search, as a multiple of what is wanted; the store's vectors order them
_QUERIES = 200

Pair = tuple[np.ndarray, np.ndarray]
Batches = Iterable[Pair]
Fetch = Callable[[np.ndarray], Batches]  # int64 keys → batches of keys and float32 vectors; keys that are gone left out
Found = list[tuple[int, float]]


@dataclass(frozen=True, slots=True)
class Vectors:
    """Inner-product search over unit vectors at one version of the store; values are never changed."""

    base: Any
    extra: Any  # exact: what came since
    gone: np.ndarray  # int64: keys of the base that went since
    version: str = ""
    built: str = ""  # the version that the base was built at
    highest: int = 0  # no passage above this key was seen
    lists: int = 0  # inverted lists that a search looks into; 0: exact
    recall: float = 1.0  # recall@10 against exact search, measured when it was built

    @classmethod
    def empty(cls, dimension: int, version: str = "") -> Vectors:
        """An index without vectors."""
        return cls(_exact(dimension), _exact(dimension), np.array([], np.int64), version, version)

    @classmethod
    def build(cls, dimension: int, keys: np.ndarray, fetch: Fetch, version: str = "", exact: int = EXACT) -> Vectors:
        """An index of these keys (int64, ascending); above `exact` of them with inverted lists."""
        new = replace(cls.empty(dimension, version), highest=int(keys[-1]) if len(keys) else 0)
        if len(keys) <= exact:
            for some, vectors in fetch(keys):
                new.base.add_with_ids(vectors, some)
            return new
        rng = np.random.default_rng(0)
        lists = 2 ** round(np.log2(2 * np.sqrt(len(keys))))
        base = faiss.IndexIVFScalarQuantizer(
            faiss.IndexFlatIP(dimension), dimension, lists, faiss.ScalarQuantizer.QT_8bit, faiss.METRIC_INNER_PRODUCT
        )
        sample = np.sort(rng.choice(keys, min(len(keys), 48 * lists), replace=False))
        base.train(np.concatenate([v for _, v in fetch(sample)]))
        # A question lies near passages, not on one: each is made of two, which is harder than asking with a passage.
        pairs = np.sort(rng.choice(keys, 2 * min(len(keys) // 2, _QUERIES), replace=False))
        ends = (
            np.concatenate([v for _, v in fetch(pairs)])[rng.permutation(len(pairs))].reshape(2, -1, dimension).sum(0)
        )
        queries = (ends / np.linalg.norm(ends, axis=1, keepdims=True)).astype(np.float32)
        best, scores = np.empty((len(queries), 0), np.int64), np.empty((len(queries), 0), np.float32)
        for some, vectors in fetch(keys):
            base.add_with_ids(vectors, some)
            best, scores = _best(best, scores, some, queries @ vectors.T, 10)
        return replace(new, base=base)._tuned(queries, best, fetch)

    def _tuned(self, queries: np.ndarray, truth: np.ndarray, fetch: Fetch) -> Vectors:
        """Look into as few lists as reach RECALL; `truth` has the keys that exact search finds for each query."""
        lists = 8
        while True:
            lists = min(lists, self.base.nlist)
            tuned = replace(self, lists=lists)
            right = sum(
                len({k for k, _ in tuned.search(query, 10, fetch=fetch)} & set(near))
                for query, near in zip(queries, truth.tolist(), strict=True)
            )
            tuned = replace(tuned, recall=round(right / max(1, truth.size), 4))
            if tuned.recall >= RECALL or lists == self.base.nlist:
                return tuned
            lists *= 2

    @classmethod
    def load(cls, folder: Path, dimension: int) -> Vectors | None:
        """The saved index, memory-mapped when it has inverted lists; None when there is no sound file."""
        try:
            state = _state(folder)
            flags = faiss.IO_FLAG_MMAP | faiss.IO_FLAG_READ_ONLY if state["lists"] else 0
            base = faiss.read_index(str(folder / FILE), flags)
            if base.d != dimension or base.ntotal != state["vectors"]:
                return None
            version = str(state["version"])
            empty = cls.empty(dimension)
            return replace(
                empty, base=base, version=version, built=version, highest=int(state["highest"]),
                lists=int(state["lists"]), recall=float(state["recall"]),
            )  # fmt: skip
        except (OSError, ValueError, KeyError, TypeError, RuntimeError):
            return None

    @staticmethod
    def saved_version(folder: Path) -> str:
        """The store version that the saved file was made at; "" when there is none, or it has another size now."""
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            return str(_state(folder)["version"])
        return ""

    @staticmethod
    def discard(folder: Path) -> None:
        """Delete the saved index."""
        for name in (_STATE, f"{_STATE}.new", FILE, f"{FILE}.new"):
            (folder / name).unlink(missing_ok=True)

    def save(self, folder: Path) -> None:
        """Write the base and its state, each in one step; the state last: a torn pair is never taken for current."""
        new, state = folder / f"{FILE}.new", folder / f"{_STATE}.new"
        try:
            faiss.write_index(self.base, str(new))
            with new.open("rb") as written:
                os.fsync(written.fileno())
            values = {
                "version": self.built, "bytes": new.stat().st_size, "vectors": int(self.base.ntotal),
                "highest": self.highest, "lists": self.lists, "recall": self.recall,
            }  # fmt: skip
            (folder / _STATE).unlink(missing_ok=True)
            os.replace(new, folder / FILE)
            state.write_text(json.dumps(values), "utf-8")
            os.replace(state, folder / _STATE)
        except (OSError, RuntimeError) as error:
            with contextlib.suppress(OSError):
                new.unlink(missing_ok=True)
            reason = getattr(error, "strerror", None) or "no room left, or the folder cannot be written"
            raise BadInput(
                f"{folder / FILE}: cannot be written ({reason}); all documents are kept, and the next run writes it"
            ) from None

    def __len__(self) -> int:
        return int(self.base.ntotal + self.extra.ntotal) - len(self.gone)

    @property
    def kind(self) -> str:
        """In words, for `rag status`."""
        if not self.lists:
            return "exact"
        return f"{self.base.nlist} lists, {self.lists} looked into, recall@10 {self.recall:.3f}"

    @property
    def changes(self) -> int:
        """How many vectors stand beside the base."""
        return int(self.extra.ntotal) + len(self.gone)

    @property
    def stale(self) -> bool:
        """True when the base is worth building anew."""
        return self.changes > 0 and (len(self) <= SMALL or self.changes * 20 > len(self))

    def changed(self, removed: np.ndarray, added: Batches, version: str) -> Vectors:
        """The index at a later version, at the cost of the change."""
        extra = faiss.clone_index(self.extra)
        if len(removed):
            extra.remove_ids(removed)
        highest = self.highest
        for keys, vectors in added:
            extra.add_with_ids(vectors, keys)
            highest = max(highest, int(keys[-1]))
        gone = np.union1d(self.gone, removed[np.isin(removed, _ids(self.base))]) if len(removed) else self.gone
        return replace(self, extra=extra, gone=gone, version=version, highest=highest)

    def search(
        self, vector: np.ndarray, top: int, allowed: np.ndarray | None = None, fetch: Fetch | None = None
    ) -> Found:
        """Keys and cosines of the `top` nearest to one float32 [d] vector, best first, among `allowed` keys only.

        `fetch` gives the store's vectors; an inexact index needs it to order its candidates.
        """
        if not len(self) or (allowed is not None and not len(allowed)):
            return []
        query = np.ascontiguousarray(vector.reshape(1, -1), np.float32)
        if not self.lists or fetch is None:
            return self._search(query, top, allowed, max(1, self.lists))
        if allowed is not None and len(allowed) <= NARROW:
            return _ordered(query, allowed, fetch, top)
        share = 1.0 if allowed is None else len(allowed) / len(self)
        near = self._search(query, _WIDER * top, allowed, min(self.base.nlist, round(self.lists / share)))
        return _ordered(query, np.sort(np.array([k for k, _ in near], np.int64)), fetch, top)

    def _search(self, query: np.ndarray, top: int, allowed: np.ndarray | None, lists: int) -> Found:
        found: Found = []
        with _one_thread(), _selector(allowed, self.gone) as chosen:
            for index in (self.base, self.extra):
                if not index.ntotal:
                    continue
                options = None
                if index is self.base and self.lists:
                    options = faiss.SearchParametersIVF(nprobe=lists, sel=chosen)
                elif chosen is not None:
                    options = faiss.SearchParameters(sel=chosen)
                scores, keys = index.search(query, min(top, int(index.ntotal)), params=options)
                found += [(int(k), float(s)) for k, s in zip(keys[0], scores[0], strict=True) if k >= 0]
        return sorted(found, key=lambda pair: -pair[1])[:top]


def _state(folder: Path) -> dict[str, Any]:
    state: dict[str, Any] = json.loads((folder / _STATE).read_text("utf-8"))
    if (folder / FILE).stat().st_size != state["bytes"]:
        raise ValueError("torn")
    return state


def _exact(dimension: int) -> Any:
    kind = faiss.IndexScalarQuantizer(dimension, faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_INNER_PRODUCT)
    return faiss.IndexIDMap2(kind)


def _ids(index: Any) -> np.ndarray:
    if hasattr(index, "id_map"):
        return faiss.vector_to_array(index.id_map)
    lists = index.invlists
    parts = [faiss.rev_swig_ptr(lists.get_ids(i), lists.list_size(i)) for i in range(index.nlist) if lists.list_size(i)]
    return np.concatenate(parts) if parts else np.array([], np.int64)


def _best(keys: np.ndarray, scores: np.ndarray, new: np.ndarray, new_scores: np.ndarray, top: int) -> Pair:
    """The best `top` of two sets of scored keys, row by row."""
    keys = np.hstack([keys, np.broadcast_to(new, new_scores.shape)])
    scores = np.hstack([scores, new_scores])
    order = np.argsort(-scores, axis=1, kind="stable")[:, :top]
    return np.take_along_axis(keys, order, 1), np.take_along_axis(scores, order, 1)


def _ordered(query: np.ndarray, keys: np.ndarray, fetch: Fetch, top: int) -> Found:
    found = [(int(k), float(s)) for some, vectors in fetch(keys) for k, s in zip(some, vectors @ query[0], strict=True)]
    return sorted(found, key=lambda pair: (-pair[1], pair[0]))[:top]


@contextlib.contextmanager
def _selector(allowed: np.ndarray | None, gone: np.ndarray) -> Iterator[Any]:
    """A faiss selector, alive while it is used; None when every vector counts."""
    if allowed is not None:
        mask = np.zeros(int(allowed[-1]) + 1, bool)
        mask[allowed] = True
        mask[gone[gone < len(mask)]] = False
        yield faiss.IDSelectorBitmap(np.packbits(mask, bitorder="little"))
    elif len(gone):
        inner = faiss.IDSelectorBatch(gone)
        yield faiss.IDSelectorNot(inner)
    else:
        yield None


@contextlib.contextmanager
def _one_thread() -> Iterator[None]:
    """A single query is slower on several threads than on one."""
    threads = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(1)
    try:
        yield
    finally:
        faiss.omp_set_num_threads(threads)
