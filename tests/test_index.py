import json
import os
import sqlite3
import subprocess
import sys
import threading

import faiss
import numpy as np
import pytest

from rag.errors import BadInput, Busy, IndexMismatch, NotFound
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


def state(index):
    return index.store.count(), sorted(info.id for info in index.documents()), len(index.vectors())


def test_an_index_follows_its_folder(folder):
    index = opened(folder)
    report = index.add(folder / "docs")
    assert (report.added, report.documents, report.skipped) == (2, 2, [])
    assert state(index) == ((2, 2), ["a.md", "sub/b.txt"], 2)

    (folder / "docs/sub/b.txt").write_text("Bicycles cost two pounds.")
    (folder / "docs/c.md").write_text("A new page.")
    (folder / "docs/a.md").unlink()
    report = index.add(folder / "docs")
    assert (report.added, report.updated, report.removed, report.unchanged) == (1, 1, 1, 0)
    assert state(index) == ((2, 2), ["c.md", "sub/b.txt"], 2)
    assert index.document("sub/b.txt").text == "Bicycles cost two pounds."
    assert index.lexical(["sundays"], 5, Filters()) == []


def test_a_second_run_embeds_nothing_and_changes_nothing(folder):
    index = opened(folder)
    index.add(folder / "docs")
    version, embedded = index.version, len(index.encoder.encoded)
    os.utime(folder / "docs/a.md")  # a new time, the same content
    report = index.add(folder / "docs")
    assert (report.unchanged, report.embedded) == (2, 0)
    assert (index.version, len(index.encoder.encoded)) == (version, embedded)


def test_a_renamed_or_copied_file_is_not_embedded_again(folder):
    index = opened(folder)
    index.add(folder / "docs")
    (folder / "docs/sub/b.txt").rename(folder / "docs/renamed.txt")
    assert index.add(folder / "docs").embedded == 0
    assert state(index)[1] == ["a.md", "renamed.txt"]


def test_only_files_of_that_root_vanish(folder):
    (folder / "other").mkdir()
    (folder / "other/x.md").write_text("Somewhere else.")
    index = opened(folder)
    index.add(folder / "docs")
    index.add(folder / "other")
    (folder / "docs/sub/b.txt").unlink()
    index.add(folder / "docs")
    assert state(index)[1] == ["a.md", "x.md"]


def test_when_more_than_half_vanishes_nothing_is_removed_without_prune(folder):
    index = opened(folder)
    index.add(folder / "docs")
    (folder / "docs/sub/b.txt").unlink()
    (folder / "docs/a.md").unlink()
    with pytest.raises(BadInput, match="--prune"):
        index.add(folder / "docs")
    assert state(index)[0] == (2, 2)
    assert index.add(folder / "docs", prune=True).removed == 2
    assert state(index)[0] == (0, 0)


def test_a_missing_root_removes_nothing(folder):
    index = opened(folder)
    index.add(folder / "docs")
    (folder / "docs").rename(folder / "away")
    with pytest.raises(NotFound, match="nothing was removed"):
        index.add(folder / "docs")
    assert state(index)[0] == (2, 2)
    with pytest.raises(NotFound, match="check the path"):
        index.add(folder / "never")


def test_an_id_of_another_root_is_refused_and_a_prefix_helps(folder):
    (folder / "other").mkdir()
    (folder / "other/a.md").write_text("The same name elsewhere.")
    index = opened(folder)
    index.add(folder / "docs")
    assert "--id-prefix" in index.add(folder / "other").skipped[0][1]
    assert index.document("a.md").text.startswith("Ferries")
    index.add(folder / "other", id_prefix="other/")
    assert index.document("other/a.md").text == "The same name elsewhere."


def test_bad_files_are_named_and_the_others_go_on(folder):
    (folder / "docs/broken.txt").write_bytes(b"\x00\x01\x02\xff" * 100)
    (folder / "docs/empty.md").write_bytes(b"")
    index = opened(folder)
    report = index.add(folder / "docs")
    assert report.documents == 2
    assert {os.path.basename(f) for f, _ in report.skipped} == {"broken.txt", "empty.md"}
    assert {os.path.basename(f) for f, _ in index.store.problems()} == {"broken.txt", "empty.md"}
    assert len(index.add(folder / "docs").skipped) == 2  # still said the next time
    (folder / "docs/empty.md").write_text("Mended.")
    assert [os.path.basename(f) for f, _ in index.add(folder / "docs").skipped] == ["broken.txt"]


def test_a_file_that_becomes_unreadable_keeps_what_it_gave(folder):
    index = opened(folder)
    index.add(folder / "docs")
    good = (folder / "docs/a.md").read_bytes()
    (folder / "docs/a.md").write_bytes(b"\x89PNG\r\n\x1a\n" + b"\x00\x01\x02\xff" * 50)
    assert len(index.add(folder / "docs").skipped) == 1
    assert index.document("a.md").text.startswith("Ferries")
    (folder / "docs/a.md").write_bytes(good)
    assert index.add(folder / "docs").skipped == []
    assert index.store.problems() == []


