import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rag import Filters
from rag.answer import MAX_QUESTION, Answerer
from rag.calibrate import Calibrator
from rag.errors import BadInput
from rag.index import Index
from rag.overlap import OverlapReader
from rag.settings import Settings
from rag.types import Document, Section
from rag.verify import verify
from tests.encoder import HashingEncoder
from tests.test_chunk import NASTY

LEAVE = "Parental leave lasts 26 weeks. It must be requested by 1 March. Bicycles are another matter."
OLD = "Parental leave lasts 18 weeks. It was requested in writing."


def engine(folder, documents, threshold=0.0):
    index = Index.open(folder, create=True, encoder=HashingEncoder())
    index.put(documents)
    answerer = Answerer(index, OverlapReader(index.encoder), Settings(threshold=threshold))
    answerer.calibrator = Calibrator({"span": 1.0}, 0.0, 0.0)  # the reader's own score, and nothing fitted elsewhere
    return answerer


@pytest.fixture
def answerer(tmp_path):
    documents = [
        Document("new.md", LEAVE, title="Leave", date="2026-04-01", sections=(Section(("3 Leave",), 0, len(LEAVE)),)),
        Document("old.md", OLD, title="Old leave", date="2020-01-01", collection="archive"),
    ]
    return engine(tmp_path, documents)


def test_every_citation_is_the_documents_own_characters(answerer):
    answer = answerer.ask("How many weeks does parental leave last?")
    assert answer.status == "answered"
    first = answer.citations[0]
    assert (first.quote, first.answer.text) == ("Parental leave lasts 26 weeks.", "26 weeks")
    assert (first.section, first.pages, first.date) == (("3 Leave",), None, "2026-04-01")
    assert (first.prefix, first.suffix) == ("", " It must be requested by 1 March")
    assert answer.answers[0].citations == (1,)
    assert set(answer.timings_ms) == {"encode", "retrieve", "read", "decide", "total"}


def test_documents_that_differ_are_kept_apart_with_their_dates(answerer):
    answer = answerer.ask("How many weeks does parental leave last?")
    assert answer.conflict
    assert {(a.text, a.dates) for a in answer.answers} == {("26 weeks", ("2026-04-01",)), ("18 weeks", ("2020-01-01",))}


def test_a_number_in_words_agrees_with_the_same_in_digits(tmp_path):
    said = {"a": "The quay closes for four days in May.", "b": "The quay closes for 4 days in May."}
    answer = engine(tmp_path, [Document(name, text) for name, text in said.items()]).ask(
        "How long does the quay close?"
    )
    assert {citation.document_id for citation in answer.citations} == {"a", "b"}
    assert not answer.conflict


def test_the_same_fact_from_two_documents_is_one_answer(tmp_path):
    same = [Document(name, "The quay opens at 6:30 every day.") for name in ("a", "b")]
    answer = engine(tmp_path, same).ask("When does the quay open?")
    assert [a.text for a in answer.answers] == ["6:30"]
    assert answer.answers[0].citations == (1, 2)
    assert not answer.conflict


def test_silence_has_a_reason_and_the_nearest_passages(answerer, tmp_path):
    answerer.threshold = 1.1
    answer = answerer.ask("How many weeks does parental leave last?")
    assert (answer.status, answer.citations, answer.answers) == ("abstained", (), ())
    assert answer.reason in ("no_passage", "no_span", "low_confidence")
    assert {n.document_id for n in answer.nearest} == {"new.md", "old.md"}
    assert 0 <= answer.confidence <= 1


def test_the_reasons_of_an_empty_index_and_of_filters(answerer, tmp_path):
    assert engine(tmp_path / "empty", []).ask("Anything?").reason == "empty_index"
    assert answerer.ask("Anything?", filters=Filters(collections=("none",))).reason == "filtered"


def test_filters_keep_other_documents_out(answerer):
    answer = answerer.ask("How many weeks does parental leave last?", filters=Filters(collections=("archive",)))
    assert {c.document_id for c in answer.citations} == {"old.md"}


@pytest.mark.parametrize("question", ["", " \n", "x" * (MAX_QUESTION + 1), None])
def test_no_question_is_one_clear_line(answerer, question):
    with pytest.raises(BadInput, match="question"):
        answerer.ask(question)


def test_a_follow_up_is_made_stand_alone_and_shown(answerer):
    answer = answerer.ask("And for fathers?", history=["How long is parental leave?"])
    assert answer.question == "And for fathers?"
    assert "parental" in answer.query
    alone = answerer.ask("How long is parental leave?", history=["What about bicycles?"])
    assert alone.query == alone.question


