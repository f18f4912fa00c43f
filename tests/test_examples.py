"""What a newcomer is offered to ask."""

import pytest

from rag.answer import Answerer
from rag.calibrate import Calibrator
from rag.index import Index
from rag.overlap import OverlapReader
from rag.settings import Settings
from rag.types import Document, Section
from rag.web.chat import _examples, _telling
from tests.encoder import HashingEncoder


@pytest.mark.parametrize(
    ("heading", "telling"),
    [
        ("Booking a course", True),
        ("Fire drills on board", True),
        ("Opening", False),
        ("1. Opening and minutes", False),
        ("2 Results for 2025", False),
        ("Next meeting", False),
        ("Further details", False),
        ("Item | Single | Note", False),
        ("Can I keep unused holiday?", False),
        ("Everything that a purser has to do before the gangway opens", False),
        ("", False),
    ],
)
def test_a_heading_tells_what_its_section_is_about(heading, telling):
    assert _telling(heading) is telling


def test_only_headings_that_their_own_section_answers_are_offered(tmp_path):
    said = "Night duty pay is 18 pounds."
    text = f"{said} The lost oars policy is elsewhere: lost oars are the Rules of the quay."
    path = (("Rules", "Night duty pay"), ("Rules", "Lost oars policy"))
    ends = (0, len(said), len(said) + 5)  # the second section says nothing of oars
    sections = tuple(Section(p, ends[n], ends[n + 1]) for n, p in enumerate(path))
    index = Index.open(tmp_path, create=True, encoder=HashingEncoder())
    index.put([Document("a.md", text, title="Rules", sections=sections)])
    answerer = Answerer(index, OverlapReader(index.encoder), Settings(threshold=0.0))
    answerer.calibrator = Calibrator({"span": 1.0}, 0.0, 0.0)
    assert _examples(answerer) == ["What does “Rules” say about “Night duty pay”?"]
