"""Values in texts: which are one kind, which are one value, and which differ."""

import pytest

from rag.facts import alike, differing, elsewhere, facts, stated


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("£1,200", "1200 pounds"),
        ("£1.2 million", "1,200,000 pounds"),
        ("26 weeks", "twenty-six weeks"),
        ("two weeks", "14 days"),
        ("a fortnight is 1 fortnight", "14 working days"),
        ("seven unused days", "7 days"),
        ("9 per cent", "9%"),
        ("46p a mile", "£0.46 per mile"),
        ("2 years", "24 months"),
        ("26 June 2026", "2026-06-26"),
        ("June 26th", "the 26th of June"),
        ("26 June", "26 June 2026"),
        ("5 pm", "17:00"),
        ("9.30am", "9:30"),
        ("36 free single trips", "thirty-six trips"),
        ("ext. 410", "ext. 410"),
        ("1.200,50 euros", "€1,200.50"),
        ("£1.2m", "£1,200k"),
        ("up to 5 m", "5 metres"),
        ("34 booking rules", "thirty-four rules"),
    ],
)
def test_one_value_however_it_is_written(one, other):
    assert {f.kind for f in facts(one)} == {f.kind for f in facts(other)} != set()
    assert differing(facts(one), facts(other)) is None


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("£3.50", "£4.20"),
        ("a maximum of four days", "up to seven unused days"),
        ("26 weeks", "18 weeks"),
        ("3 weeks", "20 days"),
        ("the 26th", "the 20th"),
        ("26 June", "27 June"),
        ("26 June 2025", "26 June 2026"),
        ("17:00", "5 am"),
        ("9 per cent", "5%"),
        ("in 1998", "in 2001"),
        ("ext. 410", "ext. 221"),
        ("9 to 11 weeks", "12 weeks"),
        ("34 tasks", "30 tasks"),
        ("46p a mile", "27p a mile"),
    ],
)
def test_two_values_of_one_kind(one, other):
    assert differing(facts(one), facts(other))
    assert differing(facts(other), facts(one))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("26th", "26 weeks"),
        ("26th", "20 weeks"),
        ("£3.50", "21p a mile"),
        ("£40", "40 per cent"),
        ("46 euros", "£38"),
        ("6 months", "30 weeks"),  # no month is a number of weeks
        ("27", "8"),  # numbers of nothing
        ("4 May", "the 20th"),
        ("12 hours", "20:00"),
        ("1.200 euros", "1.3 euros"),  # a thousand here, one and a bit there
        ("no one", "two of us"),
        ("9 to 11 weeks", "10 to 11 weeks"),  # one agrees
        ("", "4 days"),
    ],
)
def test_nothing_to_compare(one, other):
    assert differing(facts(one), facts(other)) is None


def kinds(quote, answer):
    start = quote.index(answer)
    return [(f.kind, f.text) for f in stated(quote, start, start + len(answer))]


def test_a_short_answer_states_what_it_touches_or_what_its_quote_has_alone():
    assert kinds("Up to seven unused days may be carried.", "seven") == [("time", "seven unused days")]
    assert kinds("Up to seven unused days may be carried.", "carried") == [("time", "seven unused days")]
    assert kinds("Pay is £40 for 3 hours.", "Pay") == []
    assert kinds("Ask Solveig Trantham, ext. 314.", "Solveig Trantham") == [("name", "Solveig Trantham")]
    assert kinds("Pay is £40 for 3 hours.", "£40") == [("£", "£40")]


def test_names_differ_when_they_share_no_word():
    one, other = (stated(name, 0, len(name)) for name in ("Sunniva Brekke", "Henrike Duvall"))
    assert differing(one, other)
    assert differing(one, stated("Captain Brekke", 0, 14)) is None


def test_texts_that_name_different_things_speak_of_different_things():
    assert elsewhere("MV Curlew | 4 minutes", "The trial on Oystercatcher took 5 minutes, as Oystercatcher does.")
    assert elsewhere("It earned £20 million in 2025.", "It earned £18 million in 2024.")
    assert not elsewhere("Bicycle, accompanied | £3.50", "A bicycle now costs £4.20 on MV Curlew.")
    assert not elsewhere("From March the fare to Velsey is £3.", "The fare to Velsey is £4, in May.")


def test_alike_is_half_of_the_words():
    assert alike("The fleet manager is", "Our new fleet manager:")
    assert not alike("The fleet manager is", "Training is planned by")
    assert not alike("The winter timetable runs from 27 October 2025.", "Summer service begins on 23 March 2026.")
