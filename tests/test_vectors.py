"""Nearest neighbours: exact below a size, inverted lists with a measured recall above it, cheap to keep current."""

import threading

import faiss
import numpy as np
import pytest

from rag import vectors as room
from rag.index import Index
from rag.types import Document, Filters
from rag.vectors import Vectors
from tests.encoder import HashingEncoder

DIMENSION = 32


def made(many, seed=0):
    """Unit vectors in clusters, as text has them, at float16 precision."""
    centres = np.random.default_rng(99).normal(size=(60, DIMENSION))
    rng = np.random.default_rng(seed)
    raw = centres[rng.integers(0, 60, many)] + 0.6 * rng.normal(size=(many, DIMENSION))
    unit = (raw / np.linalg.norm(raw, axis=1, keepdims=True)).astype(np.float16)
    return {7 + 3 * i: v for i, v in enumerate(unit.astype(np.float32))}


class Kept:
    """A store's vectors; counts what is read of them."""

    def __init__(self, there):
        self.there, self.read = there, 0

    @property
    def keys(self):
        return np.array(sorted(self.there), np.int64)

    def __call__(self, keys):
        found = [int(k) for k in keys if int(k) in self.there]
        self.read += len(found)
        for first in range(0, len(found), 1000):
            some = found[first : first + 1000]
            yield np.array(some, np.int64), np.stack([self.there[k] for k in some])


def truth(there, query, top, allowed=None):
    left = sorted(there if allowed is None else set(allowed) & set(there))
    scores = np.stack([there[k] for k in left]) @ query
    return [left[i] for i in np.argsort(-scores, kind="stable")[:top]]


def recall(vectors, kept, queries, allowed=None):
    right = total = 0
    for query in queries:
        near = truth(kept.there, query, 10, allowed)
        right += len({k for k, _ in vectors.search(query, 10, allowed, kept)} & set(near))
        total += len(near)
    return right / total


@pytest.fixture(scope="module")
def large():
    kept = Kept(made(6000))
    return kept, Vectors.build(DIMENSION, kept.keys, kept, "s.1", exact=2000)


def test_the_kind_is_chosen_by_size(large):
    kept, vectors = large
    assert vectors.lists
    assert "lists" in vectors.kind
    small = Vectors.build(DIMENSION, kept.keys, kept, "s.1", exact=6000)
    assert (small.lists, small.kind, len(small)) == (0, "exact", 6000)


def test_the_stated_recall_is_measured_and_holds_for_other_questions(large):
    kept, vectors = large
    assert vectors.recall >= room.RECALL
    assert recall(vectors, kept, list(made(100, seed=5).values())) >= vectors.recall - 0.03


def test_scores_of_an_inexact_index_are_the_exact_ones(large):
    kept, vectors = large
    query = made(1, seed=9)[7]
    for key, score in vectors.search(query, 10, None, kept):
        assert score == pytest.approx(float(kept.there[key] @ query), abs=1e-6)


@pytest.mark.parametrize("share", [0.001, 0.01, 0.1, 0.5])
@pytest.mark.parametrize("narrow", [0, 20_000])
def test_recall_holds_under_selective_filters(large, monkeypatch, share, narrow):
    monkeypatch.setattr(room, "NARROW", narrow)
    kept, vectors = large
    rng = np.random.default_rng(3)
    allowed = np.sort(rng.choice(kept.keys, int(share * 6000), replace=False))
    found = recall(vectors, kept, list(made(40, seed=6).values()), allowed)
    assert found == 1.0 if narrow else found >= vectors.recall - 0.03
    inside = set(allowed.tolist())
    assert all(k in inside for k, _ in vectors.search(made(1, seed=8)[7], 50, allowed, kept))


def test_it_is_saved_and_opened_memory_mapped(large, tmp_path):
    kept, vectors = large
    vectors.save(tmp_path)
    again = Vectors.load(tmp_path, DIMENSION)
    assert (again.recall, again.lists, again.version, len(again)) == (vectors.recall, vectors.lists, "s.1", 6000)
    assert isinstance(faiss.downcast_InvertedLists(again.base.invlists), faiss.OnDiskInvertedLists)
    query = made(1, seed=4)[7]
    assert again.search(query, 10, None, kept) == vectors.search(query, 10, None, kept)
    assert Vectors.load(tmp_path, DIMENSION + 1) is None


