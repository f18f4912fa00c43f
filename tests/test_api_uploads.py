"""Uploads over the API: whose they are, what becomes of them, and every way to misuse them."""

from __future__ import annotations

import base64
import dataclasses
import functools
import hashlib
import io
import json
import os
import random
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from rag.answer import Answerer
from rag.archive import export, import_
from rag.errors import BadInput, IndexMismatch
from rag.index import Index
from rag.keys import Keys
from rag.originals import originals, restore
from rag.overlap import OverlapReader
from rag.settings import Settings
from rag.state import State
from rag.web.portal import create_app
from rag.web.uploads import Uploads, clean
from tests.encoder import HashingEncoder
from tests.papers import pdf, zipped
from tests.test_load_formats import paged
from tests.test_paper import QUOTE

HOME = "http://127.0.0.1:7860"
NOTE = "# Harbour rules\n\nThe crane may lift 40 tonnes. The night watch begins at ten.\n"
USERS = {"ann": ("staff",), "bob": ("staff",), "eve": (), "root": ("staff",)}
Headers = dict[str, str]


@pytest.fixture
def held(tmp_path: Path) -> Iterator[tuple[Answerer, TestClient, dict[str, Headers]]]:
    encoder = HashingEncoder()
    index = Index.open(tmp_path / "index", create=True, encoder=encoder)
    settings = Settings(
        index=str(tmp_path / "index"), login=("keys",), requests_per_minute=0, threshold=0.0,
        upload_bytes=200_000, upload_quota=300_000,
    )  # fmt: skip
    answerer = Answerer(index, OverlapReader(encoder), settings)
    keys = Keys(tmp_path / "index" / "keys.sqlite")
    scopes = {"root": ("ask", "upload", "admin")}
    headers = {
        user: {"authorization": f"Bearer {keys.add(user, scopes.get(user, ('ask', 'upload')), groups)[1]}"}
        for user, groups in USERS.items()
    }
    headers["reader"] = {"authorization": f"Bearer {keys.add('reader', ('ask',), ())[1]}"}
    app = create_app(answerer, settings)
    with TestClient(app, base_url=HOME, raise_server_exceptions=False) as client:
        yield answerer, client, headers
    app.state.uploads.stop()
    index.close()


def send(client: TestClient, headers: Headers, content: bytes | str, **asked: Any) -> Any:
    return client.post("/v1/documents", params={"name": "rules.md", **asked}, content=content, headers=headers)


