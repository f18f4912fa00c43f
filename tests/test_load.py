"""The loaders: canonical text by the rules of the golden files, ranges that always hold, and one line for bad files."""

from __future__ import annotations

import io
import json
import random
import re
import subprocess
import sys
import tracemalloc
import zipfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rag.errors import LoadError
from rag.load import SUFFIXES, is_candidate, load
from rag.types import Document

GOLDEN = Path(__file__).parent / "golden"
KINDS = ("a.txt", "a.md", "a.html", "a.xhtml", "a.jsonl", "a")


def one(data: bytes | str, name: str = "a.txt", **options: str) -> Document:
    loaded = load(data.encode() if isinstance(data, str) else data, name, **options)
    assert len(loaded.documents) == 1
    return loaded.documents[0]


def slices(document: Document) -> list[tuple[str, str]]:
    return [(block.kind, document.text[block.start : block.end]) for block in document.blocks]


def check(document: Document) -> None:
    """What holds for every Document: blocks in order, apart, not blank; sections nested and inside."""
    end = 0
    for block in document.blocks:
        assert end <= block.start < block.end <= len(document.text)
        assert document.text[block.start : block.end].strip()
        end = block.end
    assert document.blocks
    ends: list[int] = []
    for section in document.sections:
        while ends and ends[-1] <= section.start:
            ends.pop()
        assert section.start < section.end <= (ends[-1] if ends else len(document.text))
        ends.append(section.end)
    document.text.encode("utf-8")
    document.title.encode("utf-8")


@pytest.mark.parametrize("name", sorted(path.name for path in GOLDEN.iterdir() if path.suffix != ".json"))
def test_golden(name: str) -> None:
    loaded = load((GOLDEN / name).read_bytes(), name)
    golden = json.loads((GOLDEN / f"{name}.json").read_text("utf-8"))
    assert list(loaded.problems) == golden["problems"]
    assert len(loaded.documents) == len(golden["documents"])
    for document, expected in zip(loaded.documents, golden["documents"], strict=True):
        check(document)
        assert document.text == "\n".join(expected.pop("text"))
        blocks = [[b.kind, b.start, b.end, document.text[b.start : b.end]] for b in document.blocks]
        assert blocks == expected.pop("blocks")
        assert [[list(s.path), s.start, s.end] for s in document.sections] == expected.pop("sections")
        assert {key: getattr(document, key) for key in expected} == {**expected, "groups": tuple(expected["groups"])}


# --- properties ---------------------------------------------------------------------------------------------------

plain = st.text(st.characters(exclude_categories=("Cs", "Cc"), include_characters="\n\t"))


@given(plain, st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]), st.sampled_from(["\n", "\r\n", "\r"]))
def test_text_is_the_decoded_text(body: str, encoding: str, line_end: str) -> None:
    text = "Note: " + body
    document = one(text.replace("\n", line_end).encode(encoding))
    check(document)
    assert document.text == text


@given(plain)
def test_blocks_of_text_leave_only_white_space(body: str) -> None:
    document = one("Note: " + body)
    rest, end = "", 0
    for block in document.blocks:
        rest, end = rest + document.text[end : block.start], block.end
        assert not re.search(r"\n[ \t]*\n", document.text[block.start : block.end])
    assert not (rest + document.text[end:]).strip()


@given(st.dictionaries(st.sampled_from("abc"), st.text(min_size=1), min_size=1))
def test_jsonl_text_is_the_given_text(rows: dict[str, str]) -> None:
    data = "\n".join(json.dumps({"_id": name, "text": text}) for name, text in rows.items())
    wanted = {name: text for name, text in rows.items() if text.strip()}
    if wanted:
        assert {document.id: document.text for document in load(data.encode(), "r.jsonl").documents} == wanted
    else:
        with pytest.raises(LoadError):
            load(data.encode(), "r.jsonl")


