"""kill -9 at random moments, a torn FAISS file, a full disk: what was committed is whole, what derives agrees."""

import os
import random
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from rag.errors import BadInput
from rag.index import Index
from rag.rows import digest
from rag.types import Document, Filters
from rag.vectors import Vectors
from tests.encoder import HashingEncoder

WORK = """
import contextlib, random, resource, signal, sys
import rag.load.text
from pathlib import Path
from rag.errors import BadInput
from rag.index import Index
from tests.encoder import HashingEncoder
docs, place, seed, largest = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
rng = random.Random(seed)

def work(step):
    for name in rng.sample(range(60), 12):
        line = f"Page {name} in edition {rng.random()} tells of word{name}. "
        (docs / f"{name}.txt").write_text(line * rng.randint(1, 40))
    index.add(docs, prune=True)
    index.remove([f"{name}.txt" for name in rng.sample(range(60), 5)])
    if step % 2:
        index.compact()

print("ready", flush=True)
index = Index.open(place, create=True, encoder=HashingEncoder())
if largest:  # no file can grow above it, as on a full disk
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (largest, largest))
for step in range(10_000):
    with contextlib.suppress(BadInput) if largest else contextlib.nullcontext():
        work(step)
"""


def check(place):
    """Every invariant of an index that is opened after a crash."""
    index = Index.open(place, encoder=HashingEncoder())
    store, local = index.store, index.folder is not None
    if local:
        assert store.rows("PRAGMA integrity_check") == [("ok",)]
        store.run("INSERT INTO lexical(lexical) VALUES('integrity-check')")
    documents, passages = store.count()
    seen = 0
    for record in store.records():
        text = record.document.text
        assert record.document.revision == Document("x", text).revision
        assert record.passages
        assert record.passages[0].start == record.passages[0].units[0].start
        covered = {i for p in record.passages for i in range(p.start, p.end)}
        assert all(i in covered for i, c in enumerate(text) if not c.isspace())
        for passage, mark, vector in zip(record.passages, record.digests, record.vectors, strict=True):
            assert mark == digest(passage, text[passage.start : passage.end])
            words = text[passage.start : passage.end]
            again = HashingEncoder().encode([f"{passage.context}\n{words}" if passage.context else words])
            assert vector == again.astype(np.float16)[0].tobytes()
            seen += 1
    assert seen == passages
    keys = store.keys().tolist()
    assert sorted(k for k, _ in store.lexical(["page"], 10_000, Filters())) == keys
    assert sorted(store.allowed(Filters(collections=("default",))).tolist()) == keys
    query = HashingEncoder().encode(["page edition word7"])[0]
    assert sorted(k for k, _ in index.dense(query, 10_000, Filters())) == keys
    assert index.encoder.encoded == []
    assert len(index.documents()) == documents
    index.close()


def killed(tmp_path, place, times, seed, hostile=False):
    """Kill a process that indexes, updates, removes and compacts. Hostile: to some there is no room left, and some
    leave a torn FAISS file."""
    docs, folder = tmp_path / "docs", Path(place)
    docs.mkdir()
    rng = random.Random(seed)
    for n in range(times):
        there = place.startswith("postgresql") or (folder / "store.sqlite").exists()
        full = hostile and there and n % 3 == 1
        largest = max(f.stat().st_size for f in folder.iterdir()) + rng.randint(0, 60_000) if full else 0
        child = subprocess.Popen(
            [sys.executable, "-c", WORK, str(docs), place, str(n), str(largest)],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        try:
            assert child.stdout.readline() == b"ready\n", child.stderr.read()
            time.sleep(rng.uniform(0.0, 0.7))
            assert child.poll() is None, child.stderr.read()
        finally:
            child.kill()
            child.communicate()
        if hostile and n % 3 == 2 and (torn := folder / "vectors.faiss").exists():
            os.truncate(torn, rng.randint(0, torn.stat().st_size))
        if there or (folder / "store.sqlite").exists():
            check(place)
    index = Index.open(place, create=True, encoder=HashingEncoder())
    for file in docs.glob("*.txt"):
        file.write_text("Page mended. " + file.name)
    index.add(docs, prune=True)
    assert index.store.count()[0] == len(list(docs.glob("*.txt")))
    index.close()
    check(place)


def test_killed_at_random_moments_nothing_is_lost(tmp_path):
    killed(tmp_path, str(tmp_path / "index"), 18, 1, hostile=True)


@pytest.mark.slow
def test_killed_two_hundred_times_with_a_full_disk_and_torn_files_nothing_is_lost(tmp_path):
    killed(tmp_path, str(tmp_path / "index"), 200, 2, hostile=True)


@pytest.mark.slow
@pytest.mark.postgres
def test_killed_sixty_times_nothing_is_lost_on_the_server(tmp_path, database):
    Index.open(database, create=True, encoder=HashingEncoder()).close()
    killed(tmp_path, database, 60, 3)


def documents(many):
    return [Document(f"{i}.txt", f"Page {i} tells of word{i}.") for i in range(many)]


@pytest.mark.parametrize("cut", [0, 1, 100, -1, -100])
def test_a_torn_faiss_file_is_made_again_from_the_store(tmp_path, cut):
    index = Index.open(tmp_path, create=True, encoder=HashingEncoder())
    index.put(documents(50))
    file = tmp_path / "vectors.faiss"
    file.write_bytes(file.read_bytes()[:cut])
    (tmp_path / "vectors.faiss.new").write_bytes(b"half")
    check(tmp_path)
    again = Index.open(tmp_path, encoder=HashingEncoder())
    assert again.status()["vectors"].startswith("missing")
    again.put(documents(51))
    assert again.status()["vectors"] == "current"
    assert len(Vectors.load(tmp_path, 512)) == 51


FULL = """
import resource, signal, sys
from rag.errors import RagError
from rag.index import Index
from rag.types import Document
from tests.encoder import HashingEncoder
index = Index.open(sys.argv[1], encoder=HashingEncoder())
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
largest = int(sys.argv[2])
resource.setrlimit(resource.RLIMIT_FSIZE, (largest, largest))
try:
    index.put([Document(f"new{i}.txt", f"Page {i} of news. " * 50) for i in range(400)])
except RagError as error:
    print(error)
"""


@pytest.mark.parametrize("room", [0, 40_000, 400_000])
def test_a_full_disk_is_one_line_and_what_was_committed_stays(tmp_path, room):
    index = Index.open(tmp_path, create=True, encoder=HashingEncoder())
    index.put(documents(50))
    index.close()
    largest = str(max(f.stat().st_size for f in tmp_path.iterdir()) + room)
    done = subprocess.run([sys.executable, "-c", FULL, str(tmp_path), largest], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("\n") == 1
    assert "cannot be written" in done.stdout
    check(tmp_path)
    again = Index.open(tmp_path, encoder=HashingEncoder())
    assert {f"{i}.txt" for i in range(50)} <= {info.id for info in again.documents()}
    again.put([Document("after.txt", "Page after the disk had room again.")])
    check(tmp_path)


def test_a_store_that_cannot_be_made_leaves_nothing(tmp_path):
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(BadInput, match="choose another --index"):
        Index.open(tmp_path / "file", create=True, encoder=HashingEncoder())
