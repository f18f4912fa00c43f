import pytest

from rag.spell import corrected, neighbours

TEXT = {"parental": 3, "leave": 9, "orrin": 2, "lease": 1, "weeks": 4}
KNOWN = {"long", "does", "last", "lasts", "bicycle"}


def fix(question):
    return corrected(question, KNOWN.__contains__, lambda word: TEXT.get(word, 0))


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("How long does paretnal leave last?", "How long does parental leave last?"),
        ("parenttal leav", "parental leave"),
        ("Parntal WEKES", "Parental WEEKS"),
        ("bicycle to Orrin", "bicycle to Orrin"),
        ("xyzzyqq of 2026", "xyzzyqq of 2026"),
        ("the leabe", "the leave"),  # of leave and lease the more frequent
        ("naïveté", "naïveté"),
        ("ferry to Orrim", "ferry to Orrim"),  # a name that is not there is not another name
        ("ferry to orrim", "ferry to orrin"),
    ],
)
def test_unknown_words_become_their_nearest_in_the_documents(typed, meant):
    assert fix(typed) == meant


def test_a_question_that_is_no_typing_error_costs_little():
    asked = []
    question = (
        " ".join(f"zq{'abcdefghijklmnopqrstuvwxyz'[i % 26]}x{'y' * (i % 7)}" for i in range(200)) + " " + "z" * 500
    )
    assert corrected(question, lambda word: False, lambda word: asked.append(word) or 0) == question
    assert len(asked) < 10_000


def test_neighbours_are_one_edit_away():
    near = set(neighbours("abc"))
    assert {"ab", "acb", "abcd", "xbc", "aabc"} <= near
    assert all(abs(len(word) - 3) <= 1 for word in near)
