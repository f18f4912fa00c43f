"""A number in a yes/no question against the number in the quote."""

import pytest

from rag.claim import claim

PAY = "Salaries reach your bank on the 26th of each month."
LEAVE = "Office staff have 27 days a year."
FARE = "An accompanied bicycle costs £4.20."


@pytest.mark.parametrize(
    ("question", "quote", "answer", "found"),
    [
        ("Is it the 20th?", PAY, "the 26th", ("20th", "26th")),
        ("So is pay day the 20th?", PAY, "the 26th", ("20th", "26th")),
        ("We are paid on the 20th, right?", PAY, "the 26th", ("20th", "26th")),
        ("Do I get 30 days a year?", LEAVE, "27 days", ("30 days a year", "27 days a year")),
        ("Do bicycles cost £3.50?", FARE, "£4.20", ("£3.50", "£4.20")),
        ("Does it end on 4 May?", "It ends on 6 May 2026.", "6 May 2026", ("4 May", "6 May 2026")),
        ("Is it closed from 22:00?", "Closed from 23:00.", "23:00", ("22:00", "23:00")),
        ("Is it 3 weeks?", "It lasts 14 days.", "14 days", ("3 weeks", "14 days")),
        # agreed
        ("Is it the 26th?", PAY, "the 26th", None),
        ("Is it two weeks?", "It lasts 14 days.", "14 days", None),
        ("Do bicycles cost 4.20 pounds?", FARE, "£4.20", None),
        ("Is it 6 weeks?", "Office staff | 1 week | 6 weeks", "1 week", None),
        # another kind or unit, or none
        ("Is it 20 weeks?", PAY, "the 26th", None),
        ("Do I get 30 per cent?", LEAVE, "27 days", None),
        ("Is it the same in 2026?", LEAVE, "27 days", None),
        ("Is the fare $4?", FARE, "£4.20", None),
        ("Do I get any leave?", LEAVE, "27 days", None),
        # it asks for the value: its number is a condition
        ("When am I paid if I start on the 20th?", PAY, "the 26th", None),
        ("How many days do I get after 30 days?", LEAVE, "27 days", None),
    ],
)
def test_a_claim_is_set_against_the_quote(question, quote, answer, found):
    start = quote.index(answer)
    assert claim(question, quote, start, start + len(answer)) == found