@pytest.mark.parametrize("exact", [2000, 100_000])
def test_changes_cost_the_change_and_are_seen_at_once(tmp_path, exact):
    kept = Kept(made(6000))
    Vectors.build(DIMENSION, kept.keys, kept, "s.1", exact=exact).save(tmp_path)
    vectors = Vectors.load(tmp_path, DIMENSION)
    new = {100_000 + k: v for k, v in made(50, seed=2).items()}
    removed = np.array(sorted(kept.there)[100:130], np.int64)
    kept.there = {k: v for k, v in (kept.there | new).items() if k not in set(removed.tolist())}
    later = vectors.changed(removed, kept(np.array(sorted(new), np.int64)), "s.2")
    assert (len(later), later.changes, later.version, later.built) == (6020, 80, "s.2", "s.1")
    assert len(vectors) == 6000  # a search that runs meanwhile sees the old state
    for key in sorted(new)[:10]:
        assert later.search(new[key], 1, None, kept)[0][0] == key
    assert recall(later, kept, list(made(60, seed=7).values())) >= vectors.recall - 0.03
    assert not {k for q in made(20, seed=1).values() for k, _ in later.search(q, 50, None, kept)} & set(
        removed.tolist()
    )
    last = later.changed(np.array(sorted(new)[:5], np.int64), [], "s.3")
    assert (len(last), last.changes) == (6015, 75)


def test_when_enough_changed_it_is_built_anew():
    kept = Kept(made(room.SMALL // 25))
    vectors = Vectors.build(DIMENSION, kept.keys, kept, "s.1")
    assert not vectors.stale
    assert vectors.changed(kept.keys[:1], [], "s.2").stale  # small: always


def test_a_catch_up_reads_what_changed_not_the_index(tmp_path, monkeypatch):
    index = Index.open(tmp_path, create=True, encoder=HashingEncoder())
    index.put([Document(str(i), f"word{i} stands on page {i}.") for i in range(400)])
    reader = Index.open(tmp_path, encoder=HashingEncoder())
    assert len(reader.vectors()) == 400
    read = []
    store_vectors = reader.store.vectors
    monkeypatch.setattr(reader.store, "vectors", lambda keys: (read.append(len(keys)), store_vectors(keys))[1])
    index.put([Document("new", "A new page.")])
    index.remove(["7"])
    assert len(reader.vectors()) == 400
    assert read == [1]


def test_an_index_above_the_size_answers_as_an_exact_one_does(tmp_path, monkeypatch):
    monkeypatch.setattr(room, "SMALL", 100)
    exact = Index.open(tmp_path / "exact", create=True, encoder=HashingEncoder())
    index = Index.open(tmp_path / "lists", create=True, encoder=HashingEncoder())
    index.exact = 500
    pages = [
        Document(f"{i}", f"Page {i} tells of word{i % 97} and word{i % 31}.", collection="ab"[i % 50 == 0])
        for i in range(1500)
    ]
    for one in (exact, index):
        one.put(pages)
        one.put([Document("late", "Page late tells of word5 and word6.", collection="b")])
        one.remove(["3", "50"])
    assert "recall@10" in index.status()["search"]
    assert index.status()["vectors"].startswith("behind")  # the base stays, the rest is caught up
    again = Index.open(tmp_path / "lists", encoder=HashingEncoder())
    for filters in (Filters(), Filters(collections=("b",))):
        for n in range(30):
            vector = HashingEncoder().encode([f"word{n} word{n % 31}"])[0]
            best = {exact.passages([k])[k].document_id: s for k, s in exact.dense(vector, 10, filters)}
            found = {again.passages([k])[k].document_id: s for k, s in again.dense(vector, 10, filters)}
            assert sorted(found.values()) == pytest.approx(sorted(best.values()), abs=2e-3)
    assert again.encoder.encoded == []


def test_readers_go_on_while_a_writer_works(tmp_path):
    index = Index.open(tmp_path, create=True, encoder=HashingEncoder())
    index.put([Document("a", "The quay opens at six.")])
    reader, failed, done = Index.open(tmp_path, encoder=HashingEncoder()), [], threading.Event()
    vector = HashingEncoder().encode(["quay opens"])[0]

    def ask():
        while not done.is_set():
            keys = [k for k, _ in reader.dense(vector, 5, Filters())]
            if "a" not in {p.document_id for p in reader.passages(keys).values()}:
                failed.append(keys)
        reader.close()

    threads = [threading.Thread(target=ask) for _ in range(2)]
    for thread in threads:
        thread.start()
    for i in range(20):
        index.put([Document(f"n{i}", f"Other page {i}.")])
    done.set()
    for thread in threads:
        thread.join()
    assert failed == []