@settings(max_examples=300, deadline=None)  # the first file of a kind starts a worker
@given(st.binary() | st.text().map(lambda text: text.encode("utf-8", "surrogatepass")), st.sampled_from(KINDS))
def test_any_bytes_give_documents_or_one_line(data: bytes, name: str) -> None:
    try:
        documents, message = load(data, name).documents, f"{name}: "
    except LoadError as error:
        documents, message = (), str(error)
    for document in documents:
        check(document)
    assert message.startswith(f"{name}: ")
    assert "\n" not in message


MARKS = r"""
a word é🚢 # ## - 1. > * ** _ ` ``` ~~~ [ ](x) ![ [^1] [^1]: | \\| &amp; &#0; &#xd800; --- <a >
<b> </b> <p> </p> <div> </div> <div/hidden> <ul> <li> </ul> <ol/start=7> </ol> <li/value=x> <pre> </pre> <br> <code>
<table> <tr> <td> <th> </td> </table> <thead> <h1> </h1> <h3> <img/alt='x'> <p/style='white-space:pre'> <select>
<!-- --> <script> </script> <title> <style> <template> </template> <svg> </svg>
""".split()
MARKS += ["\n", "\n\n", " ", "    ", "\f", "\xa0", "```\n", "|a|b|\n|-|-|\n|c|d|\n", "---\n"]
markup = st.lists(st.sampled_from(MARKS), max_size=40).map("".join)


@settings(max_examples=500, deadline=None)
@given(markup, st.sampled_from(["a.md", "a.html", "a.xhtml"]))
def test_any_markup_keeps_the_invariants(source: str, name: str) -> None:
    try:
        document = one(source, name)
    except LoadError:
        return
    check(document)
    rest, end = [], 0
    for block in document.blocks:
        rest.append(document.text[end : block.start])
        end = block.end
    assert end == len(document.text)
    assert all(re.fullmatch(r"\s*(- |-?\d+\. )?", part) for part in rest)  # between blocks: ends of lines and markers


trees = st.recursive(
    st.integers(0, 999).map(lambda n: ([f"w{n}"], f" w{n} ")),
    lambda inner: st.tuples(
        st.sampled_from("div p ul li section h2 blockquote b em span table td pre a".split()),
        st.lists(inner, max_size=4),
    ).map(
        lambda node: (
            [word for words, _ in node[1] for word in words],
            f"<{node[0]}>{''.join(source for _, source in node[1])}</{node[0]}>",
        )
    ),
    max_leaves=25,
)


@settings(deadline=None)
@given(trees)
def test_every_word_of_a_page_is_kept(tree: tuple[list[str], str]) -> None:
    words, source = tree
    if words:  # sorted, since a browser moves what stands in a table outside of its cells
        assert sorted(re.findall(r"w\d+", one(f"<html>{source}", "a.html").text)) == sorted(words)


# --- what is refused ----------------------------------------------------------------------------------------------


