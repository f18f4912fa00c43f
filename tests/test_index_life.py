"""The life of a document: small transactions, going on after a stop, nothing left behind, bad input."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pytest

from rag import sync
from rag.errors import BadInput, IndexMismatch, NotFound
from rag.index import Index
from rag.rows import BEGUN
from rag.types import Document, Filters
from tests.encoder import HashingEncoder


def opened(folder, **options):
    return Index.open(folder / "index", create=True, encoder=HashingEncoder(), **options)


def rows(path, many, word="harbour"):
    with path.open("w") as out:
        for i in range(many):
            out.write(json.dumps({"_id": f"r{i}", "text": f"Row {i} speaks of the {word} number {i}."}) + "\n")


def test_a_changed_row_costs_one_row(tmp_path):
    rows(tmp_path / "rows.jsonl", 300)
    index = opened(tmp_path)
    index.add(tmp_path / "rows.jsonl")
    before = int(index.version.partition(".")[2])
    lines = (tmp_path / "rows.jsonl").read_text().splitlines()
    lines[7] = json.dumps({"_id": "r7", "text": "Row seven is new."})
    (tmp_path / "rows.jsonl").write_text("\n".join(lines[:-1]))
    report = index.add(tmp_path / "rows.jsonl")
    assert (report.embedded, index.store.count()) == (1, (299, 299))
    assert int(index.version.partition(".")[2]) == before + 2  # one written, one removed
    assert index.document("r7").text == "Row seven is new."


def test_memory_while_indexing_holds_a_flush_not_the_file(tmp_path, monkeypatch):
    rows(tmp_path / "rows.jsonl", 3000)
    held = []
    flush = sync.Writer.flush
    monkeypatch.setattr(sync.Writer, "flush", lambda self: (held.append(self._size), flush(self))[1])
    opened(tmp_path).add(tmp_path / "rows.jsonl")
    assert len(held) >= 5
    assert max(held) < 2 * sync.FLUSH


def test_progress_counts_the_bytes_that_have_to_be_read(tmp_path):
    (tmp_path / "docs").mkdir()
    for i in range(5):
        (tmp_path / f"docs/{i}.txt").write_text("word " * (i + 1))
    index, seen = opened(tmp_path), []
    index.add(tmp_path / "docs", progress=lambda *now: seen.append(now))
    assert seen[-1] == (75, 75, 5)
    assert [s[0] for s in seen] == sorted(s[0] for s in seen)
    (tmp_path / "docs/4.txt").write_text("one other word")
    seen.clear()
    index.add(tmp_path / "docs", progress=lambda *now: seen.append(now))
    assert seen[0][1] == 14  # unchanged files promise no work


def test_after_remove_and_compact_no_byte_is_left_in_any_file(tmp_path):
    (tmp_path / "docs").mkdir()
    secret = "Zanzibar quincunx mellifluous xylograph " * 3
    for i in range(40):
        (tmp_path / f"docs/{i}.txt").write_text(f"Plain page number {i} of the handbook.")
    (tmp_path / "docs/secret.md").write_text(f"# Perspicacious heading\n\n{secret}\n")
    index = opened(tmp_path)
    index.add(tmp_path / "docs")
    words = [w.encode() for w in ("Zanzibar", "zanzibar", "quincunx", "mellifl", "xylograph", "erspicaci")]
    vector = index.encoder.encode([f"Perspicacious heading\n{secret}"])[0]
    key = index.dense(vector, 1, Filters())[0][0]
    ((_, stored),) = index.store.vectors([key])
    words.append(stored.astype(np.float16)[0].tobytes())

    def everything():
        return b"".join(f.read_bytes() for f in (tmp_path / "index").iterdir())

    assert all(word in everything() for word in words)
    assert index.remove(["secret.md"]) == 1
    index.compact()
    left = everything()
    assert [word for word in words if word in left] == []
    assert index.store.count() == (40, 40)
    assert len(index.vectors()) == 40
    assert len(index.lexical(["handbook"], 99, Filters())) == 40
    assert index.store.removed(index.version).tolist() == []


def as_format_2(file):
    """What a store of format 2 looked like, made from one of today."""
    with sqlite3.connect(file) as db:
        db.executescript(
            "DROP INDEX documents_limits;"
            "ALTER TABLE documents DROP COLUMN author; ALTER TABLE documents DROP COLUMN language;"
            "CREATE INDEX documents_limits ON documents(collection, date, groups, first, last);"
            "UPDATE meta SET value = '2' WHERE key = 'format';"
        )
    db.close()


def as_format_1(file):
    """What a store of format 1 looked like."""
    as_format_2(file)
    with sqlite3.connect(file) as db:
        db.executescript(
            "DROP INDEX documents_limits; ALTER TABLE documents DROP COLUMN first;"
            "ALTER TABLE documents DROP COLUMN last;"
            "DROP TABLE removed; DELETE FROM meta WHERE key = 'log_from';"
            "UPDATE meta SET value = '1' WHERE key = 'format';"
        )
    db.close()


@pytest.mark.parametrize("older", [as_format_1, as_format_2])
def test_an_older_format_is_migrated_from_what_is_stored(tmp_path, older):
    index = opened(tmp_path)
    index.put([Document(str(i), f"alpha number {i}. " * 60, collection="ab"[i % 2]) for i in range(6)])
    filters = Filters(collections=("b",))
    expected = (index.store.count(), index.store.allowed(filters).tolist(), index.lexical(["alpha"], 9, filters))
    index.close()
    older(tmp_path / "index/store.sqlite")
    (tmp_path / "index/vectors.json").unlink()
    again = opened(tmp_path)
    assert again.status()["format"] == 3
    again.put([Document("new", "alpha", author="Ada", language="en")])
    assert again.store.allowed(Filters(authors=("Ada",), languages=("en",))).size == 1
    again.remove(["new"])
    again.encoder.encoded.clear()
    assert (
        again.store.count(),
        again.store.allowed(filters).tolist(),
        again.lexical(["alpha"], 9, filters),
    ) == expected
    again.remove(["3"])
    assert len(again.vectors()) == again.store.count()[1]
    assert again.encoder.encoded == []


def test_an_older_format_in_a_folder_that_cannot_be_written_says_what_to_do(tmp_path, monkeypatch):
    index = opened(tmp_path)
    index.put([Document("a", "alpha")])
    index.close()
    as_format_1(tmp_path / "index/store.sqlite")
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(IndexMismatch, match="rag status"):
        opened(tmp_path)


AS_NOBODY = """
import os, sys, filelock, rag.load.text, rag.retrieve
from rag.index import Index
from tests.encoder import HashingEncoder
encoder = HashingEncoder()
if os.getuid() == 0:
    os.setgroups([]), os.setgid(65534), os.setuid(65534)
