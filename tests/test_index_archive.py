import hashlib
import json
import zipfile

import pytest

from rag.archive import export, import_
from rag.errors import BadInput, IndexMismatch, NotFound
from rag.index import Index
from rag.types import Filters
from tests.encoder import HashingEncoder


@pytest.fixture
def full(tmp_path):
    docs = tmp_path / "docs"
    docs.mkdir()
    (docs / "a.md").write_text("# Ferries\n\nThe ferry to Orrin leaves at nine.\n\n- one 😀 e\u0301\n- two\n")
    (docs / "b.txt").write_text("Bicycles travel free of charge on Sundays. " * 60)
    (docs / "empty.md").write_bytes(b"")
    index = Index.open(tmp_path / "index", create=True, encoder=HashingEncoder())
    index.add(docs, collection="ferries", id_prefix="x/")
    return index


def content(index):
    # SQLite gives new keys; everything else is as it was.
    return [*index.store.records()], index.store.roots(), index.store.problems(), index.documents()


def test_an_index_comes_back_from_its_archive_whole_and_without_embedding(full, tmp_path):
    assert export(full.store, tmp_path / "out.zip") == 2
    assert import_(tmp_path / "out.zip", tmp_path / "again") == 2
    again = Index.open(tmp_path / "again", encoder=HashingEncoder())
    assert content(again) == content(full)
    for document in content(again)[0]:
        assert all(document.document.text[p.start : p.end].strip() for p in document.passages)
    vector = HashingEncoder().encode(["ferry to Orrin"])[0]
    assert [s for _, s in again.dense(vector, 9, Filters())] == [s for _, s in full.dense(vector, 9, Filters())]
    assert again.lexical(["bicycles"], 9, Filters()) == full.lexical(["bicycles"], 9, Filters())
    assert again.add(tmp_path / "docs").embedded == 0  # it is known what each file was
    assert again.encoder.encoded == []
    assert sorted(p.name for p in (tmp_path / "again").iterdir() if p.is_dir()) == []


def test_an_archive_of_the_format_before_has_neither_author_nor_language(full, tmp_path):
    export(full.store, tmp_path / "out.zip")
    with zipfile.ZipFile(tmp_path / "out.zip") as new, zipfile.ZipFile(tmp_path / "old.zip", "w") as old:
        parts = {name: new.read(name) for name in new.namelist()}
        rows = [json.loads(line) for line in parts["documents.jsonl"].splitlines()]
        for _, _, row, _ in rows:
            del row[-3:-1]
        parts["documents.jsonl"] = "".join(json.dumps(row) + "\n" for row in rows).encode()
        manifest = json.loads(parts.pop("manifest.json")) | {"format": 2}
        manifest["sha256"]["documents.jsonl"] = hashlib.sha256(parts["documents.jsonl"]).hexdigest()
        for name, data in {"manifest.json": json.dumps(manifest).encode(), **parts}.items():
            old.writestr(name, data)
    assert import_(tmp_path / "old.zip", tmp_path / "again") == 2
    assert content(Index.open(tmp_path / "again", encoder=HashingEncoder())) == content(full)


def test_an_archive_holds_json_and_numbers_only(full, tmp_path):
    export(full.store, tmp_path / "out.zip")
    with zipfile.ZipFile(tmp_path / "out.zip") as archive:
        names = sorted(archive.namelist())
        assert names == ["documents.jsonl", "files.jsonl", "manifest.json", "roots.jsonl", "vectors.f16"]
        manifest = json.loads(archive.read("manifest.json"))
        assert len(archive.read("vectors.f16")) == full.store.count()[1] * manifest["dimension"] * 2
    assert sorted(p.name for p in tmp_path.iterdir()) == ["docs", "index", "out.zip"]


@pytest.mark.parametrize("part", ["documents.jsonl", "vectors.f16", "files.jsonl"])
def test_a_damaged_archive_is_refused_and_leaves_no_index(full, tmp_path, part):
    export(full.store, tmp_path / "out.zip")
    with zipfile.ZipFile(tmp_path / "out.zip") as good, zipfile.ZipFile(tmp_path / "bad.zip", "w") as bad:
        for name in good.namelist():
            data = good.read(name)
            bad.writestr(name, data[:-3] + b"?" + data[-2:] if name == part else data)
    with pytest.raises(IndexMismatch, match="checksum"):
        import_(tmp_path / "bad.zip", tmp_path / "again")
    (tmp_path / "cut.zip").write_bytes((tmp_path / "out.zip").read_bytes()[:-200])
    with pytest.raises(IndexMismatch, match="not a sound archive"):
        import_(tmp_path / "cut.zip", tmp_path / "again")
    with pytest.raises(NotFound, match="rag index"):
        Index.open(tmp_path / "again", encoder=HashingEncoder())


def test_an_archive_never_overwrites_an_index(full, tmp_path):
    export(full.store, tmp_path / "out.zip")
    with pytest.raises(BadInput, match="another --index"):
        import_(tmp_path / "out.zip", tmp_path / "index")
    with pytest.raises(NotFound, match="check the path"):
        import_(tmp_path / "none.zip", tmp_path / "again")
    with pytest.raises(BadInput, match="cannot be written"):
        export(full.store, tmp_path / "no/such/out.zip")