def zipped(*names: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name in names:
            archive.writestr(name, "x" * 9000)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("data", "name", "message"),
    [
        (b"", "a.txt", "empty"),
        (b"", "a.jsonl", "empty"),
        (b" \n\t\n", "a.txt", "no text"),
        (b"\xef\xbb\xbf", "a.md", "no text"),
        (b"---\ntitle: only\n---\n", "a.md", "no text"),
        (b"<html><script>x</script>", "a.html", "no text"),
        (b"%PDF-1.7\n%\xe2\xe3", "a.txt", "damaged PDF"),
        (zipped("word/document.xml"), "a.txt", "nothing in it can be read"),
        (zipped("b.bin"), "a.md", "nothing in it can be read"),
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "a.html", "an image (PNG)"),
        (b"\xff\xd8\xff\xe0\0\x10JFIF", "a.txt", "an image (JPEG)"),
        (b"\x1f\x8b\x08\0", "a.jsonl", "damaged or cut off"),
        (b"SQLite format 3\0rest", "a.txt", "an SQLite database"),
        (b"\0\1\2\3" * 50, "a.txt", "binary or damaged"),
        (bytes(range(256)), "a.txt", "binary or damaged"),
        (random.Random(1).randbytes(5000).replace(b"\0", b"\1"), "a.txt", "encoding"),
        (b"a lone \xed\xa0\x80 half", "a.txt", "lone surrogate"),
        (b"\xff\xfea\0\0\xd8b\0", "a.txt", "damaged utf-16-le"),
        (b"\xff\xfea\0b", "a.txt", "damaged utf-16-le"),
        (b'---\ntitle: x\ngroups: ["\\ud800"]\n---\ntext', "a.md", "lone surrogate"),
        (b"---\ngroups: {a: b}\n---\ntext", "a.md", "groups"),
        (b"---\ngroups: [a\n---\ntext", "a.md", "limits who may read"),
        (b'{"text": "no id"}\n', "a.jsonl", "no usable row (line 1: _id is missing"),
        (b"\n\n", "a.jsonl", "no usable row"),
    ],
)
def test_refused_in_one_line(data: bytes, name: str, message: str) -> None:
    with pytest.raises(LoadError) as raised:
        load(data, name)
    assert message in str(raised.value)
    assert str(raised.value).startswith(f"{name}: ")
    assert "\n" not in str(raised.value)


def test_letters_that_begin_like_a_binary_file_are_text() -> None:
    assert one("MZ, ID3 and RIFF are marks.").text == "MZ, ID3 and RIFF are marks."
    assert one("PAR1: the first paragraph").loader == "text/1"


# --- decoding -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("The fee is £25.", "cp1252"),
        ("It’s free", "cp1252"),
        ("Plain English with one dash — and “quotes”. The fee is £25 or €30.", "cp1252"),
        ("Größe: über 30 Stück, Straße", "cp1252"),
        ("Año nuevo, ¿qué tal?", "latin-1"),
        ("Привет, мир. Это текст на русском языке, довольно длинный.", "cp1251"),
        ("Zażółć gęślą jaźń. Dzień dobry, proszę o pomoc w sprawie płatności.", "cp1250"),
        ("これは日本語の文章です。東京は日本の首都であり、人口は約千四百万人です。", "shift_jis"),
        ("The harbour opens at six.\nCafé closed.\n", "utf-16-le"),
        ("The harbour opens at six.\nCafé closed.\n", "utf-16-be"),
        ("Привет, мир. Это текст.\n", "utf-16-le"),
        ("The harbour 🚢", "utf-32"),
    ],
)
def test_other_encodings(text: str, encoding: str) -> None:
    loaded = load(text.encode(encoding), "a.txt")
    assert loaded.documents[0].text == text
    assert loaded.problems == ()


def test_the_guess_reaches_text_far_inside_a_file() -> None:
    text = "Nothing special in this line.\n" * 20_000 + "The fee is £25 — “fixed”.\n" + "And so on.\n" * 20_000
    assert one(text.encode("cp1252")).text == text


def test_a_page_may_declare_its_encoding() -> None:
    page = '<html><meta charset="windows-1251"><p>Мир'
    assert one(page.encode("cp1251"), "a.html").text == "Мир"


def test_broken_utf8_is_mended_and_said() -> None:
    loaded = load("naïve café — cut off: €".encode()[:-1], "a.txt")
    assert loaded.documents[0].text == "naïve café — cut off: \ufffd"
    assert loaded.problems == ("1 broken UTF-8 sequence(s) replaced by \ufffd; save the file again as UTF-8",)


def test_a_stray_nul_is_dropped_and_nothing_else() -> None:
    text = "e\u0301 \u00ad\u200b\u202e\ufeff \x0c\x1b[0m ﬁ"
    assert one(f"\ufeffone\0two {text}").text == f"onetwo {text}"


