"""Subtitles, mailboxes, OpenDocument and reStructuredText: as people have them, and hostile ones."""

from __future__ import annotations

import pytest

from rag.errors import LoadError
from rag.load import load
from rag.load.subtitles import CUES
from tests.test_load import check
from tests.test_load_formats import one, quoted

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
