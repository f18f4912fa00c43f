"""When documents differ: the one rule, on quotes of the sample handbook and on made ones."""

from pathlib import Path

import numpy as np
import pytest

from rag import decide
from rag.load import load
from rag.types import Hit, Unit

HANDBOOK = Path(__file__).parent.parent / "samples" / "handbook"
BIKE = "Please note that an accompanied bicycle now costs £4.20 for a single crossing on every route."
CARRY = "You can carry over a maximum of four days of annual leave into the following leave year."


def candidate(name, quote, answer, vector=(1.0, 0.0), probability=0.9):
    at = quote.index(answer)
    hit = Hit(name, 0, len(quote), quote, (Unit(0, len(quote)),))
    return decide.Candidate(hit, 0, len(quote), False, (at, at + len(answer)), {}, False, np.array(vector), probability)


def quoted(file, quote, answer):
    """A candidate whose quote stands in a sample document."""
    assert any(quote in document.text for document in load((HANDBOOK / file).read_bytes(), file).documents)
    return candidate(file, quote, answer)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (
            ("operations/fares.md", "Bicycle, accompanied | £3.50 | all routes, no return ticket", "£3.50"),
            ("operations/newsletter-2026-q2.md", BIKE, "£4.20"),
        ),
        (
            ("people/annual-leave.md", "Up to seven unused days may be carried into the next leave year.", "seven"),
            ("people/benefits-faq.html", CARRY, "four days of annual leave"),
        ),
    ],
)
def test_the_documents_of_the_sample_handbook_that_disagree(one, other):
    assert decide.differ(quoted(*one), quoted(*other))
    assert decide.differ(quoted(*other), quoted(*one))


@pytest.mark.parametrize(
    ("one", "answer", "other", "other_answer", "differ"),
    [
        ("Pay comes on the 26th.", "the 26th", "Leave lasts 26 weeks.", "26 weeks", False),
        ("The cap is £1,200.", "£1,200", "The cap is 1200 pounds.", "1200 pounds", False),
        ("The cap is £1,200.", "£1,200", "The cap is 1300 pounds.", "1300 pounds", True),
        ("The cap is £1,200.", "cap", "The cap is 1300 pounds.", "cap", True),  # the only value of each
        ("The cap is £1,200 for 3 days.", "cap", "The cap is 1300 pounds.", "cap", False),
        ("Office staff | 1 week | 6 weeks", "1 week", "Office staff ask 21 days ahead.", "21 days", False),
        ("It starts on 4 May.", "4 May", "It starts on 6 May.", "6 May", True),
        ("It starts on 4 May.", "4 May", "The shop of the pier shuts on 6 May.", "6 May", False),
        ("Our fleet manager is Ann Lee.", "Ann Lee", "The fleet manager is Bo Roe.", "Bo Roe", True),
        ("Our fleet manager is Ann Lee.", "Ann Lee", "Training is led by Bo Roe.", "Bo Roe", False),
        ("On Curlew it takes 4 minutes.", "4 minutes", "It takes 5 minutes on Dunlin.", "5 minutes", False),
    ],
)
def test_two_answers_differ_by_their_values(one, answer, other, other_answer, differ):
    assert decide.differ(candidate("a", one, answer), candidate("b", other, other_answer)) is differ


def test_one_document_and_other_subjects_never_differ():
    one = candidate("a", "The cap is £1,200.", "£1,200")
    assert not decide.differ(one, candidate("a", "The cap is £1,300.", "£1,300"))
    assert not decide.differ(one, candidate("b", "The cap is £1,300.", "£1,300", vector=(0.4, 0.9)))


def test_an_answer_that_differs_is_shown_from_the_threshold_on():
    best = candidate("a", "The cap is £1,200.", "£1,200", probability=0.9)
    differs = candidate("b", "The cap is £1,300.", "£1,300", probability=0.5)
    weak = candidate("c", "The cap is lifted in May.", "lifted", probability=0.6)
    assert decide.answers([best, weak, differs], 0.5) == [[best], [differs]]
    assert decide.answers([best, weak, differs], 0.55) == [[best]]
    assert decide.conflicting(decide.answers([best, differs], 0.5))


def test_one_value_written_in_two_ways_is_one_answer():
    one = candidate("a", "The cap is £1,200.", "£1,200")
    other = candidate("b", "The cap is 1200 pounds.", "1200 pounds")
    far = candidate("c", "The fee is 1200 pounds.", "1200 pounds", vector=(0.4, 0.9))
    assert decide.answers([one, other, far], 0.5) == [[one, other], [far]]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (("The pass lasts 5 days.", "5 days"), ("The pass lasts 1.5 days.", "1.5 days")),
        (("A ticket costs £5.", "£5"), ("A ticket costs £5.50.", "£5.50")),
        (("The hall holds 200 people.", "200 people"), ("The hall holds 1,200 people.", "1,200 people")),
        (("Dogs are allowed on deck.", "allowed"), ("Dogs are not allowed on deck.", "not allowed")),
    ],
)
def test_what_contradicts_is_not_one_answer(one, other):
    pair = [candidate(name, *text) for name, text in zip("ab", (one, other), strict=True)]
    assert [len(group) for group in decide.answers(pair, 0.5)] == [1, 1]


def test_a_date_with_and_without_its_year_and_thousands_with_and_without_a_comma_are_one_answer():
    day = [
        candidate("a", "It ends on 18 March.", "18 March"),
        candidate("b", "It ends on 18 March 2026.", "18 March 2026"),
    ]
    assert [len(group) for group in decide.answers(day, 0.5)] == [2]
    hours = [candidate("a", "It runs 1,000 hours.", "1,000 hours"), candidate("b", "It runs 1000 hours.", "1000 hours")]
    assert [len(group) for group in decide.answers(hours, 0.5)] == [2]