def test_utf8_never_pays_for_detection() -> None:
    code = (
        "import sys; from rag.load import load; load('Größe'.encode(), 'a.txt');"
        "print([m for m in ('charset_normalizer', 'selectolax', 'markdown_it', 'yaml') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_a_large_text_costs_a_small_multiple_of_its_size() -> None:
    data = (b"word " * 200 + b"\n\n") * 10_000  # 10 MB, 10,000 paragraphs
    tracemalloc.start()
    document = one(data)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(document.blocks) == 10_000
    assert peak < 4 * len(data)


# --- kinds, titles, dates -----------------------------------------------------------------------------------------


def test_the_content_tells_html_whatever_the_name() -> None:
    page = "\n<!-- saved -->\n<!DOCTYPE html><title>T</title><p>Seen"
    for name in ("a.txt", "a.md", "a"):
        assert one(page, name).loader == "html/3"
    assert one(page.encode("utf-16"), "a.txt").text == "Seen"
    assert one("We wrote <html> in a sentence.", "a.txt").loader == "text/1"
    assert one("# H", "A.MD").loader == "markdown/1"
    assert one("# H", "a.txt").text == "# H"


@pytest.mark.parametrize(
    ("data", "name", "title"),
    [
        ("words", "notes/a.txt", "a.txt"),
        ("words", "box.zip!/inner/b.md", "b.md"),
        ("## Second *level*\n\n# First", "a.md", "Second level"),
        ("---\ntitle: 1.10\n---\n# H", "a.md", "1.10"),
        ("<html><h2>b</h2><h1>a</h1>", "a.html", "a"),
        ("<html><title> x\n y</title><h1>a</h1>", "a.html", "x y"),
        ('{"_id": "r/7", "text": "x"}', "rows.jsonl", "7"),
    ],
)
def test_title(data: str, name: str, title: str) -> None:
    assert one(data, name).title == title


@pytest.mark.parametrize(
    ("data", "name", "date"),
    [
        (" \n date 2024-01-26 China", "a.txt", "2024-01-26"),
        ("date 2024-02-30 no such day", "a.txt", None),
        ("On date 2024-01-26 we met", "a.txt", None),
        ("date 2024-01-261", "a.txt", None),
        ("---\ndate: 2026-03-14T10:00:00Z\n---\nx", "a.md", "2026-03-14"),
        ("---\ndate: 2026-03-14\n---\ndate 2020-01-01 x", "a.md", "2026-03-14"),
        ("date 2020-01-01 x", "a.md", "2020-01-01"),
        ('<html><meta name="DC.date" content="2020-05-06"><p>x', "a.html", "2020-05-06"),
        ('<html><meta name="date" content="May 2020"><p>x', "a.html", None),
        ('<html><p>x<time datetime="2020-05-06T10:00">then</time>', "a.html", "2020-05-06"),
        ('<html><p><time datetime="2020-05-06">a</time><time datetime="2020-05-07">b</time>', "a.html", None),
        ('{"_id": "a", "text": "x", "date": "2020-05-06"}', "a.jsonl", "2020-05-06"),
    ],
)
def test_date(data: str, name: str, date: str | None) -> None:
    assert one(data, name).date == date


@pytest.mark.parametrize(
    ("data", "name", "author", "language"),
    [
        ("---\nauthor: [Ada Byron, Max Quay]\nlang: en_gb\n---\nx", "a.md", "Ada Byron; Max Quay", "en-GB"),
        ("---\nauthor: {name: x}\nlanguage: [en]\n---\nx", "a.md", None, None),
        ("---\nauthor: a: b\nlang: de\n---\nx", "a.md", "a: b", "de"),
        ('<html lang="pt-br"><meta name=Author content=" Ada \n Byron "><p>x', "a.html", "Ada Byron", "pt-BR"),
        ('<html lang="zh-hant-tw"><meta name=author content=admin><p>x', "a.html", None, "zh-Hant-TW"),
        ('<html><meta http-equiv="Content-Language" content="de"><p>x', "a.html", None, "de"),
        ('<html lang="und"><meta name="DC.creator" content="A"><meta name="DC.creator" content="B"><p>x', "a.html",
         "A; B", None),
        ('{"_id": "a", "text": "x", "author": "Ada", "language": "en"}', "a.jsonl", "Ada", "en"),
        ('{"_id": "a", "text": "x", "author": 7, "language": ["en"]}', "a.jsonl", None, None),
        ("From: Ada Byron <ada@example.org>, max@example.org\nContent-Language: en\n\nx", "a.eml",
         "Ada Byron; max@example.org", "en"),
        ("words", "a.txt", None, None),
    ],
)  # fmt: skip
def test_author_and_language(data: str, name: str, author: str | None, language: str | None) -> None:
    made = one(data, name)
    assert (made.author, made.language) == (author, language)


def test_the_collection_of_the_caller_beats_that_of_the_document() -> None:
    for data, name in (
        ("---\ncollection: own\n---\nx", "a.md"),
        ('{"_id":"a","text":"x","collection":"own"}', "a.jsonl"),
    ):
        assert one(data, name).collection == "own"
        assert one(data, name, collection="given").collection == "given"
    assert one("x", source="https://example.org", collection="given").source == "https://example.org"


def test_candidates_of_a_folder_walk() -> None:
    assert all(is_candidate(f"folder/name{suffix}") for suffix in SUFFIXES)
    assert is_candidate("READ.ME.TXT")
    for name in ("rows.jsonl", "a.png", "README", ".hidden.md", ".md", "a.txt.gz", "b.txt/", "md"):
        assert not is_candidate(name)


# --- Markdown -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("- a\n\n- b\n- c\n", "- a\n- b\n- c"),
        ("1. a\n1. b\n   ```\n   x\n   ```\n1. c", "1. a\n2. b\n\nx\n\n3. c"),
        ("- # Title\n- x", "- Title\n- x"),
        ("- - a\n  - b", "  - a\n  - b"),
        ("| a | b |\n|--|--|\n| | |\n| c | |", "a | b\nc | "),
        ("a\n***\nb", "a\n\nb"),
        ("&nbsp;\n\nx&nbsp;", "x"),
        ("[x](javascript:alert(1)) <javascript:y>", "x javascript:y"),
        ("![alt *text*](a.png)", "alt text"),
        ("a <b>c</b> <script>d</script> <!-- e --> f", "a c f"),
        ("Use the <title> tag, and `<title>` too.", "Use the <title> tag, and <title> too."),
        ("<table>\n<tr><td>\n\n**a**\n\n</td><td>\n\n- b\n- c\n\n</td></tr>\n</table>", "a | b c"),
        ("[^1]: https://example.org\n\nx[^1][^2]", "https://example.org\n\nx[^2]"),
        ("---\nnot front matter\n---\n", "not front matter"),
        ("***\n\n---\n\nx", "x"),
        ("~~~\n\n a \n\n~~~", " a "),
    ],
)
def test_markdown_rules(source: str, text: str) -> None:
    document = one(source, "a.md")
    check(document)
    assert document.text == text


