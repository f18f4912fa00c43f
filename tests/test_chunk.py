import itertools

from hypothesis import given, settings
from hypothesis import strategies as st

from rag.chunk import MAX_PASSAGE, MAX_UNIT, chunk, sentences, units
from rag.types import Block, Document, Section
from tests.encoder import HashingEncoder

count = HashingEncoder().count
NASTY = st.text(
    st.one_of(
        st.characters(exclude_categories=["Cs"]),
        st.sampled_from(list("  \n\t.!?;,—aAbB0é\u0301\u200d\u200b\u00ad\u202eשלםไทย😀👩🏽\ufe0f🇬🇧。\r")),
    ),
    max_size=400,
)


def cut(text):
    return [text[a:b] for a, b in sentences(text)]


def test_sentences_end_where_a_reader_ends_them():
    assert cut(
        "Dr. Smith paid £3.50 at 5 p.m. on Jan. 5. He left! “Why?” she asked. No. 7 is in use. He said no. Five left."
    ) == [
        "Dr. Smith paid £3.50 at 5 p.m. on Jan. 5.",
        "He left!",
        "“Why?” she asked.",
        "No. 7 is in use.",
        "He said no.",
        "Five left.",
    ]
    assert cut("船は出ます。次は五時です。 Then the U.S. Navy came... e.g. here.") == [
        "船は出ます。", "次は五時です。", "Then the U.S. Navy came... e.g. here.",
    ]  # fmt: skip
    assert cut(" \n ") == []


@settings(max_examples=300)
@given(NASTY)
def test_units_cover_every_visible_character_once(text):
    covered = [0] * len(text)
    for unit, tokens in units(Document("d", text), count):
        assert tokens > 0 or not text[unit.start : unit.end].strip()
        for i in range(unit.start, unit.end):
            covered[i] += 1
    for character, times in zip(text, covered, strict=True):
        assert times == 1 or (times == 0 and character.isspace())


@settings(max_examples=200)
@given(st.lists(NASTY, min_size=1, max_size=6))
def test_passages_are_runs_of_whole_units_and_lose_none(paragraphs):
    text = "\n\n".join(paragraphs)
    blocks, at = [], 0
    for i, paragraph in enumerate(paragraphs):
        blocks.append(Block(("paragraph", "heading", "item", "row", "code")[i % 5], at, at + len(paragraph)))
        at += len(paragraph) + 2
    document = Document("d", text, blocks=tuple(blocks))
    every = [unit for unit, _ in units(document, count)]
    seen = []
    for passage in chunk(document, count):
        assert (passage.start, passage.end) == (passage.units[0].start, passage.units[-1].end)
        position = every.index(passage.units[0])
        assert tuple(every[position : position + len(passage.units)]) == passage.units
        seen += passage.units
    assert sorted(set(seen), key=lambda u: u.start) == every


def test_a_row_of_dots_takes_no_time_to_speak_of():
    """Work, not seconds: it was quadratic, and a million characters took days."""
    assert list(sentences("." * 1_000_000 + "x")) == [(0, 1_000_001)]
    assert [("Ends... Begins."[a:b]) for a, b in sentences("Ends... Begins.")] == ["Ends...", "Begins."]


def test_a_passage_stays_within_its_tokens_and_overlaps_by_whole_sentences():
    text = " ".join(f"Sentence number {i} has exactly eight words here." for i in range(100))
    passages = list(chunk(Document("d", text), count))
    assert all(sum(count([text[u.start : u.end] for u in p.units])) <= MAX_PASSAGE for p in passages)
    assert all(later.start < earlier.end for earlier, later in itertools.pairwise(passages))


def test_a_heading_goes_with_what_follows_it():
    body = "Plenty of words stand in this sentence so that it counts. " * 8
    text = f"{body}\n\nNext part\n\n{body}"
    second = len(body) + 2
    blocks = (
        Block("paragraph", 0, len(body)),
        Block("heading", second, second + 9),
        Block("paragraph", second + 11, len(text)),
    )
    passages = list(chunk(Document("d", text, blocks=blocks), count))
    assert passages[1].start == second
    assert passages[0].end <= second


def test_a_long_unit_is_cut_at_clauses_and_never_inside_a_grapheme():
    family = "👩\u200d👩\u200d👧"
    for text in ("word, " * 400, "endless" * 3000, family * 700, "e\u0301" * 900):
        pieces = [unit for unit, _ in units(Document("d", text), lambda xs: [len(x) // 4 + 1 for x in xs])]
        assert len(pieces) > 1
        assert all(piece.partial for piece in pieces)
        for piece in pieces:
            assert text[piece.start] not in "\u0301\u200d"
            assert not text[piece.start : piece.end].endswith("\u200d")


def test_the_embedded_context_is_title_and_headings_and_not_the_file_name():
    document = Document("a/b.md", "Body text.", title="Leave", sections=(Section(("3 Leave", "3.2 Parental"), 0, 10),))
    assert next(chunk(document, count)).context == "Leave › 3 Leave › 3.2 Parental"
    assert next(chunk(Document("a/b.txt", "Body text.", title="b.txt"), count)).context == ""


def test_no_unit_has_more_tokens_than_the_most():
    text = "alpha beta gamma " * 500
    assert max(tokens for _, tokens in units(Document("d", text), count)) <= MAX_UNIT


def test_the_number_of_a_row_is_not_embedded():
    sections = (Section(("Sheet Rates", "Tools", "row 2"), 0, 8),)
    made = Document("rates.csv", "Saw | 12", "Rates", blocks=(Block("row", 0, 8),), sections=sections)
    assert next(chunk(made, count)).context == "Rates › Sheet Rates › Tools"
    prose = Document("seats.xlsx", "It is long.", "Seats", sections=(Section(("Width", "row 2"), 0, 11),))
    assert next(chunk(prose, count)).context == "Seats › Width"  # a row of one cell, which is a paragraph
