"""An index in a folder: the FAISS file that is derived from the store, damaged files, memory."""

import shutil
import sqlite3
import subprocess
import sys

import faiss
import numpy as np
import pytest

from rag.errors import IndexMismatch, NotFound
from rag.index import Index
from rag.types import Document, Filters
from rag.vectors import Vectors
from tests.encoder import HashingEncoder


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "docs/sub").mkdir(parents=True)
    (tmp_path / "docs/a.md").write_text("# Ferries\n\nThe ferry to Orrin leaves at nine.\n")
    (tmp_path / "docs/sub/b.txt").write_text("Bicycles travel free of charge on Sundays.")
    return tmp_path


def opened(folder, **options):
    return Index.open(folder / "index", create=True, encoder=HashingEncoder(), **options)


def test_the_faiss_file_is_derived(folder):
    index = opened(folder)
    index.add(folder / "docs")
    query = index.encoder.encode(["ferry to Orrin"])[0]
    expected = index.dense(query, 5, Filters())
    for damage in (
        lambda f: f.unlink(),
        lambda f: f.write_bytes(f.read_bytes()[:40]),
        lambda f: f.write_bytes(b"x" * f.stat().st_size),
    ):
        damage(folder / "index/vectors.faiss")
        again = opened(folder)
        assert again.dense(query, 5, Filters()) == expected
        assert again.encoder.encoded == []
        again._save_vectors()
        assert Vectors.saved_version(folder / "index") == again.version


def test_dense_search_agrees_with_brute_force_under_filters(tmp_path):
    rng = np.random.default_rng(1)
    vectors = rng.normal(size=(500, 32)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    keys = rng.permutation(5000)[:500].astype(np.int64)
    index = Vectors.empty(32).changed(np.array([], np.int64), [(keys, vectors)], "1").changed(keys[:50], [], "2")
    half = vectors.astype(np.float16).astype(np.float32)
    allowed = np.sort(rng.permutation(keys[50:])[:40])
    for query in vectors[:20]:
        for limit in (None, allowed):
            left = [i for i in range(50, 500) if limit is None or keys[i] in limit]
            scores = half[left] @ query
            order = np.argsort(-scores)[:10]
            found = index.search(query, 10, limit)
            assert [k for k, _ in found] == [int(keys[left[i]]) for i in order]
            np.testing.assert_allclose([s for _, s in found], scores[order], atol=1e-3)
    assert index.search(vectors[0], 10, np.array([], np.int64)) == []
    assert faiss.omp_get_max_threads() >= 1


def test_prune_removes_what_a_vanished_folder_gave(tmp_path):
    place = tmp_path / "docs"
    place.mkdir()
    (place / "a.txt").write_text("The quay is open.")
    index = Index.open(tmp_path / "index", create=True, encoder=HashingEncoder())
    index.add(place)
    shutil.rmtree(place)
    with pytest.raises(NotFound, match="--prune removes"):
        index.add(place)
    index.add(place, prune=True)
    assert not list(index.documents())


def test_a_damaged_index_is_refused(folder):
    opened(folder).add(folder / "docs")
    whole = (folder / "index/store.sqlite").read_bytes()
    (folder / "index/store.sqlite").write_bytes(whole[: len(whole) // 2])
    (folder / "index/store.sqlite-wal").unlink(missing_ok=True)
    with pytest.raises(IndexMismatch, match="cut short"):
        Index.open(folder / "index", encoder=HashingEncoder())
    for name in ("store.sqlite", "store.sqlite-wal"):
        (folder / "index" / name).unlink(missing_ok=True)
    (folder / "index/store.sqlite").write_bytes(b"SQLite format 3\0" + b"\1" * 500)
    with pytest.raises(IndexMismatch, match="not a readable index"):
        Index.open(folder / "index", encoder=HashingEncoder())
    with pytest.raises(NotFound, match="rag index"):
        Index.open(folder / "nothing", encoder=HashingEncoder())


def half_a_write(store):
    with store.writing() as db:
        db.execute("DELETE FROM passages")
        db.execute("DELETE FROM no_such_place")


def test_a_failed_write_leaves_the_document_as_it_was(folder):
    index = opened(folder)
    index.add(folder / "docs")
    before = index.version
    with pytest.raises(sqlite3.OperationalError, match="no such table"):
        half_a_write(index.store)
    assert index.version == before
    assert index.store.count() == (2, 2)


def test_common_words_order_what_the_rarer_ones_bring(tmp_path):
    index = opened(tmp_path)
    pages = [f"The xylograph of hall {i} hangs alone." for i in range(6)]
    pages[4] = "The xylograph of the harbour hangs in its harbours."
    pages[5] = "The xylograph of an Überfahrt hangs by the harbour."
    index.put(
        [
            Document(str(i), page)
            for i, page in enumerate([*pages, *["The harbour and an überfahrt."] * 100, *["Nothing."] * 200])
        ]
    )
    every = index.lexical(["xylograph", "harbour", "überfahrt"], 400, Filters())
    index.store.postings = 50
    few = index.lexical(["xylograph", "harbour", "überfahrt"], 400, Filters())
    assert sorted(key for key, _ in few) == [1, 2, 3, 4, 5, 6]
    assert [key for key, _ in few] == [key for key, _ in every if key <= 6]


@pytest.mark.slow
def test_fifty_megabytes_of_text_are_indexed_in_bounded_memory(tmp_path):
    line = "Item {} of the long ledger was entered by the clerk on duty and checked against the day book. "
    with (tmp_path / "long.txt").open("w") as out:
        for i in range(520_000):
            out.write(line.format(i) + ("\n\n" if i % 9 == 8 else ""))
    assert (tmp_path / "long.txt").stat().st_size > 50_000_000
    code = (
        "import resource, sys; from rag.index import Index; from tests.encoder import HashingEncoder as E;"
        "encoder = E(); encoder.dimension = 64; encoder.encode = lambda texts, old=encoder.encode: "
        "(old(texts), encoder.encoded.clear())[0][:, :64];"
        "index = Index.open(sys.argv[2], create=True, encoder=encoder); print(index.add(sys.argv[1]).embedded);"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)"
    )
    args = [sys.executable, "-c", code, str(tmp_path / "long.txt"), str(tmp_path / "index")]
    done = subprocess.run(args, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    embedded, peak = map(int, done.stdout.split())
    assert embedded > 50_000
    assert peak < 1500, f"{peak} MiB"