def test_front_matter_that_is_not_yaml_is_said_and_read_as_far_as_it_goes() -> None:
    loaded = load(b"---\ntitle: Fees: the list\ndate: 2024-05-06\n---\nx", "a.md")
    assert (loaded.documents[0].title, loaded.documents[0].date) == ("Fees: the list", "2024-05-06")
    assert loaded.documents[0].text == "x"
    assert loaded.problems == ("line 2: the front matter is not YAML; put values that hold a colon in quotes",)
    loaded = load(b"---\ndate: 6 May\ntitle: [a]\n---\nx", "a.md")
    assert [problem.split(" is not ")[0] for problem in loaded.problems] == [
        "front matter: title \"['a']\"",
        "front matter: date '6 May'",
    ]


def test_a_quoted_row_names_its_header() -> None:
    document = one("# Fees\n\n| Boat | Fee |\n|--|--|\n| Yacht | 12 |\n| Dinghy | 0 |\n\nEnd.\n\n## Later\n\nx", "a.md")
    assert slices(document)[1:4] == [("row", "Boat | Fee"), ("row", "Yacht | 12"), ("row", "Dinghy | 0")]
    header, yacht, dinghy = (block.start for block in document.blocks[1:4])
    assert document.section_at(header) == ("Fees",)
    assert document.section_at(yacht) == document.section_at(dinghy) == ("Fees", "Boat | Fee")
    assert document.section_at(document.text.index("End")) == ("Fees",)
    assert document.section_at(len(document.text) - 1) == ("Fees", "Later")


