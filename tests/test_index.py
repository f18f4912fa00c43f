"""The life of an index, one suite for every store: a folder of files, and a PostgreSQL server."""

import json
import os
import threading

import pytest

from rag import vectors
from rag.errors import BadInput, Busy, IndexMismatch, NotFound
from rag.readable import Readable
from rag.types import Document, Filters
from tests.encoder import HashingEncoder


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "docs/sub").mkdir(parents=True)
    (tmp_path / "docs/a.md").write_text("# Ferries\n\nThe ferry to Orrin leaves at nine.\n")
    (tmp_path / "docs/sub/b.txt").write_text("Bicycles travel free of charge on Sundays.")
    return tmp_path


class StoppingEncoder(HashingEncoder):
    """Fails after so many texts, as a process that is killed would."""

    class Stopped(Exception):
        pass

    def __init__(self, after):
        super().__init__()
        self.after = after

    def encode(self, texts):
        if len(self.encoded) + len(texts) > self.after:
            raise self.Stopped
        return super().encode(texts)


def everything(index):
    """Passage keys that a search over every vector finds."""
    return [key for key, _ in index.dense(index.encoder.encode(["page"])[0], 10_000, Filters())]


def state(index):
    return index.store.count(), sorted(info.id for info in index.documents()), len(everything(index))


def test_an_index_follows_its_folder(folder, opened):
    index = opened()
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


def test_a_second_run_embeds_nothing_and_changes_nothing(folder, opened):
    index = opened()
    index.add(folder / "docs")
    version, embedded = index.version, len(index.encoder.encoded)
    os.utime(folder / "docs/a.md")  # a new time, the same content
    report = index.add(folder / "docs")
    assert (report.unchanged, report.embedded) == (2, 0)
    assert (index.version, len(index.encoder.encoded)) == (version, embedded)


def test_a_renamed_or_copied_file_is_not_embedded_again(folder, opened):
    index = opened()
    index.add(folder / "docs")
    (folder / "docs/sub/b.txt").rename(folder / "docs/renamed.txt")
    assert index.add(folder / "docs").embedded == 0
    assert state(index)[1] == ["a.md", "renamed.txt"]


def test_only_files_of_that_root_vanish(folder, opened):
    (folder / "other").mkdir()
    (folder / "other/x.md").write_text("Somewhere else.")
    index = opened()
    index.add(folder / "docs")
    index.add(folder / "other")
    (folder / "docs/sub/b.txt").unlink()
    index.add(folder / "docs")
    assert state(index)[1] == ["a.md", "x.md"]


def test_when_more_than_half_vanishes_nothing_is_removed_without_prune(folder, opened):
    index = opened()
    index.add(folder / "docs")
    (folder / "docs/sub/b.txt").unlink()
    (folder / "docs/a.md").unlink()
    with pytest.raises(BadInput, match="--prune"):
        index.add(folder / "docs")
    assert state(index)[0] == (2, 2)
    assert index.add(folder / "docs", prune=True).removed == 2
    assert state(index)[0] == (0, 0)


def test_a_missing_root_removes_nothing(folder, opened):
    index = opened()
    index.add(folder / "docs")
    (folder / "docs").rename(folder / "away")
    with pytest.raises(NotFound, match="nothing was removed"):
        index.add(folder / "docs")
    assert state(index)[0] == (2, 2)
    with pytest.raises(NotFound, match="check the path"):
        index.add(folder / "never")


def test_an_id_of_another_root_is_refused_and_a_prefix_helps(folder, opened):
    (folder / "other").mkdir()
    (folder / "other/a.md").write_text("The same name elsewhere.")
    index = opened()
    index.add(folder / "docs")
    assert "--id-prefix" in index.add(folder / "other").skipped[0][1]
    assert index.document("a.md").text.startswith("Ferries")
    index.add(folder / "other", id_prefix="other/")
    assert index.document("other/a.md").text == "The same name elsewhere."


def test_bad_files_are_named_and_the_others_go_on(folder, opened):
    (folder / "docs/broken.txt").write_bytes(b"\x00\x01\x02\xff" * 100)
    (folder / "docs/empty.md").write_bytes(b"")
    index = opened()
    report = index.add(folder / "docs")
    assert report.documents == 2
    assert {os.path.basename(f) for f, _ in report.skipped} == {"broken.txt", "empty.md"}
    assert {os.path.basename(f) for f, _ in index.store.problems()} == {"broken.txt", "empty.md"}
    assert len(index.add(folder / "docs").skipped) == 2  # still said the next time
    (folder / "docs/empty.md").write_text("Mended.")
    assert [os.path.basename(f) for f, _ in index.add(folder / "docs").skipped] == ["broken.txt"]