def test_a_follow_up_met_with_silence_is_asked_again_with_its_topic(answerer, monkeypatch):
    looked, judged = [], answerer._judged

    def silent_unless_topical(query, *rest):
        looked.append(query)
        *found, groups = judged(query, *rest)
        return *found, groups if ": " in query else []

    monkeypatch.setattr(answerer, "_judged", silent_unless_topical)
    said = ["How long is parental leave?"]
    answer = answerer.ask("When was it requested?", history=said)
    assert looked == ["When was parental leave requested?", "parental leave: When was it requested?"]
    assert (answer.status, answer.query) == ("answered", looked[1])
    silent = answerer.ask("Which letters are lost?", history=said)  # stands alone: asked once
    assert (silent.status, silent.query, len(looked)) == ("abstained", "Which letters are lost?", 3)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(texts=st.lists(NASTY.filter(str.strip), min_size=1, max_size=4), question=NASTY.filter(lambda q: q.strip()))
def test_offsets_hold_for_any_document_through_json(tmp_path_factory, texts, question):
    answerer = engine(tmp_path_factory.mktemp("i"), [Document(f"d{i}", text) for i, text in enumerate(texts)])
    answer = json.loads(answerer.ask(question).to_json())
    for citation in answer["citations"]:
        text = texts[int(citation["document_id"][1:])]
        start, end = citation["start"], citation["end"]
        assert text[start:end] == citation["quote"]
        assert text[citation["answer"]["start"] : citation["answer"]["end"]] == citation["answer"]["text"]
        assert start <= citation["answer"]["start"] < citation["answer"]["end"] <= end
        assert text[max(0, start - 32) : start] == citation["prefix"]
        assert text[end : end + 32] == citation["suffix"]
        units = text.encode("utf-16-le")
        at = citation["utf16"]
        assert units[2 * at["start"] : 2 * at["end"]].decode("utf-16-le") == citation["quote"]
    assert all(p.state == "exact" for p in verify(answer, answerer.index))
    for near in answer["nearest"]:
        assert texts[int(near["document_id"][1:])][near["start"] : near["end"]] == near["text"]


@pytest.mark.parametrize(
    "changed",
    [
        Document("new.md", f"Said anew. {LEAVE}", title="Leave"),
        Document("new.md", LEAVE, title="Leave", groups=("board",)),
        None,
    ],
    ids=["replaced", "hidden", "removed"],
)
def test_a_document_that_changes_while_it_is_read_is_read_again(answerer, changed):
    """What was read before never meets the text that stands there now."""
    read, times = answerer.reader.read, []

    def reading(question, texts):
        found = read(question, texts)
        if not times:
            answerer.index.put([changed]) if changed else answerer.index.remove(["new.md"])
        times.append(question)
        return found

    answerer.reader.read = reading
    answer = answerer.ask("How many weeks does parental leave last?", filters=Filters(groups=()))
    assert len(times) == 2
    for citation in answer.citations:
        document = answerer.index.document(citation.document_id)
        assert document.text[citation.start : citation.end] == citation.quote
        assert document.text[citation.answer.start : citation.answer.end] == citation.answer.text
        assert not document.groups
    assert ("new.md" in {c.document_id for c in answer.citations}) == (changed is not None and not changed.groups)


def test_white_space_and_halves_of_characters_in_a_question(answerer):
    spread = answerer.ask("  How many\nweeks   does parental leave\t last? ")
    assert spread.answers == answerer.ask("How many weeks does parental leave last?").answers
    with pytest.raises(BadInput, match="half of a character"):
        answerer.ask("\ud800 how many weeks?")


def test_verify_tells_moved_from_gone(answerer):
    answer = json.loads(answerer.ask("How many weeks does parental leave last?").to_json())
    answerer.index.put([Document("new.md", "Rewritten. " + LEAVE)])
    answerer.index.remove(["old.md"])
    states = {p.document_id: p.state for p in verify(answer, answerer.index)}
    assert states == {"new.md": "moved", "old.md": "gone"}
    with pytest.raises(BadInput, match="rag ask --json"):
        verify({"no": "answer"}, answerer.index)


def test_reading_a_given_text(answerer):
    found = answerer.read("When must it be requested?", f"Intro.\n\n{LEAVE}")
    assert f"Intro.\n\n{LEAVE}"[found["start"] : found["end"]] == found["text"] == "1 March"
    assert 0 <= found["probability"] <= 1


def test_the_same_question_gives_the_same_answer(answerer):
    def plain():
        answer = answerer.ask("How many weeks does parental leave last?").to_dict()
        del answer["timings_ms"]
        return answer

    assert plain() == plain()