def test_a_large_markdown_file_is_read_in_pieces_with_the_same_result() -> None:
    part = "# Heading\n\nSome *words* here.\n\n```\n# no heading\n\nText in code\n```\n\n- a\n- b\n\n"
    times = 600_000 // len(part) + 1
    small, large = one(part, "a.md"), one(part * times, "a.md")
    assert large.text == "\n\n".join([small.text] * times)
    assert slices(large) == slices(small) * times


# --- HTML ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("a<b>b</b> <i> c</i>\n\n d", "ab c d"),
        ("<p>a<p>b<div>c</div>d", "a\n\nb\n\nc\n\nd"),
        ("<pre>\n\n a\n  b </pre>", " a\n  b "),
        ("<pre><div>a</div><div>b</div></pre>c", "a\nb\n\nc"),
        ("<ol><li>a<li value=7>b<li>c</ol>", "1. a\n7. b\n8. c"),
        ("<ol reversed start=2><li>a<li>b</ol>", "2. a\n1. b"),
        ("<ol start=99999999999999999999><li>a</ol>", "1. a"),
        ("<ul><li>a<br>b<li><p><li>c</ul>", "- a\nb\n- c"),
        ("<td>loose<li>item", "loose\n\n- item"),
        ("<style>.x,#y{display:none}</style><p class=x>a<p id=y>b<p>c<img class=x alt=d>", "c"),
        ("<style>@media print{p{display:none}} .x:hover{display:none}</style><p class=x>a", "a"),
        ("<style>p > .x{ /* } */ display : none !important}</style><p><b class=x>a</b>b", "b"),
        ("<p style='Display:None'>a<p aria-hidden=TRUE>b<p HIDDEN>c<p aria-hidden=false>d", "d"),
        ("<ruby>a<rp>(</rp><rt>b</rt></ruby><textarea>t</textarea><svg><text>s</text></svg>", "abt"),
        ("<table role=presentation><tr><td>a<td>b</table>", "a\n\nb"),
        ("<table><tr><td><table><tr><td>a<td>b</table><td>c</table>", "a | b\n\nc"),
        ("a&#xD800;&#0;b&amp;lt;", "a\ufffd\ufffdb&lt;"),
    ],
)
def test_html_rules(source: str, text: str) -> None:
    document = one(f"<!doctype html>{source}", "a.html")
    check(document)
    assert document.text == text


# --- the main text of a saved page ---------------------------------------------------------------------------------

PROSE = "The ferry to Kelling leaves the east pier at nine and takes forty minutes in calm water. "
SAVED = f"""<!DOCTYPE html><html lang="en"><body class="cookie-consent-open">
<a class="skip-link" href="#main">Skip to the text</a>
<header><h2>Saltmarsh</h2><a href="/">Home</a> <a href="/fares">Fares and tickets</a></header>
<nav><ul><li><a href="/a">Timetable</a><li><a href="/b">Moorings</a></ul></nav>
<div class="breadcrumbs"><a href="/">Home</a> › <a href="/piers">Piers</a></div>
<main><article><header><h1>East pier</h1><p>By the harbour master</p></header><p>{PROSE * 3}</p>
<aside>Mind the gap at low tide.</aside><div class="sidebar">A berth costs 12 pounds, see <a href="#p">prices</a>.</div>
<footer>Checked in May.</footer></article></main>
<aside><h3>Most read</h3><a href="/x">Ten walks along the coast</a> <a href="/y">Seals again</a></aside>
<aside>Dogs travel free of charge on a lead.</aside>
<div id="cookie-banner"><p>We use cookies. <button>Accept</button></p></div>
<footer><p>© 2026 Saltmarsh Ferries</p></footer>
</body></html>"""


