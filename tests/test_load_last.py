"""Subtitles, mailboxes, OpenDocument and reStructuredText: as people have them, and hostile ones."""

from __future__ import annotations

import pytest

from rag.errors import LoadError
from rag.load import load
from rag.load.mbox import MESSAGES
from rag.load.subtitles import CUES
from tests.test_load import check
from tests.test_load_formats import mail, one, quoted

# --- subtitles ----------------------------------------------------------------------------------------------------

SRT = """1
00:12:31,000 --> 00:12:34,500
<i>The ferry leaves at seven.</i>

2
00:12:35,000 --> 00:12:37,000 X1:40 X2:600
{\\an8}Bring your ticket

and a coat &amp; hat.
3
01:00:00,5 --> 01:00:02,0
12

4
bad --> 01:00:04,000
Nobody knows when.
"""
VTT = """WEBVTT - harbour

STYLE
::cue { color: red }

NOTE the --> arrow is not allowed here

intro
31:05.200 --> 31:07.000 align:start
<v.loud Ann Quay>Where is the <c.red>north</c> quay?</v>

31:07.000 --> 31:09.000
Ann Quay: Where is the north quay?
<31:08.000>Behind you.
"""


def test_a_cue_of_subtitles_is_quoted_with_its_time() -> None:
    loaded = load(SRT.replace("\n", "\r\n").encode(), "a.srt")
    (document,) = loaded.documents
    check(document)
    assert document.text == "The ferry leaves at seven.\nBring your ticket and a coat & hat.\n12"
    assert quoted(document, "The ferry leaves") == ("00:12:31",)
    assert quoted(document, "Bring your") == ("00:12:35",)
    assert quoted(document, "12") == ("01:00:00",)
    assert loaded.problems == ("1 cues whose times cannot be read are left out",)


def test_web_subtitles_name_their_speakers_and_say_nothing_twice() -> None:
    loaded = load(VTT.encode(), "a.vtt")
    (document,) = loaded.documents
    check(document)
    assert document.text == "Ann Quay: Where is the north quay?\nBehind you."
    assert quoted(document, "Behind") == ("00:31:07",)
    assert loaded.left_out == {"repeated lines": len("Ann Quay: Where is the north quay?")}


def test_subtitles_are_told_by_their_content() -> None:
    assert one(SRT.encode("utf-16"), "a.txt").loader == "subtitles/1"
    assert one(VTT.encode(), "a").loader == "subtitles/1"
    assert one(b"WEBVTTX is no format.", "a.txt").loader == "text/1"


def cues(count: int) -> bytes:
    return b"WEBVTT\n\n" + b"00:01.000 --> 00:02.000\nHa.\nHo.\n\n" * count


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"WEBVTT\n\nNOTE nothing else", "no cue in it has a time and words"),
        (SRT[:20].encode(), "no cue in it has a time and words"),
        (b"1\n00:00:01,0 --> 00:00:02,0\n<i></i>", "no cue in it has a time and words"),
    ],
)
def test_subtitles_without_words_are_a_line(data: bytes, message: str) -> None:
    with pytest.raises(LoadError, match=f"^a.srt: {message}"):
        load(data, "a.srt")


def test_a_million_cues_are_a_line() -> None:
    with pytest.raises(LoadError, match=f"^a.vtt: more than {CUES} cues; cut it into parts$"):
        load(cues(1_000_000), "a.vtt")


# --- mailboxes ----------------------------------------------------------------------------------------------------

LETTER = (
    b"Message-ID: <{id}>\nFrom: Ann <ann@example.org>\nSubject: Letter {id}\n\nIt was said.\n\n>From here on it is dry."
    b"\n\nFrom 10:30 on: nothing, but this is no header\n"
)


def box(*messages: bytes) -> bytes:
    return b"".join(b"From ann@example.org Tue Mar  3 10:00:00 2026\n" + message + b"\n\n" for message in messages)


def letter(name: str) -> bytes:
    return LETTER.replace(b"{id}", name.encode())


def test_each_message_of_a_mailbox_is_a_document_and_keeps_its_name() -> None:
    loaded = load(box(letter("a/1@x"), mail(), letter("b@x"), letter("a/1@x")), "in.mbox", source="m/in.mbox")
    first, second, attached, third = loaded.documents
    for document in loaded.documents:
        check(document)
    assert (first.id, first.source, first.title) == ("in.mbox!/a_1@x.eml", "m/in.mbox!/a_1@x.eml", "Letter a/1@x")
    assert first.author == "Ann"
    assert "\n\nFrom here on it is dry.\n\nFrom 10:30 on" in first.text
    assert (second.title, second.date) == ("Fare change", "2026-03-03")
    assert attached.id == f"{second.id}!/note.txt"
    assert loaded.problems[-1] == "1 messages that stand there twice are left out"
    later = load(box(letter("new@x"), letter("b@x")), "in.mbox").documents
    assert [document.id for document in later] == ["in.mbox!/new@x.eml", third.id]


def test_two_messages_of_one_id_are_both_there() -> None:
    other = letter("a@x").replace(b"It was said", b"It was denied")
    first, second = load(box(letter("a@x"), other).replace(b"\n", b"\r\n"), "Inbox").documents
    assert first.id == "Inbox!/a@x.eml"
    assert second.id.startswith("Inbox!/a@x-")
    assert "denied" in second.text


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"From the quay.", "no message begins in it"),
        (box(b"X: y\n"), "nothing in it can be read"),
        (box(b"A: b\n") * (MESSAGES + 1), f"{MESSAGES + 1} messages are more than {MESSAGES}"),
    ],
)
def test_hostile_mailboxes_are_a_line(data: bytes, message: str) -> None:
    with pytest.raises(LoadError, match=rf"^a\.mbox: {message}[^\n]*$"):
        load(data, "a.mbox")


def test_a_mailbox_that_is_cut_off_gives_what_is_there() -> None:
    loaded = load(box(letter("a@x"), letter("b@x"))[:-70], "a.mbox")
    assert [document.title for document in loaded.documents] == ["Letter a@x", "Letter b@x"]
