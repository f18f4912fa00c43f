"""Each kind of quote, in documents of our own, with a reader that says what it is told: the rule without a model."""

from collections.abc import Sequence

import pytest

from rag.answer import Answerer
from rag.calibrate import Calibrator
from rag.decide import reranked
from rag.index import Index
from rag.lists import MAX_LIST
from rag.load import load
from rag.settings import Settings
from rag.types import Excerpt, Hit, Reading, Span
from tests.encoder import HashingEncoder

PAGE = """# Vault

## Visiting

The vault is cold. To enter it you need the following:

- a badge with a photo
- a hard hat, size six. It must be yellow.
- two pens

## Resetting the pump

1. Open the lid.
2. Press the red button until the lamp goes out.
   - count to ten
3. Wait for the green lamp.

## Fees

| Item | Days | Fee |
|---|---|---|
| Novel | 28 | none |
| Chart | 3 | 2 crowns |

## Doors

- The river door opens at nine.
- The hill door stays shut in winter.
"""


class Scripted:
    """A whole reader: it finds the texts that it is told for a question, the earlier the surer, and nothing else."""

    name = "scripted"

    def __init__(self, script: dict[str, Sequence[str]]) -> None:
        self.script = script

    def count(self, texts: Sequence[str]) -> list[int]:
        return [1] * len(texts)

    def read(self, question: str, excerpts: Sequence[Excerpt]) -> list[Reading]:
        return [self._one(question, excerpt.text) for excerpt in excerpts]

    def _one(self, question: str, text: str) -> Reading:
        found = [
            Span(text.index(said), text.index(said) + len(said), 5.0 - n / 100)
            for n, said in enumerate(self.script.get(question, ()))
            if said in text
        ]
        if not found:
            return Reading((), (), 0.0, 0.0, {})
        return Reading(tuple(found), (), 0.0, 0.9, {})


def ask(folder, question, *said, page=PAGE, script=None):
    index = Index.open(folder, create=True, encoder=HashingEncoder())
    index.put(load(page.encode(), "vault.md").documents)
    answerer = Answerer(index, Scripted(script or {question: said}), Settings(threshold=0.5))
    answerer.calibrator = Calibrator({"span": 1.0}, 0.0, 0.5)
    answer = answerer.ask(question)
    for citation in answer.citations:
        text = index.document(citation.document_id).text
        assert text[citation.start : citation.end] == citation.quote
        assert citation.start <= citation.answer.start < citation.answer.end <= citation.end
    return answer


LIST = (
    "To enter it you need the following:\n\n"
    "- a badge with a photo\n- a hard hat, size six. It must be yellow.\n- two pens"
)
STEPS = "Open the lid.\n2. Press the red button until the lamp goes out.\n  - count to ten\n3. Wait for the green lamp."


@pytest.mark.parametrize(
    ("question", "said", "quote"),
    [
        ("What do I need to bring to the vault?", "a badge with a photo", LIST),
        ("Which things must I bring into the vault?", "two pens", LIST),
        ("What is needed in the vault?", "you need the following", LIST),  # a lead-in alone says nothing
        ("What size is the hard hat?", "size six", "a hard hat, size six."),
        ("What colour is the hat?", "yellow", "It must be yellow."),
        ("How do I reset the pump?", "Press the red button", STEPS),
        ("How do I reset the pump?", "Open the lid.", STEPS),
        ("Until when do I press the red button?", "the lamp goes out", "Press the red button until the lamp goes out."),
        ("How long may I keep a chart?", "3 | 2", "Chart | 3 | 2 crowns"),
        ("What are the rules for the river door?", "nine", "The river door opens at nine."),  # nothing leads into these
    ],
)
def test_the_shortest_run_that_answers(tmp_path, question, said, quote):
    assert [citation.quote for citation in ask(tmp_path, question, said).citations] == [quote]


def test_a_row_has_its_columns_beside_it(tmp_path):
    citation = ask(tmp_path, "What does a late chart cost?", "2 crowns").citations[0]
    assert citation.section == ("Vault", "Fees", "Item | Days | Fee")


def test_items_of_one_list_are_one_quote_when_all_of_it_is_quoted(tmp_path):
    answer = ask(tmp_path, "What do I need to bring to the vault?", "two pens", "a badge")
    assert [citation.quote for citation in answer.citations] == [LIST]


def test_a_list_that_is_too_long_is_quoted_in_part(tmp_path):
    long = "Bring the following:\n\n" + "".join(f"- thing number {n} of the many things\n" for n in range(60))
    assert len(long) > MAX_LIST
    answer = ask(tmp_path, "What do I need to bring?", "number 7 of", page=long)
    assert [citation.quote for citation in answer.citations] == ["thing number 7 of the many things"]


def test_steps_are_whole_also_when_they_run_over_several_passages(tmp_path):
    steps = "".join(
        f"{n}. Turn the wheel number {n} to the left and wait for it to stop there.\n" for n in range(1, 16)
    )
    answer = ask(tmp_path, "How do I stop the pump?", "wheel number 2 to", page=f"# Pump\n\n{steps}")
    quote = answer.citations[0].quote
    assert quote.startswith("Turn the wheel number 1 ")
    assert quote.endswith("number 15 to the left and wait for it to stop there.")


def test_the_shipped_reader_quotes_a_list_whole(tmp_path):
    index = Index.open(tmp_path, Settings(), create=True)
    index.put(load(PAGE.encode(), "vault.md").documents)
    answer = Answerer.open(tmp_path, Settings(threshold=0.0)).ask("What do I need to bring to enter the vault?")
    assert any(citation.quote == LIST for citation in answer.citations)


def test_retrieval_is_overruled_by_a_much_surer_reader_only():
    def hit(name, fused, dense):
        return Hit(name, 0, 1, "x", (), dense=dense, fused=fused)

    def order(*relevances):
        hits = [hit("a", 0.09, 0.6), hit("b", 0.06, 0.5)]
        readings = [Reading((), (), 0.0, relevance, {}) for relevance in relevances]
        found = reranked(hits, readings, Calibrator({"mix": 1.0}, -20.0, 0.5))
        assert [h.relevance for h in found] == sorted((h.relevance for h in found), reverse=True)
        return [h.document_id for h in found]

    assert order(0.5, 0.5) == ["a", "b"]
    assert order(0.1, 0.9) == ["a", "b"]
    assert order(0.02, 0.98) == ["b", "a"]


def test_a_question_of_two_parts_has_two_answers_each_with_its_citation(tmp_path):
    script = {
        "When does the river door open?": ["nine"],
        "how long may I keep a chart?": ["3 | 2"],
        "When does the river door open and how long may I keep a chart?": ["nine"],
    }
    answer = ask(tmp_path, "When does the river door open and how long may I keep a chart?", script=script)
    assert [(item.text, item.citations) for item in answer.answers] == [("nine", (1,)), ("3 | 2", (2,))]
    assert [c.quote for c in answer.citations] == ["The river door opens at nine.", "Chart | 3 | 2 crowns"]


def test_a_part_without_an_answer_leaves_the_question_whole(tmp_path):
    question = "When does the river door open and who built the tower?"
    answer = ask(tmp_path, question, script={"When does the river door open?": ["nine"], question: ["nine"]})
    assert [item.text for item in answer.answers] == ["nine"]
    assert ask(tmp_path / "b", question, script={"When does the river door open?": ["nine"]}).status == "abstained"