def test_what_belongs_to_the_site_is_left_out_of_a_page_and_counted() -> None:
    loaded = load(SAVED.encode(), "a.html")
    text = loaded.documents[0].text
    check(loaded.documents[0])
    for kept in ("East pier", "harbour master", "Mind the gap", "berth costs 12", "Checked in May", "Dogs travel free"):
        assert kept in text
    for gone in ("Skip", "Home", "Timetable", "Piers", "Most read", "Seals", "cookies", "©"):
        assert gone not in text
    assert set(loaded.left_out) == {"navigation", "heads and feet of the site", "asides", "cookie notices"}
    assert loaded.left_out["cookie notices"] == len("We use cookies. Accept")
    assert loaded.documents[0].section_at(text.index("Dogs")) == ("East pier",)  # not below “Most read”


@pytest.mark.parametrize(
    "source",
    [
        f"<body><nav>{PROSE * 5}<a href=a>More</a></nav><p>{PROSE}</p>",  # prose in a badly chosen element
        "<body><h1>Site map</h1><nav>" + "<a href=x>Moorings and fees</a> " * 40 + "</nav>",  # the list is the text
        "<body><nav><a href=x>Only this</a></nav>",
        f"<body><header><h1><a href=/>East pier</a></h1></header><p>{PROSE}</p>",  # a title
        f"<body><footer>Harbour House, Kelling Quay</footer><p>{PROSE}</p>",  # an address that no link leads away from
        f"<body><p>{PROSE}</p><aside role=doc-endnotes><a href=#a>1</a> Low tide.</aside>",
        f"<body><div class=menu>Soup, bread, and fish of the day at 9 pounds</div><p>{PROSE}</p>",
        f"<body class=nav><div id=sidebar><main><p>{PROSE}<a href=a>{PROSE * 3}</a></p></main></div>",
        f"<body><p>{PROSE}</p><ul><li><a href=a>Fares</a><li><a href=b>Moorings</a></ul>",  # links without any mark
    ],
)
def test_nothing_real_is_lost_with_the_navigation(source: str) -> None:
    page = "<!DOCTYPE html>" + source
    loaded = load(page.encode(), "a.html")
    assert not loaded.left_out
    seen = re.sub(r"<[^>]*>", " ", source)
    assert re.findall(r"\w+", loaded.documents[0].text) == re.findall(r"\w+", seen)


def test_hidden_text_is_counted_and_a_nest_of_menus_ends() -> None:
    assert load(b"<html><p>Seen<p hidden>Not", "a.html").left_out == {"hidden text": 3}
    nest = "<div class=menu>words outside of links " * 5000 + "<a href=x>y</a>"
    assert "words outside" in one(f"<html>{nest}", "a.html").text


def test_xhtml_elements_may_close_themselves() -> None:
    head = '<?xml version="1.0"?><html><head><title/><script src="x"/></head>'
    assert one(f"{head}<body><div/><p>Seen<br/>twice</p></body></html>", "a.xhtml").text == "Seen\ntwice"


