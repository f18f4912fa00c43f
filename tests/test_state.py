"""What people leave behind: it survives, it belongs to its owner, and it goes when it should."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest

from rag.errors import BadInput, NotFound
from rag.settings import Settings
from rag.state import FILE, State
from tests.fakes import HANDBOOK, MEMO, FakeAnswerer

ASKED = "How long is parental leave?"


@pytest.fixture(params=["folder", pytest.param("server", marks=pytest.mark.postgres)])
def chosen(request: pytest.FixtureRequest, tmp_path: Path) -> Settings:
    """Settings with an index in a folder, and with one on PostgreSQL."""
    if request.param == "folder":
        return Settings(index=str(tmp_path))
    import psycopg

    url = request.getfixturevalue("database")
    with psycopg.connect(url) as db:
        db.execute("CREATE SCHEMA pullquote")
    return Settings(index=url)


@pytest.fixture
def state(chosen: Settings) -> State:
    return State.open(chosen)


def answer() -> dict[str, Any]:
    return FakeAnswerer().ask(ASKED).to_dict()


def test_a_conversation_survives_and_is_the_same(chosen: Settings, state: State) -> None:
    first = state.begin("ines", None, ASKED, {"since": "2024-01-01"})
    assert state.finish(first.id, answer())
    second = state.begin("ines", first.conversation, "And for sailors?")
    assert (first.number, second.number) == (1, 2)
    state.finish(second.id, problem="it broke")
    again = State.open(chosen)  # another process
    one, two = again.turns("ines", first.conversation)
    assert one.filters == {"since": "2024-01-01"}
    assert (one.state, two.state, two.problem) == ("done", "failed", "it broke")
    assert one.answer is not None
    for citation in one.answer["citations"]:
        held = {HANDBOOK.id: HANDBOOK, MEMO.id: MEMO}[citation["document_id"]]
        assert held.text[citation["start"] : citation["end"]] == citation["quote"]
    (listed,) = again.conversations("ines")
    assert (listed.title, listed.turns) == (ASKED, 2)


def test_what_is_anothers_is_as_if_it_did_not_exist(state: State) -> None:
    turn = state.begin("ines", None, ASKED)
    for attempt in (
        lambda who: state.conversation(who, turn.conversation),
        lambda who: state.turns(who, turn.conversation),
        lambda who: state.turn(who, turn.id),
        lambda who: state.begin(who, turn.conversation, "mine now"),
        lambda who: state.rename(who, turn.conversation, "mine"),
        lambda who: state.delete(who, turn.conversation),
        lambda who: state.stop(who, turn.id),
        lambda who: state.share(who, turn.id),
        lambda who: state.rate(who, turn.id, True),
    ):
        with pytest.raises(NotFound, match="may have been deleted"):
            attempt("otto")
    assert state.conversations("otto") == []
    assert [t.state for t in state.turns("ines", turn.conversation)] == ["pending"]
    state.share("ines", turn.id)
    assert state.turn("otto", turn.id).question == ASKED
    state.share("ines", turn.id, False)
    with pytest.raises(NotFound):
        state.turn("otto", turn.id)


def test_conversations_are_found_renamed_and_deleted(state: State) -> None:
    older, newer = state.begin("ines", None, "ÜBER the bridge?"), state.begin("ines", None, "x " * 100)
    assert [c.id for c in state.conversations("ines")] == [newer.conversation, older.conversation]
    assert len(state.conversations("ines")[0].title) == 80
    assert [c.id for c in state.conversations("ines", "über")] == [older.conversation]
    state.rename("ines", older.conversation, "  Tide \n times ")
    assert [c.title for c in state.conversations("ines", "tide t")] == ["Tide times"]
    with pytest.raises(BadInput, match="1 to 200"):
        state.rename("ines", older.conversation, " ")
    state.rate("ines", older.id, True)
    state.delete("ines", older.conversation)
    assert [c.id for c in state.conversations("ines")] == [newer.conversation]
    assert state.feedback() == []
    assert not state.finish(older.id, answer())


def test_a_stopped_turn_stays_stopped_and_a_lost_one_is_said(state: State) -> None:
    stopped, lost = state.begin("ines", None, ASKED), state.begin("ines", None, ASKED)
    state.stop("ines", stopped.id)
    assert not state.finish(stopped.id, answer())
    assert state.interrupted("the program ended") == 1
    found = [state.turn("ines", turn.id) for turn in (stopped, lost)]
    assert [(t.state, t.answer, t.problem) for t in found] == [
        ("stopped", None, ""),
        ("failed", None, "the program ended"),
    ]


def test_feedback_replaces_what_was_thought_before(state: State) -> None:
    turn = state.begin("ines", None, ASKED)
    state.finish(turn.id, answer())
    state.rate("ines", turn.id, True)
    state.rate("ines", turn.id, False, "bad_quote", " cut short ")
    (given,) = state.feedback()
    assert (given.good, given.reason, given.comment, given.turn.question) == (False, "bad_quote", "cut short", ASKED)
    assert state.rating("ines", [turn.id]) == {turn.id: (False, "bad_quote")}
    for bad in ((True, "wrong"), (False, ""), (False, "rude")):
        with pytest.raises(BadInput):
            state.rate("ines", turn.id, *bad)


def test_the_words_of_a_removed_document_can_be_taken_out(tmp_path: Path, state: State) -> None:
    turn = state.begin("ines", None, ASKED)
    state.finish(turn.id, answer())
    assert state.quoting([MEMO.id]) == state.quoting([HANDBOOK.id]) == 1
    assert state.forget([MEMO.id]) == 1
    assert state.quoting([MEMO.id]) == 0
    found = state.turn("ines", turn.id).answer
    assert found is not None
    assert [bool(c["quote"]) for c in found["citations"]] == [True, False]
    assert found["answers"][0]["text"] == "26 weeks"  # the handbook says so too
    assert state.forget([HANDBOOK.id]) == 1
    found = state.turn("ines", turn.id).answer
    assert found is not None
    assert found["answers"][0]["text"] == ""
    assert b"26 weeks" not in b"".join(file.read_bytes() for file in tmp_path.glob(f"{FILE}*"))


def test_an_upload_has_one_owner(state: State) -> None:
    mine = state.add_upload("ines", "plan.pdf", 10)
    state.add_upload("otto", "map.pdf", 20, ("crew",))
    assert [u.name for u in state.uploads("ines")] == ["plan.pdf"]
    assert [u.groups for u in state.uploads()] == [(), ("crew",)]
    with pytest.raises(NotFound):
        state.remove_upload("otto", mine.id)
    state.share_upload("ines", mine.id, None)
    assert state.upload("ines", mine.id).groups is None
    state.remove_upload("ines", mine.id)
    assert state.uploads("ines") == []


def test_many_may_write_at_once(state: State) -> None:
    turn = state.begin("ines", None, ASKED)
    threads = [
        threading.Thread(target=lambda: [state.begin("ines", turn.conversation, "again") for _ in range(5)])
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [t.number for t in state.turns("ines", turn.conversation)] == list(range(1, 22))


def test_a_server_that_is_not_there_is_one_line_without_the_password() -> None:
    pytest.importorskip("psycopg")
    with pytest.raises(BadInput, match="cannot be kept on the server") as error:
        State.open(Settings(index="postgresql://me:hunter2@127.0.0.1:9/none"))
    assert "hunter2" not in str(error.value)


def test_the_file_is_its_owners_alone(tmp_path: Path) -> None:
    chosen = Settings(index=str(tmp_path))
    assert State.of(chosen) is None
    State.open(chosen)
    assert State.of(chosen) is not None
    assert (tmp_path / FILE).stat().st_mode & 0o077 == 0


def test_a_place_that_cannot_be_used_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="cannot be used"):
        State.open(Settings(index=str(tmp_path / "missing")))
    (tmp_path / FILE).write_bytes(b"no database" * 100)
    with pytest.raises(BadInput, match="cannot be used"):
        State.open(Settings(index=str(tmp_path)))
