import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rag.index import Index
from rag.retrieve import RRF, fuse, merge, retrieve
from rag.terms import terms
from rag.types import Document, Filters, Hit, Unit
from tests.encoder import HashingEncoder

TEXT = " ".join(f"Rule {i} speaks of item{i} and of the common harbour." for i in range(60))


@pytest.fixture(scope="module")
def index(tmp_path_factory):
    index = Index.open(tmp_path_factory.mktemp("index"), create=True, encoder=HashingEncoder())
    index.put([Document("rules", TEXT), Document("other", "Nothing alike stands here.")])
    return index


@settings(max_examples=300)
@given(
    question=st.text(max_size=80)
    | st.sampled_from(['"', "a AND", "NEAR(x)", "x*", "col:y", "-z", "(", "' OR 1", "^a", "NOT"])
)
def test_no_question_is_ever_fts5_syntax(index, question):
    index.lexical(terms(question), 5, Filters())
    index.lexical([question], 5, Filters())


def test_terms_leave_stop_words_out_unless_there_is_nothing_else():
    assert terms("What is the notice period, the Period?") == ["notice", "period"]
    assert terms("Who was that?") == ["who", "was", "that"]
    assert terms("Über-fare?") == ["über", "fare"]


def test_one_list_alone_is_on_the_scale_of_the_fusion(index):
    """Else a question none of whose words occurs would look better than one whose words do."""
    assert fuse([(7, 0.31), (9, 0.30)], []) == [(7, 1 / (RRF + 1)), (9, 1 / (RRF + 2))]
    assert all(hit.fused <= 1 / (RRF + 1) for hit in retrieve(index, "zzyzx", Filters()))


def test_reciprocal_rank_fusion_by_hand():
    fused = dict(fuse([(1, 0.9), (2, 0.8)], [(2, 7.0), (3, 5.0)]))
    assert fused == pytest.approx({1: 1 / 21, 2: 1 / 22 + 1 / 21, 3: 1 / 22})
    assert fuse([(1, 0.9)], []) == [(1, 1 / 21)]
    assert fuse([], []) == []


@pytest.mark.parametrize("mode", ["dense", "lexical", "fused"])
def test_every_mode_finds_the_named_item(index, mode):
    hits = retrieve(index, "item41", Filters(), mode=mode)
    assert "item41 " in hits[0].text
    for hit in hits:
        text = index.document(hit.document_id).text
        assert text[hit.start : hit.end] == hit.text
        for unit, own in zip(hit.units, hit.excerpt.units, strict=True):
            assert text[unit.start : unit.end] == hit.text[own.start : own.end]


def test_overlapping_hits_are_merged_and_keep_the_better_score():
    text = "0123456789" * 3

    def hit(start, end, fused, document="d"):
        return Hit(document, start, end, text[start:end], (Unit(start, end),), fused=fused)

    merged = merge([hit(5, 12, 0.9), hit(20, 25, 0.8), hit(10, 18, 0.7), hit(5, 12, 0.6, "other")], 10)
    assert [(h.document_id, h.start, h.end, h.fused) for h in merged] == [
        ("d", 5, 18, 0.9), ("d", 20, 25, 0.8), ("other", 5, 12, 0.6),
    ]  # fmt: skip
    assert merged[0].text == text[5:18]
    assert len(merge([hit(0, 5, 0.9), hit(5, 9, 0.8)], 1)) == 1


def test_merged_hits_of_a_long_document_still_tell_the_truth(index):
    hits = retrieve(index, "common harbour", Filters(), top=5)
    for hit in hits:
        assert index.document(hit.document_id).text[hit.start : hit.end] == hit.text
    ranges = sorted((h.start, h.end) for h in hits if h.document_id == "rules" and h.end - h.start < 1500)
    assert ranges
