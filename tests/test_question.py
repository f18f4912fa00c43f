"""What is made of a question before it is searched: false starts, and the documents' own acronyms."""

import pytest

from rag import Filters
from rag.acronyms import definitions, expanded
from rag.fluent import fluent
from rag.types import Document
from tests.test_answer import engine

STAY = [
    "How long is parental leave?",
    "Is there no fee for members?",
    "Do I go to the office or how do I get my badge?",
    "May I bring my own instead of yours, or rather not?",
    "How long do you hold on to our data?",
    "What did chemists make that could be used at sea?",
    "Why must nobody be sorry?",
    "Who says sorry to a guest who waited?",
    "Tell me what the tide bell means",
    "When did the fair begin, no sorry, when did it end?",  # "it" needs the words before
    "sorry",
    "uh",
    "How long must I wait when the queue is full?",
    "What happens instead when a shift is cancelled?",
    "Who owns the ERM policy?",
    "Where is the ER?",
    "",
]


@pytest.mark.parametrize("question", STAY)
def test_a_question_without_a_false_start_stays_as_it_is(question):
    assert fluent(question) == question


@pytest.mark.parametrize(
    ("spoken", "meant"),
    [
        ("Where is the pool no wait I mean where is the gym?", "Where is the gym?"),
        ("What is um how many berths does the quay have?", "How many berths does the quay have?"),
        ("Who runs the canteen, sorry, the kiosk on Mondays?", "Who runs the kiosk on Mondays?"),
        ("When does the Orrin no Kestrel ferry leave?", "When does the Kestrel ferry leave?"),
        ("Where is the pool, wait, where is the big gym?", "Where is the big gym?"),
        ("How much is uh the parking permit?", "How much is the parking permit?"),
        ("what does a towel or no make that a locker cost", "what does a locker cost"),
    ],
)
def test_what_was_taken_back_is_dropped(spoken, meant):
    assert fluent(spoken) == meant


def test_a_repair_that_is_only_a_filler_repairs_nothing():
    assert fluent("Do I go to the Clinic, no erm") == "Do I go to the Clinic, no"
    assert fluent("Do I go to the Clinic, no ER") == "Do I go to the ER"


def test_definitions_are_phrases_whose_initials_are_the_letters():
    text = (
        "Wear Personal Protective Equipment (PPE). The low-value order (LVO) is signed by the Head of the Quay (HQ). "
        "A DSE (display screen equipment) check is free. Bread (NOT) and water (OK), a thing (XYZ)."
    )
    assert list(definitions(text)) == [
        ("PPE", "Personal Protective Equipment"),
        ("LVO", "low-value order"),
        ("HQ", "Head of the Quay"),
        ("DSE", "display screen equipment"),
    ]


def test_either_form_brings_the_other():
    texts = ["All must wear Personal Protective Equipment (PPE) here."]

    def asked(question, there=texts):
        return expanded(question, known=lambda word: word != "ppe", texts=lambda words: there if "ppe" in words else [])

    assert asked("What PPE do I need?") == "What PPE (Personal Protective Equipment) do I need?"
    assert asked("ppe for visitors") == "ppe (Personal Protective Equipment) for visitors"
    assert asked("Who pays for personal protective equipment?") == "Who pays for personal protective equipment (PPE)?"
    for stays in ("What PPE (Personal Protective Equipment) do I need?", "What do I need?", "", "?"):
        assert asked(stays) == stays
    two = [*texts, "A Pilot Practice Exam (PPE) is due."]
    assert asked("What PPE do I need?", two) == "What PPE do I need?"  # who knows which
    assert asked("When is the pilot practice exam?", two) == "When is the pilot practice exam (PPE)?"


def test_a_text_with_a_nul_defines_its_acronym_too():
    text = "Wear Personal Protective\0 Equipment (PPE) always."
    found = expanded("What is the PPE rule?", lambda word: False, lambda words: [text])
    assert found == "What is the PPE (Personal Protective  Equipment) rule?"


def test_a_definition_is_found_and_used_and_never_from_a_hidden_document(tmp_path):
    answerer = engine(
        tmp_path,
        [
            Document("ppe", "Everyone on the quay wears Personal Protective Equipment (PPE)."),
            Document("shop", "Personal protective equipment is lent at the kiosk until 18:00."),
            Document("secret", "The Quiet Harbour Takeover (QHT) closes in May.", groups=("board",)),
            Document("open", "The QHT folder is blue."),
        ],
    )
    everyone, board = Filters(groups=()), Filters(groups=("board",))
    answer = answerer.ask("Until when is PPE lent?")
    assert answer.query == "Until when is PPE (Personal Protective Equipment) lent?"
    assert "shop" in {hit.document_id for hit in answerer.search("PPE", mode="lexical")}
    assert answerer.query("What is the QHT?", filters=everyone) == "What is the QHT?"
    assert answerer.query("What is the QHT?", filters=board) == "What is the QHT (Quiet Harbour Takeover)?"
    assert answerer.query("Which quiet harbour takeover?", filters=everyone) == "Which quiet harbour takeover?"
