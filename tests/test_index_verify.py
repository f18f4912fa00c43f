import pytest

from rag.errors import BadInput
from rag.index import Index
from rag.types import Document
from rag.verify import verify
from tests.encoder import HashingEncoder

TEXT = "The ferry leaves at nine. Bicycles travel free of charge on Sundays. Dogs stay on deck."
QUOTE = "Bicycles travel free of charge on Sundays."


@pytest.fixture
def index(tmp_path):
    made = Index.open(tmp_path / "index", create=True, encoder=HashingEncoder())
    made.put([Document("a", TEXT)])
    return made


def answer():
    start, end = TEXT.index(QUOTE), TEXT.index(QUOTE) + len(QUOTE)
    return {
        "citations": [
            {
                "n": 1, "document_id": "a", "revision": Document("a", TEXT).revision, "start": start, "end": end,
                "quote": QUOTE, "prefix": TEXT[max(0, start - 32) : start], "suffix": TEXT[end : end + 32],
            }
        ]
    }  # fmt: skip


def proved(index, text):
    index.put([Document("a", text)])
    (proof,) = verify(answer(), index)
    assert proof.text is None or index.document("a").text[proof.start : proof.end] == proof.text
    return proof


def test_exact_while_the_words_stand_where_they_stood(index):
    assert proved(index, TEXT).state == "exact"
    later = proved(index, TEXT + " Cats too.")
    assert (later.state, later.revised) == ("exact", True)


def test_moved_with_its_neighbours(index):
    proof = proved(index, "A new preface.\n\n" + TEXT)
    assert (proof.state, proof.start, proof.text) == ("moved", TEXT.index(QUOTE) + 16, QUOTE)


def test_moved_is_the_copy_with_its_own_neighbours_nearest_to_the_old_place(index):
    proof = proved(index, TEXT + "\n\n" + QUOTE + "\n\n" + TEXT)
    assert proof.state == "exact"
    proof = proved(index, QUOTE + "\n\n" + TEXT)
    assert (proof.state, proof.start) == ("moved", len(QUOTE) + 2 + TEXT.index(QUOTE))


def test_changed_shows_the_words_that_changed(index):
    proof = proved(index, TEXT.replace("free of charge", "for two pounds"))
    assert (proof.state, proof.text) == ("changed", "Bicycles travel for two pounds on Sundays.")
    assert [d for d in proof.difference if d[0] != " "] == ["- free", "- of", "- charge", "+ for", "+ two", "+ pounds"]


def test_the_same_words_among_new_neighbours_are_changed_without_a_difference(index):
    proof = proved(index, "Rules. " + QUOTE + " Nothing else is as it was.")
    assert (proof.state, proof.text) == ("changed", QUOTE)
    assert all(d.startswith(" ") for d in proof.difference)


def test_a_quote_of_equal_letters_and_places_before_the_start(index):
    """By letters this took hours."""
    index.put([Document("a", "The quay ends here. " * 2_000)])
    claimed = {"n": 1, "document_id": "a", "start": 0, "end": 4_000, "quote": "e " * 4_000}
    assert verify({"citations": [claimed]}, index)[0].state == "gone"
    assert verify({"citations": [{**claimed, "quote": "ere. ", "start": -5, "end": 40_000}]}, index)[0].start >= 0
    with pytest.raises(BadInput, match="not an Answer"):
        verify({"citations": [{**claimed, "start": "x"}]}, index)


def test_gone_with_its_sentence_or_its_document(index):
    assert proved(index, "Wholly other words about lighthouse keeping in winter.").state == "gone"
    index.remove(["a"])
    assert verify(answer(), index)[0].state == "gone"


def test_what_is_no_answer_is_refused(index):
    for wrong in ({}, {"citations": [{}]}, [], {"citations": [3]}, None):
        with pytest.raises(BadInput, match="rag ask --json"):
            verify(wrong, index)