def test_a_header_is_marked_up_or_bold() -> None:
    def header(first: str) -> tuple[str, ...]:
        document = one(f"<html><table><tr>{first}</tr><tr><td>1</td><td><b>2</b></td></tr></table>", "a.html")
        return document.section_at(document.blocks[-1].start)

    assert header("<th>a</th><th>b</th>") == header("<td><b>a</b></td><td><strong>b</strong></td>") == ("a | b",)
    assert header("<th>a</th><td>b</td>") == header("<td>a</td><td>b</td>") == ()


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("<html>" + "<div>" * 10_000 + "x", "a.html"),
        ("<html>" + "<ul><li>a" * 10_000 + "x", "a.html"),
        ("<html>" + "<blockquote>" * 10_000 + "x", "a.html"),
        ("<html>" + "<table><tr><td>" * 5_000 + "x", "a.html"),
        ("<div>\n" * 10_000 + "x", "a.md"),
        ("x\n" + "\n".join("  " * depth + "- x" for depth in range(500)), "a.md"),
        ("[a](" * 20_000, "a.md"),
        ("![" * 20_000, "a.md"),
        ("*a_ " * 10_000, "a.md"),
        ("---\n" + "[" * 10_000 + "\n---\nx", "a.md"),
    ],
    ids=lambda value: value[:20].strip()[:20],
)
def test_deep_nesting_ends(source: str, name: str) -> None:
    document = one(source, name)
    check(document)
    assert document.text.lstrip("- 0123456789.\n")[0] in "xa[!*"


@pytest.mark.parametrize(
    ("source", "name", "message"),
    [
        (">" * 10_000 + " x", "a.md", "nested more than 100 deep"),
        ("- " * 10_000 + "x", "a.md", "nested more than 100 deep"),
        ("<html>" + "<div>" * 200_000 + "x", "a.html", "never closed"),
        ("<html>" + "".join(f"<b id={number}><p>" for number in range(5_000)), "a.html", "never closed"),
    ],
    ids=["quotes", "lists", "divs", "formatting"],
)
def test_endless_nesting_is_refused(source: str, name: str, message: str) -> None:
    with pytest.raises(LoadError, match=message):
        load(source.encode(), name)


def test_text_left_out_for_its_depth_is_said() -> None:
    loaded = load(("Seen.\n\n" + ">" * 200 + " x").encode(), "a.md")
    assert loaded.documents[0].text == "Seen."
    assert loaded.problems == ("nested more than 100 deep; what lies deeper is left out",)


# --- JSONL --------------------------------------------------------------------------------------------------------


def test_bad_rows_are_problems_and_the_others_go_on() -> None:
    rows = [
        b'{"_id": "a", "text": "first"}',
        b"",
        b'{"_id": "a", "text": "again"}',
        b'{"text": "no id"}',
        b'{"_id": 5, "text": "x"}',
        b'{"_id": "b"}',
        b'{"_id": "b", "text": 5}',
        b'{"_id": "b", "text": "  "}',
        b'{"_id": "b\\n", "text": "x"}',
        b'{"_id": "b", "text": "x", "groups": "crew"}',
        b'{"_id": "b", "text": "x", "groups": [1]}',
        b'{"_id": "b", "text": "half \\ud83d character"}',
        b'{"_id": "b", "text": "caf\xe9"}',
        b"[1]",
        b"[" * 100_000,
        b'{"_id": "c", "text": "third", "date": "6 May", "title": null, "url": "https://example.org/c"}\r',
        '{"id": "é", "text": "line\u2028separator"}'.encode(),
        b'{"_id": "d", "text": "half wri',
    ]
    loaded = load(b"\xef\xbb\xbf" + b"\n".join(rows), "rows.jsonl", source="rows.jsonl")
    assert [(d.id, d.text, d.source) for d in loaded.documents] == [
        ("a", "first", "rows.jsonl"),
        ("c", "third", "https://example.org/c"),
        ("é", "line\u2028separator", "rows.jsonl"),
    ]
    assert [int(re.match(r"line (\d+): ", problem)[1]) for problem in loaded.problems] == [*range(3, 17), 18]  # type: ignore[index]
    reasons = " ".join(loaded.problems)
    for reason in ("earlier line", "_id is missing", "text is missing", "lone surrogate", "not UTF-8", "not JSON"):
        assert reason in reasons
    assert all("\n" not in problem for problem in loaded.problems)


def test_jsonl_in_utf16() -> None:
    assert one('{"_id": "a", "text": "é"}\n'.encode("utf-16"), "a.jsonl").text == "é"
    assert one('{"_id": "a", "text": "é"}\n'.encode("utf-16-le"), "a.jsonl").text == "é"