def test_a_file_that_becomes_unreadable_keeps_what_it_gave(folder, opened):
    index = opened()
    index.add(folder / "docs")
    good = (folder / "docs/a.md").read_bytes()
    (folder / "docs/a.md").write_bytes(b"\x89PNG\r\n\x1a\n" + b"\x00\x01\x02\xff" * 50)
    assert len(index.add(folder / "docs").skipped) == 1
    assert index.document("a.md").text.startswith("Ferries")
    (folder / "docs/a.md").write_bytes(good)
    assert index.add(folder / "docs").skipped == []
    assert index.store.problems() == []


def test_links_out_of_the_folder_are_not_followed(folder, opened):
    (folder / "secret.txt").write_text("Not for the index.")
    (folder / "docs/link.txt").symlink_to(folder / "secret.txt")
    (folder / "docs/loop").symlink_to(folder / "docs")
    report = opened().add(folder / "docs")
    assert report.documents == 2
    assert "link" in report.skipped[0][1]


def test_filters_by_collection_document_date_and_group(tmp_path, opened):
    index = opened()
    index.put(
        [
            Document(
                "old", "alpha rule", collection="hr", date="2020-01-01", author="Ada Byron; Max", language="en-GB"
            ),
            Document("new", "alpha rule", collection="it", date="2026-01-01", author="Ada", language="eng"),
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
    assert ids(languages=("EN",)) == ["old"]
    assert ids(languages=("en-gb", "eng")) == ["new", "old"]
    assert ids(languages=("en",), since="2025-01-01") == []
    assert ids(authors=("Ada",)) == ["new"]
    assert ids(authors=("Max", "nobody")) == ids(authors=("Ada Byron",)) == ["old"]
    assert ids(authors=("%",)) == []
    assert index.document("old").author == "Ada Byron; Max"
    assert {info.id: info.language for info in index.documents()}["old"] == "en-GB"
    assert index.status()["languages"] == {"": 2, "en-GB": 1, "eng": 1}
    assert ids(groups=()) == ["dateless", "new", "old"]
    assert ids(groups=("staff",), collections=("hr",)) == ["closed", "old"]
    assert not index.readable(Filters(collections=("none",)))
    assert not index.readable(Filters(languages=("fr",)))


def test_removed_means_gone_from_every_search(folder, opened):
    index = opened()
    index.add(folder / "docs")
    assert index.remove(["a.md", "none"]) == 1
    assert index.lexical(["orrin"], 5, Filters()) == []
    left = index.passages([key for key, _ in index.dense(index.encoder.encode(["ferry"])[0], 5, Filters())])
    assert [passage.document_id for passage in left.values()] == ["sub/b.txt"]
    with pytest.raises(NotFound, match="rag search"):
        index.document("a.md")


def test_a_reader_sees_what_a_writer_commits(folder, opened):
    writer = opened()
    writer.add(folder / "docs")
    reader = opened()
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


def test_a_second_writer_gets_one_clear_line(folder, opened):
    one, other = opened(), opened()
    with one._lock(), pytest.raises(Busy, match="another process"):
        other.add(folder / "docs")


def test_status_is_plain_json(folder, opened):
    index = opened()
    index.add(folder / "docs", collection="ferries")
    found = json.loads(json.dumps(index.status()))
    assert (found["documents"], found["passages"], found["collections"]) == (2, 2, {"ferries": 2})
    assert found["vectors"] == "current"
    assert found["roots"] == [{"path": str(folder / "docs"), "collection": "ferries", "id_prefix": ""}]


def test_structure_and_text_survive_the_store_exactly(tmp_path, opened):
    text = "Kopf\u00ad\x00 e\u0301\u200d😀 \u202eשלום\r\n\ttail "
    (tmp_path / "rows.jsonl").write_text(json.dumps({"_id": "x", "text": text, "title": "T", "date": "2026-01-02"}))
    index = opened()
    index.add(tmp_path / "rows.jsonl")
    assert index.document("x").text == text
    (record,) = index.store.records()
    stored = next(iter(index.passages(index.store.keys().tolist()).values()))
    assert stored.text == text[stored.start : stored.end]
    assert stored.units == record.passages[0].units
    assert all(text[u.start : u.end].strip() for u in stored.units)
    assert index.lexical(["\0"], 5, Filters()) == []
    assert index.lexical(["tail"], 5, Filters())[0][0] == stored.key


def test_after_compact_the_rest_is_there(folder, opened):
    index = opened()
    index.add(folder / "docs", collection="ferries")
    assert (index.frequency("orrin", Filters()), index.frequency("nine", Filters(collections=("none",)))) == (1, 0)
    index.remove(["a.md"])
    index.compact()
    assert state(index) == ((1, 1), ["sub/b.txt"], 1)
    assert state(opened()) == state(index)


def test_a_stopped_run_goes_on_where_it_was(tmp_path, opened):
    rows = ({"_id": f"r{i}", "text": f"Row {i} speaks of the harbour number {i}."} for i in range(1300))
    (tmp_path / "rows.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    with pytest.raises(StoppingEncoder.Stopped):
        opened(encoder=StoppingEncoder(700)).add(tmp_path / "rows.jsonl")
    index = opened()
    assert index.store.count()[0] == 512  # a flush, each document in a transaction of its own
    assert index.status()["unfinished"] == [str(tmp_path / "rows.jsonl")]
    report = index.add(tmp_path / "rows.jsonl")
    assert (report.embedded, report.added + report.updated, index.store.count()) == (1300 - 512, 1, (1300, 1300))
    assert index.status()["unfinished"] == []


def test_an_index_of_another_model_or_a_newer_format_is_refused(folder, opened):
    index, other = opened(), HashingEncoder()
    other.name = "tests/other"
    with pytest.raises(IndexMismatch, match="tests/hashing, not tests/other"):
        opened(encoder=other)
    index.store.run("UPDATE meta SET value = '99' WHERE key = 'format'")
    with pytest.raises(IndexMismatch, match="upgrade pullquote"):
        opened()


@pytest.mark.parametrize("narrow", [0, 20_000])
def test_a_selective_filter_finds_all_that_is_left_best_first(opened, monkeypatch, narrow):
    """1 % and a third of a percent are left: compared one by one, or (narrow 0) by the search of a large index."""
    index = opened()
    monkeypatch.setattr(vectors, "NARROW", narrow)
    index.store.narrow = narrow
    names = {0: "one", 150: "one", 299: "rare"}
    index.put([Document(str(i), f"alpha word{i} page{i % 7}.", collection=names.get(i % 300, "b")) for i in range(600)])
    every = {i: HashingEncoder().encode([f"alpha word{i} page{i % 7}."])[0] for i in range(600)}
    for name in ("one", "rare"):
        left = [i for i in every if names.get(i % 300) == name]
        for asked in ("alpha word150", "page6 word299", "other"):
            query = HashingEncoder().encode([asked])[0]
            found = index.dense(query, 20, Filters(collections=(name,)))
            there = index.passages([key for key, _ in found])
            assert sorted(int(there[key].document_id) for key, _ in found) == left
            assert [s for _, s in found] == pytest.approx(
                sorted((every[i] @ query for i in left), reverse=True), abs=2e-3
            )
        lexical = index.lexical(["alpha"], 20, Filters(collections=(name,)))
        assert sorted(int(p.document_id) for p in index.passages([key for key, _ in lexical]).values()) == left


def test_rarer_words_are_ranked_when_all_are_too_many(opened):
    index = opened()
    pages = [f"The common harbour of page {i}." + " Rare xylograph." * (i == 77) for i in range(300)]
    index.put([Document(str(i), page) for i, page in enumerate(pages)])
    everything = index.lexical(["harbour", "common", "xylograph"], 400, Filters())
    assert (len(everything), everything[0][0]) == (300, 78)
    index.store.postings = 100  # as if the store were large
    assert [k for k, _ in index.lexical(["harbour", "common", "xylograph"], 400, Filters())] == [78]
    assert len(index.lexical(["harbour", "common"], 400, Filters())) == 300  # both words, when none is rare
    assert index.lexical(["missing"], 5, Filters()) == []


def test_the_list_for_some_groups_is_one_query_and_the_rule_by_brute_force(opened, monkeypatch):
    index = opened()
    allowed = [(), ("red",), ("blue", "red"), ('it\'s %s ? "x"',), ("green",)]
    index.put([Document(f"d{n}", f"text {n}" if n else "", groups=g) for n, g in enumerate(allowed)])
    asked = []
    monkeypatch.setattr(index, "readable", lambda *given: asked.append(given))
    for groups in (None, (), ("red",), ("violet", "blue"), allowed[3], ("green", "red")):
        expected = [f"d{n}" for n, own in enumerate(allowed) if groups is None or not own or set(own) & set(groups)]
        assert [info.id for info in Readable(index, groups).documents()] == expected
    assert asked == []