def settled(client: TestClient, headers: Headers, upload: str, seconds: float = 60) -> dict[str, Any]:
    """The upload when it is done or failed."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        found: dict[str, Any] = client.get(f"/v1/uploads/{upload}", headers=headers).json()
        if found["stage"] in ("done", "failed"):
            return found
        time.sleep(0.02)
    raise AssertionError(f"still {found}")


def test_an_upload_is_its_uploader_s_alone_until_it_is_removed(held: Any, tmp_path: Path) -> None:
    answerer, client, headers = held
    sent = send(client, headers["ann"], NOTE)
    assert (sent.status_code, sent.headers["location"]) == (202, f"/v1/uploads/{sent.json()['id']}")
    done = settled(client, headers["ann"], sent.json()["id"])
    assert (done["stage"], done["percent"], done["problems"]) == ("done", 100, [])
    assert done["sha256"] == hashlib.sha256(NOTE.encode()).hexdigest()
    (document,) = done["documents"]
    assert answerer.index.document(document).groups == ("user:key:ann",)
    asked = {"question": "How much may the crane lift?"}
    mine = client.post("/v1/ask", json=asked, headers=headers["ann"]).json()
    assert "40 tonnes" in mine["citations"][0]["quote"]
    cited = {key: mine["citations"][0][key] for key in ("start", "end")}
    source = client.get("/v1/sources", params={"document": document, **cited}, headers=headers["ann"]).json()
    assert source["text"] == mine["citations"][0]["quote"]

    for user in ("bob", "eve", "root", "reader"):  # nothing of it is anywhere
        own = headers[user]
        none = "0" * 32
        for method, path in (
            ("GET", f"/v1/uploads/{done['id']}"), ("DELETE", f"/v1/uploads/{done['id']}"),
        ):  # fmt: skip
            found = client.request(method, path, headers=own)
            if user == "reader" and method == "DELETE":
                assert found.status_code == 403
            else:
                assert found.status_code == 404
                other = client.request(method, path.replace(done["id"], none), headers=own)
                assert found.text.replace(done["id"], none) == other.text
        for path in ("/v1/original", "/v1/sources"):
            assert client.get(path, params={"document": document}, headers=own).status_code == 404
        said = client.post("/v1/ask", json=asked, headers=own).text + client.get("/v1/documents", headers=own).text
        said += client.get("/v1/uploads", headers=own).text + client.get("/v1/collections", headers=own).text
        assert "crane may" not in said
        assert "rules.md" not in said
    assert client.delete("/v1/documents", params={"document": document}, headers=headers["root"]).status_code == 404

    assert '"kind": "answer"' in client.post("/v1/chat", json=asked, headers=headers["ann"]).text  # it is kept
    removed = client.delete(f"/v1/uploads/{done['id']}", params={"forget": True}, headers=headers["ann"]).json()
    assert removed == {"removed": 1, "saved_answers": 1}
    listed = client.get("/v1/conversations", headers=headers["ann"]).json()["conversations"]
    kept = client.get(f"/v1/conversations/{listed[0]['id']}", headers=headers["ann"]).text
    assert "lift" in kept
    assert "40 tonnes" not in kept
    assert client.get(f"/v1/conversations/{listed[0]['id']}", headers=headers["bob"]).status_code == 404
    assert client.get(f"/v1/uploads/{done['id']}", headers=headers["ann"]).status_code == 404
    assert client.post("/v1/ask", json=asked, headers=headers["ann"]).json()["reason"] == "empty_index"
    assert sorted(entry.name for entry in (tmp_path / "index/uploads").iterdir()) == ["lock"]


def test_sharing_reaches_the_groups_of_the_uploader_and_no_further(held: Any) -> None:
    answerer, client, headers = held
    done = settled(client, headers["ann"], send(client, headers["ann"], NOTE, group="staff").json()["id"])
    assert done["groups"] == ["staff"]
    (document,) = done["documents"]
    seen = {u: client.get("/v1/sources", params={"document": document}, headers=headers[u]).status_code for u in USERS}
    assert seen == {"ann": 200, "bob": 200, "eve": 404, "root": 200}
    assert client.get("/v1/original", params={"document": document}, headers=headers["bob"]).content == NOTE.encode()
    for refused in ({"group": "board"}, {"group": "user:key:bob"}, {"everyone": True}, {"collection": "policies"}):
        assert send(client, headers["ann"], NOTE, **refused).json()["code"] == "forbidden"
    assert send(client, headers["reader"], NOTE).status_code == 403
    public = send(client, headers["root"], NOTE, everyone=True, collection="policies").json()
    assert public["groups"] is None
    (document,) = settled(client, headers["root"], public["id"])["documents"]
    assert answerer.index.document(document).groups == ()
    listed = client.get("/v1/collections", headers=headers["eve"]).json()["collections"]
    assert listed == [{"name": "policies", "documents": 1}]


def test_a_file_cannot_say_whose_it_is_nor_take_another_document_s_place(held: Any) -> None:
    answerer, client, headers = held
    (theirs,) = settled(client, headers["bob"], send(client, headers["bob"], NOTE).json()["id"])["documents"]
    front = "---\ngroups: [staff]\ncollection: policies\n---\n\nThe well is dry.\n"
    rows = "\n".join(
        json.dumps({"_id": name, "text": "The bell rings.", "groups": ["staff"]}) for name in (theirs, "../../x", "y")
    )
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("../../etc/evil.txt", "The gate is open.")
        archive.writestr("inner/rows.md", "The fort is shut.")
    for content, name in ((front, "a.md"), (rows, "b.jsonl"), (packed.getvalue(), "c.zip")):
        sent = send(client, headers["ann"], content, name=name).json()
        for document in settled(client, headers["ann"], sent["id"])["documents"]:
            assert document.startswith(f"upload:{sent['id']}/{name}")
            found = answerer.index.document(document)
            assert (found.groups, found.collection) == (("user:key:ann",), "uploads")
            assert found.source.startswith(name)
    assert "crane" in answerer.index.document(theirs).text


def test_an_original_is_only_ever_a_file_to_save(held: Any) -> None:
    _, client, headers = held
    page = b"<!doctype html><title>x</title><script>alert(1)</script><p>The lamp is lit at dusk.</p>"
    name = 'plan/we"ird; filename=x\u202e.html'.replace("\u202e", "ü")
    done = settled(client, headers["ann"], send(client, headers["ann"], page, name=name).json()["id"])
    found = client.get("/v1/original", params={"document": done["documents"][0]}, headers=headers["ann"])
    assert found.content == page
    assert found.headers["content-type"] == "application/octet-stream"
    assert found.headers["content-disposition"].startswith("attachment; filename*=utf-8''we%22ird")
    assert found.headers["x-content-type-options"] == "nosniff"
    assert found.headers["content-security-policy"] == "default-src 'none'; sandbox; frame-ancestors 'none'"
    digest = base64.b64encode(hashlib.sha256(page).digest()).decode()
    assert found.headers["repr-digest"] == f"sha-256=:{digest}:"


@pytest.mark.parametrize("name", ["", "  ", "..", "../..", "a\x00b", "a\nb.md", "\u202etxt.md", "x" * 401])
def test_a_name_that_is_none_is_refused(held: Any, name: Any, tmp_path: Path) -> None:
    _, client, headers = held
    found = send(client, headers["ann"], NOTE, name=name)
    assert found.status_code in (400, 422), found.text
    assert not list((tmp_path / "index").glob("uploads/*"))


def test_folders_of_a_name_stay_and_ways_out_of_it_go() -> None:
    assert clean("travel/2025/../rules.md") == "travel/2025/rules.md"
    assert clean("C:\\rules\\.\\a.md") == "C:/rules/a.md"
    assert clean("/etc/passwd") == "etc/passwd"
    with pytest.raises(BadInput, match="rename"):
        clean("../..")


def test_limits_hold_and_leave_nothing_behind(held: Any, tmp_path: Path) -> None:
    _, client, headers = held
    own = headers["ann"]
    assert (send(client, own, b"x" * 200_001).status_code, send(client, own, b"").status_code) == (413, 400)
    assert send(client, own, b"x " * 100_000).status_code == 202
    refused = send(client, own, b"y " * 90_000)
    assert (refused.status_code, refused.json()["code"]) == (413, "no_room")
    listed = client.get("/v1/uploads", headers=own).json()
    assert (len(listed["uploads"]), listed["kept"], listed["quota"]) == (1, 200_000, 300_000)
    assert listed["groups"] == ["staff"]
    folders = [entry for entry in (tmp_path / "index/uploads").iterdir() if entry.is_dir()]
    assert [entry.name for entry in folders] == [listed["uploads"][0]["id"]]
    assert send(client, headers["bob"], NOTE).status_code == 202  # each has their own


def test_another_writer_is_waited_for_and_a_stop_half_way_leaves_nothing(held: Any) -> None:
    answerer, client, headers = held
    with answerer.index._lock():
        sent = [send(client, headers["ann"], NOTE, name=f"{n}.md").json()["id"] for n in range(2)]
        until = time.monotonic() + 30
        while client.get(f"/v1/uploads/{sent[0]}", headers=headers["ann"]).json()["stage"] != "indexing":
            assert time.monotonic() < until
            time.sleep(0.02)
        assert client.delete(f"/v1/uploads/{sent[0]}", headers=headers["ann"]).json()["removed"] == 0
    settled(client, headers["ann"], sent[1])
    listed = client.get("/v1/documents", headers=headers["ann"]).json()["documents"]
    assert [sent[1] in one["id"] for one in listed] == [True]


def test_what_a_server_left_undone_the_next_one_does(held: Any, tmp_path: Path) -> None:
    answerer, client, headers = held
    state = State.open(answerer.settings)
    folder = tmp_path / "index/uploads"
    first = Uploads(folder, lambda: state, answerer.index, 1_000, 10_000)
    first._ending.set()  # it is ending while the file comes in

    async def body() -> Any:
        yield NOTE.encode()

    import asyncio

    upload, progress = asyncio.run(first.receive(aiter(body()), "rules.md", "key:ann", (), "uploads"))
    first.stop()
    assert progress.stage == "queued"
    second = Uploads(folder, lambda: state, answerer.index, 1_000, 10_000)
    second.start()
    assert settled(client, headers["ann"], upload.id)["stage"] == "done"
    second.stop()
    (folder / upload.id / "progress.json").unlink()
    (folder / upload.id / "original").unlink()
    (folder / upload.id).rmdir()  # removed just when a process ended: its documents are swept
    third = Uploads(folder, lambda: state, answerer.index, 1_000, 10_000)
    third.start()
    until = time.monotonic() + 30
    while list(answerer.index.documents()):
        assert time.monotonic() < until
        time.sleep(0.02)
    third.stop()


def _hostile() -> dict[str, tuple[str, bytes]]:
    """Files that break parsers, by what is wrong with them: our own making."""
    chance = random.Random(8)
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("zeros.txt", b"0" * 40_000_000)
    inner = b"The core."
    for depth in range(8):
        outer = io.BytesIO()
        with zipfile.ZipFile(outer, "w") as archive:
            archive.writestr(f"{depth}.{'txt' if depth == 0 else 'zip'}", inner)
        inner = outer.getvalue()
    pdf = (
        b"%PDF-1.7\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj 2 0 obj<</Type/Pages/Kids[2 0 R]/Count 99999999>>endobj"
    )
    found = {
        "a bomb": ("bomb.zip", packed.getvalue()),
        "nested": ("nest.zip", inner),
        "cut zip": ("cut.zip", packed.getvalue()[:-30]),
        "pages in a ring": ("ring.pdf", pdf + b"\ntrailer<</Root 1 0 R>>\n%%EOF"),
        "cut office file": ("cut.docx", b"PK\x03\x04" + chance.randbytes(3_000)),
        "deep HTML": ("deep.html", b"<div>" * 30_000 + b"x"),
        "deep Markdown": ("deep.md", b"> " * 20_000 + b"x"),
        "deep JSON": ("deep.jsonl", b'{"_id":"a","text":' + b"[" * 50_000),
        "entities": ("bomb.xlsx", b'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "aaaa">]><x>&a;</x>'),
        "nothing but NUL": ("nul.txt", b"\0" * 50_000),
        "a program": ("run.exe", b"MZ\0\0" + chance.randbytes(2_000)),
    }
    suffixes = ("pdf", "docx", "xlsx", "pptx", "epub", "eml", "html", "md", "csv", "zip", "tar.gz", "txt")
    for n in range(12):
        found[f"chance {n}"] = (f"{n}.{suffixes[n]}", chance.randbytes(chance.randrange(1, 20_000)))
    return found


@pytest.mark.slow
def test_no_file_hurts_the_server(held: Any) -> None:
    answerer, client, headers = held
    client.app.state.uploads.each = 10_000_000
    sent = {
        what: send(client, headers["ann"], content, name=name).json()["id"]
        for what, (name, content) in _hostile().items()
    }
    good = send(client, headers["ann"], NOTE).json()["id"]
    assert client.post("/v1/ask", json={"question": "What?"}, headers=headers["ann"]).status_code == 200
    for what, upload in sent.items():
        found = settled(client, headers["ann"], upload, 200)
        assert found["stage"] == "done" or (found["problems"] and found["documents"] == []), (what, found)
        for problem in found["problems"]:
            assert "\n" not in problem
            assert "upload:" not in problem
            assert str(answerer.settings.index) not in problem
    assert settled(client, headers["ann"], good)["stage"] == "done"
    asked = client.post("/v1/ask", json={"question": "How much may the crane lift?"}, headers=headers["ann"]).json()
    assert "40 tonnes" in json.dumps(asked)


def test_uploads_can_be_switched_off_or_have_no_place(tmp_path: Path) -> None:
    from rag.web.library import opened

    settings = Settings(index="postgresql://db/x")
    fake = type("Fake", (), {"index": None})()
    assert opened(fake, lambda: None, settings).largest == 0  # type: ignore[arg-type, return-value]
    placed = dataclasses.replace(settings, uploads=str(tmp_path))
    assert opened(fake, lambda: None, placed).folder == tmp_path  # type: ignore[arg-type, return-value]
    assert os.listdir(tmp_path) == []


def test_an_export_brings_uploads_back_with_their_owners_and_originals(held: Any, tmp_path: Path) -> None:
    answerer, client, headers = held
    upload = send(client, headers["ann"], NOTE, group="staff").json()["id"]
    assert settled(client, headers["ann"], upload)["stage"] == "done"
    kept = originals(answerer.settings)
    assert [(one.upload.owner, one.upload.groups) for one in kept] == [("key:ann", ("staff",))]
    assert export(answerer.index.store, tmp_path / "out.zip", kept) == 1
    again = dataclasses.replace(
        answerer.settings, index=str(tmp_path / "again"), keys=str(tmp_path / "index/keys.sqlite")
    )
    assert import_(tmp_path / "out.zip", tmp_path / "again", functools.partial(restore, again)) == 1
    encoder = HashingEncoder()
    index = Index.open(tmp_path / "again", encoder=encoder)
    app = create_app(Answerer(index, OverlapReader(encoder), again), again)
    app.state.uploads.start()  # it sweeps documents whose upload is gone: these are not
    with TestClient(app, base_url=HOME) as other:
        found = other.get(f"/v1/uploads/{upload}", headers=headers["ann"]).json()
        assert (found["stage"], found["groups"]) == ("done", ["staff"])
        document = found["documents"][0]
        for user, status in (("ann", 200), ("bob", 200), ("eve", 404)):
            got = other.get("/v1/original", params={"document": document}, headers=headers[user])
            assert got.status_code == status
            assert status == 404 or got.text == NOTE
        assert other.get(f"/v1/uploads/{upload}", headers=headers["bob"]).status_code == 404
        assert other.delete(f"/v1/uploads/{upload}", headers=headers["ann"]).json()["removed"] == 1
    app.state.uploads.stop()
    index.close()


def test_a_damaged_original_is_refused_before_anything_is_there(held: Any, tmp_path: Path) -> None:
    answerer, client, headers = held
    upload = send(client, headers["ann"], NOTE).json()["id"]
    settled(client, headers["ann"], upload)
    export(answerer.index.store, tmp_path / "out.zip", originals(answerer.settings))
    again = dataclasses.replace(answerer.settings, index=str(tmp_path / "again"))
    for part, becomes, says in ((f"uploads/{upload}", None, "checksum"), ("manifest.json", "uploads/../x", "sound")):
        with zipfile.ZipFile(tmp_path / "out.zip") as good, zipfile.ZipFile(tmp_path / "bad.zip", "w") as bad:
            for name in good.namelist():
                data = good.read(name)
                changed = data.replace(f"uploads/{upload}".encode(), becomes.encode()) if becomes else b"x" + data
                bad.writestr(name, changed if name == part else data)
        with pytest.raises(IndexMismatch, match=says):
            import_(tmp_path / "bad.zip", tmp_path / "again", functools.partial(restore, again))
        assert not (tmp_path / "again").exists()


def test_the_page_of_an_uploaded_pdf_is_shown_to_those_who_may_read_it(held: Any, tmp_path: Path) -> None:
    answerer, client, headers = held
    for name, content in (("quay.pdf", pdf(paged(3))), ("packed.zip", zipped({"quay.pdf": pdf(paged(3))}))):
        sent = send(client, headers["ann"], content, name=name, group="staff")
        assert sent.status_code == 202
        done = settled(client, headers["ann"], sent.json()["id"])
        (document,) = done["documents"]
        start = answerer.index.document(document).text.index(QUOTE)
        asked = {"document": document, "number": 1, "start": start, "end": start + len(QUOTE)}
        if name == "packed.zip":
            packed = client.get("/page", params=asked, headers=headers["ann"])
            assert packed.status_code == 400
            assert "packed inside another file" in packed.json()["error"]["message"]
            continue
        for user, status in (("ann", 200), ("bob", 200), ("eve", 404), ("reader", 404)):
            picture = client.get("/page", params=asked, headers=headers[user])
            marks = client.get("/page/marks", params=asked, headers=headers[user])
            assert (picture.status_code, marks.status_code) == (status, status)
            if status == 200:
                assert (picture.headers["content-type"], len(marks.json()["boxes"])) == ("image/png", 2)
            else:  # the same as for a document that there is not
                none = client.get("/page", params={**asked, "document": "none.pdf"}, headers=headers[user])
                assert picture.text.replace(document, "none.pdf") == none.text
        kept = next((tmp_path / "index").rglob(f"{done['id']}/original"))
        kept.write_bytes(kept.read_bytes() + b" ")
        told = client.get("/page", params=asked, headers=headers["ann"])
        assert (told.status_code, "has changed since" in told.json()["error"]["message"]) == (400, True)
        kept.unlink()
        told = client.get("/page/marks", params=asked, headers=headers["ann"])
        assert (told.status_code, "no longer where" in told.json()["error"]["message"]) == (400, True)