def test_links_out_of_the_folder_are_not_followed(folder):
    (folder / "secret.txt").write_text("Not for the index.")
    (folder / "docs/link.txt").symlink_to(folder / "secret.txt")
    (folder / "docs/loop").symlink_to(folder / "docs")
    report = opened(folder).add(folder / "docs")
    assert report.documents == 2
    assert "link" in report.skipped[0][1]


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


def test_filters_by_collection_document_date_and_group(tmp_path):
    index = opened(tmp_path)
    index.put(
        [
            Document("old", "alpha rule", collection="hr", date="2020-01-01"),
            Document("new", "alpha rule", collection="it", date="2026-01-01"),
            Document("dateless", "alpha rule", collection="it"),
            Document("closed", "alpha rule", collection="hr", date="2026-01-01", groups=("board", "staff")),
        ]
    )
    vector = index.encoder.encode(["alpha rule"])[0]

    def ids(**limits):
        filters = Filters(**limits)
        dense = index.passages([k for k, _ in index.dense(vector, 9, filters)])
        lexical = index.passages([k for k, _ in index.lexical(["alpha"], 9, filters)])
        assert dense == lexical
        return sorted(p.document_id for p in dense.values())

    assert ids() == ["closed", "dateless", "new", "old"]
    assert ids(collections=("hr",)) == ["closed", "old"]
    assert ids(documents=("new", "dateless")) == ["dateless", "new"]
    assert ids(since="2025-06-01") == ["closed", "new"]
    assert ids(until="2020-01-01") == ["old"]
    assert ids(groups=()) == ["dateless", "new", "old"]
    assert ids(groups=("staff",), collections=("hr",)) == ["closed", "old"]
    assert not index.readable(Filters(collections=("none",)))


def test_removed_means_gone_from_every_search(folder):
    index = opened(folder)
    index.add(folder / "docs")
    assert index.remove(["a.md", "none"]) == 1
    assert index.lexical(["orrin"], 5, Filters()) == []
    left = index.passages([key for key, _ in index.dense(index.encoder.encode(["ferry"])[0], 5, Filters())])
    assert [passage.document_id for passage in left.values()] == ["sub/b.txt"]
    with pytest.raises(NotFound, match="rag search"):
        index.document("a.md")


def test_an_index_of_another_model_a_newer_format_or_damaged_is_refused(folder):
    opened(folder).add(folder / "docs")
    other = HashingEncoder()
    other.name = "tests/other"
    with pytest.raises(IndexMismatch, match="tests/hashing, not tests/other"):
        Index.open(folder / "index", encoder=other)
    with sqlite3.connect(folder / "index/store.sqlite") as db:
        db.execute("UPDATE meta SET value = '99' WHERE key = 'format'")
    db.close()
    with pytest.raises(IndexMismatch, match="upgrade"):
        Index.open(folder / "index", encoder=HashingEncoder())
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


def test_a_reader_sees_what_a_writer_commits(folder):
    writer = opened(folder)
    writer.add(folder / "docs")
    reader = opened(folder)
    vector = reader.encoder.encode(["quay"])[0]
    assert len(reader.dense(vector, 9, Filters())) == 2
    (folder / "docs/c.md").write_text("The quay opens at six.")
    writer.add(folder / "docs")
    assert len(reader.dense(vector, 9, Filters())) == 3
    found = []
    thread = threading.Thread(target=lambda: found.append(len(reader.dense(vector, 9, Filters()))))
    thread.start()
    thread.join()
    assert found == [3]


def test_a_second_writer_gets_one_clear_line(folder):
    one, other = opened(folder), opened(folder)
    with one._lock(), pytest.raises(Busy, match="another process"):
        other.add(folder / "docs")


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
    assert state(index)[0] == (2, 2)


def test_status_is_plain_json(folder):
    index = opened(folder)
    index.add(folder / "docs", collection="ferries")
    found = json.loads(json.dumps(index.status()))
    assert (found["documents"], found["passages"], found["collections"]) == (2, 2, {"ferries": 2})
    assert found["vectors"] == "current"
    assert found["roots"] == [{"path": str(folder / "docs"), "collection": "ferries", "id_prefix": ""}]


def test_structure_and_text_survive_the_store_exactly(tmp_path):
    text = "Kopf\u00ad\x00 e\u0301\u200d😀 \u202eשלום\r\n\ttail "
    (tmp_path / "rows.jsonl").write_text(json.dumps({"_id": "x", "text": text, "title": "T", "date": "2026-01-02"}))
    index = opened(tmp_path)
    index.add(tmp_path / "rows.jsonl")
    assert index.document("x").text == text
    stored = next(iter(index.passages(index.store.keys().tolist()).values()))
    assert stored.text == text[stored.start : stored.end]
    assert all(text[u.start : u.end].strip() for u in stored.units)


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