"""


@pytest.fixture
def open_folder():
    """A folder that every user of the machine can reach (root may read and write what nobody else may)."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


def as_nobody(code, *args):
    done = subprocess.run([sys.executable, "-c", AS_NOBODY + code, *map(str, args)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_unreadable_files_and_folders_are_named_and_what_they_gave_is_kept(open_folder):
    docs, index = open_folder / "docs", open_folder / "index"
    (docs / "sub").mkdir(parents=True)
    for name in ("a.txt", "b.txt", "sub/c.txt"):
        (docs / name).write_text(f"Text of {name}.")
    index.mkdir()
    index.chmod(0o777)
    code = (
        "r = Index.open(sys.argv[2], create=True, encoder=encoder).add(sys.argv[1]);"
        "print(r.documents, r.removed, r.unchanged, *sorted(why for _, why in r.skipped), sep='|')"
    )
    assert as_nobody(code, docs, index) == "3|0|0"
    (docs / "a.txt").chmod(0)
    os.utime(docs / "a.txt")
    (docs / "sub").chmod(0)
    said = as_nobody(code, docs, index)
    (docs / "sub").chmod(0o755)
    assert said.startswith("0|0|1|cannot be read (Permission denied)")
    assert "the folder cannot be read (Permission denied); what it gave is kept" in said
    assert Index.open(index, encoder=HashingEncoder()).document("sub/c.txt").text == "Text of sub/c.txt."


def test_an_index_folder_that_cannot_be_written_can_be_asked(open_folder):
    (open_folder / "a.txt").write_text("The ferry to Orrin leaves at nine.")
    made = opened(open_folder)
    made.add(open_folder / "a.txt")
    made.close()
    (open_folder / "index/vectors.json").unlink()  # the vectors are caught up in memory
    for file in (open_folder / "index").iterdir():
        file.chmod(0o444)
    (open_folder / "index").chmod(0o555)
    code = """
from rag.errors import BadInput
from rag.types import Filters
index = Index.open(sys.argv[1], encoder=encoder)
found = rag.retrieve.retrieve(index, "ferry to Orrin", Filters())
print([hit.document_id for hit in found], index.status()["vectors"])
for write in (lambda: index.add(sys.argv[2]), lambda: index.remove(["a.txt"]), index.compact):
    try:
        write()
    except BadInput as error:
        print(error)
"""
    said = as_nobody(code, open_folder / "index", open_folder / "a.txt").splitlines()
    assert said[0] == "['a.txt'] missing; made from the store when next opened"
    assert len(said) == 4
    assert all("cannot be written" in line for line in said[1:])


def test_names_that_no_line_can_hold_are_named_and_skipped(tmp_path):
    docs = tmp_path / "docs"
    docs.mkdir()
    (docs / "two\nlines.txt").write_text("Two lines.")
    with open(os.fsencode(docs) + b"/caf\xe9.txt", "w") as out:
        out.write("Latin-1 name.")
    (docs / "no\u00a0break.txt").write_text("A name with a space that does not break.")
    report = opened(tmp_path).add(docs)
    assert report.documents == 1
    assert sorted(report.skipped) == [
        ("'caf\\udce9.txt'", "the name cannot be printed in one line; rename the file"),
        ("'two\\nlines.txt'", "the name cannot be printed in one line; rename the file"),
    ]


def test_a_loop_of_links_is_not_followed(tmp_path):
    docs = tmp_path / "docs"
    (docs / "sub").mkdir(parents=True)
    (docs / "sub/a.txt").write_text("Text.")
    (docs / "sub/up").symlink_to(docs)
    (docs / "self.txt").symlink_to(docs / "self.txt")
    report = opened(tmp_path).add(docs)
    assert report.documents == 1
    assert [why for _, why in sorted(report.skipped)] == [
        "a link that leaves the folder; not followed",
        "a link to a folder; not followed",
    ]


class ChangingFile:
    """Grows a file whenever its status is asked for, as a program that is writing it would."""

    def __init__(self, file, times):
        self.file, self.times, self.fstat = file, times, os.fstat

    def __call__(self, descriptor):
        found = self.fstat(descriptor)
        if found.st_ino == self.file.stat().st_ino and self.times:
            self.times -= 1
            with self.file.open("a") as out:
                out.write("More. ")
        return found


@pytest.mark.parametrize(("times", "skipped"), [(1, 0), (9, 1)])
def test_a_file_that_changes_while_it_is_read_is_read_again_or_left_for_later(tmp_path, monkeypatch, times, skipped):
    docs = tmp_path / "docs"
    docs.mkdir()
    (docs / "log.txt").write_text("First. ")
    (docs / "still.txt").write_text("Still.")
    monkeypatch.setattr(os, "fstat", ChangingFile(docs / "log.txt", times))
    index = opened(tmp_path)
    report = index.add(docs)
    assert len(report.skipped) == skipped
    assert all("changes while it is read" in why for _, why in report.skipped)
    monkeypatch.undo()
    assert index.add(docs).skipped == []
    assert index.document("log.txt").text == (docs / "log.txt").read_text()


class VanishingEncoder(HashingEncoder):
    def __init__(self, folder, away):
        super().__init__()
        self.folder, self.away = folder, away

    def encode(self, texts):
        if self.folder.exists():
            self.folder.rename(self.away)
        return super().encode(texts)


def test_a_folder_that_vanishes_while_it_is_read_removes_nothing(tmp_path):
    docs = tmp_path / "docs"
    docs.mkdir()
    for i in range(6):
        (docs / f"{i}.txt").write_text(f"Sentence {i} of a long page. " * 2000)
    index = Index.open(tmp_path / "index", create=True, encoder=VanishingEncoder(docs, tmp_path / "away"))
    with pytest.raises(NotFound, match="vanished while it was read"):
        index.add(docs)
    kept = index.store.count()[0]
    assert kept >= 1
    (tmp_path / "away").rename(docs)
    again = opened(tmp_path)
    assert again.add(docs).skipped == []
    assert again.store.count()[0] == 6


def test_a_folder_that_is_not_mounted_removes_nothing(tmp_path):
    docs = tmp_path / "docs"
    docs.mkdir()
    (docs / "a.txt").write_text("Text.")
    index = opened(tmp_path)
    index.add(docs)
    (docs / "a.txt").unlink()  # an empty mount point
    with pytest.raises(BadInput, match="nothing was removed"):
        index.add(docs)
    assert index.store.count() == (1, 1)


@pytest.mark.slow
def test_a_killed_process_goes_on_without_embedding_again(tmp_path):
    rows(tmp_path / "rows.jsonl", 20_000)
    code = (
        "import sys; from rag.index import Index; from tests.encoder import HashingEncoder as E;"
        "Index.open(sys.argv[2], create=True, encoder=E()).add(sys.argv[1])"
    )
    child = subprocess.Popen([sys.executable, "-c", code, str(tmp_path / "rows.jsonl"), str(tmp_path / "index")])
    while not (tmp_path / "index/store.sqlite").exists() or opened(tmp_path).store.count()[0] < 3000:
        time.sleep(0.05)
        assert child.poll() is None
    child.send_signal(signal.SIGKILL)
    child.wait()
    index = opened(tmp_path)
    written = index.store.count()[1]
    assert index.store.files(str(tmp_path / "rows.jsonl"))[""] == BEGUN
    assert index.add(tmp_path / "rows.jsonl").embedded == 20_000 - written
