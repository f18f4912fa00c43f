"""kill -9 at random moments, a torn FAISS file, a full disk: what was committed is whole, what derives agrees."""

import random
import subprocess
import sys
import time

import numpy as np
import pytest

from rag.errors import BadInput
from rag.index import Index
from rag.rows import digest
from rag.types import Document, Filters
from rag.vectors import Vectors
from tests.encoder import HashingEncoder

WORK = """
import sys, random
import rag.load.text
from rag.index import Index
from tests.encoder import HashingEncoder
from pathlib import Path
docs, folder, seed = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
rng = random.Random(seed)
print("ready", flush=True)
index = Index.open(folder, create=True, encoder=HashingEncoder())
for step in range(10_000):
    for name in rng.sample(range(60), 12):
        line = f"Page {name} in edition {rng.random()} tells of word{name}. "
        (docs / f"{name}.txt").write_text(line * rng.randint(1, 40))
    index.add(docs, prune=True)
    index.remove([f"{name}.txt" for name in rng.sample(range(60), 5)])
    if step % 2:
        index.compact()
"""


def check(folder):
    """Every invariant of an index that is opened after a crash."""
    index = Index.open(folder, encoder=HashingEncoder())
    store = index.store
    assert store.db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
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
    store.db.execute("INSERT INTO lexical(lexical) VALUES('integrity-check')")
    keys = store.keys().tolist()
    assert sorted(k for k, _ in store.lexical(["page"], 10_000, Filters())) == keys
    assert sorted(store.allowed(Filters(collections=("default",))).tolist()) == keys
    vectors = index.vectors()
    query = HashingEncoder().encode(["page edition word7"])[0]
    assert sorted(k for k, _ in vectors.search(query, 10_000)) == keys
    assert index.encoder.encoded == []
    assert len(index.documents()) == documents
    index.close()


def killed(tmp_path, times, seed):
    docs, folder = tmp_path / "docs", tmp_path / "index"
    docs.mkdir()
    rng = random.Random(seed)
    for n in range(times):
        child = subprocess.Popen(
            [sys.executable, "-c", WORK, str(docs), str(folder), str(n)], stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        try:
            assert child.stdout.readline() == b"ready\n", child.stderr.read()
            time.sleep(rng.uniform(0.0, 0.7))
            assert child.poll() is None, child.stderr.read()
        finally:
            child.kill()
            child.communicate()
        if (folder / "store.sqlite").exists():
            check(folder)
    index = Index.open(folder, create=True, encoder=HashingEncoder())
    for file in docs.glob("*.txt"):
        file.write_text("Page mended. " + file.name)
    index.add(docs, prune=True)
    assert index.store.count()[0] == len(list(docs.glob("*.txt")))
    check(folder)


def test_killed_at_random_moments_nothing_is_lost(tmp_path):
    killed(tmp_path, 20, 1)


@pytest.mark.slow
def test_killed_two_hundred_times_nothing_is_lost(tmp_path):
    killed(tmp_path, 200, 2)


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
