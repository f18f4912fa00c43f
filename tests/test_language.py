"""The language of a document: sure or silent, and a line when the default models are not for it."""

from __future__ import annotations

import pytest

from rag.index import Index
from rag.inspect import inspect
from rag.language import detected, foreign, spoken
from rag.settings import Settings
from rag.types import Block, Document
from tests.encoder import HashingEncoder

ENGLISH = (
    "The harbour office opens at eight and closes at six. Anyone who wants to take a bicycle on the ferry must buy a "
    "ticket for it at the counter, where the staff will also explain how to fasten it below deck. In bad weather the "
    "crossing may be shortened, and passengers are then told by telephone. Lost property is kept for three months. "
)
GERMAN = (
    "Das Hafenamt öffnet um acht Uhr und schließt um sechs. Wer ein Fahrrad auf der Fähre mitnehmen möchte, muss dafür "
    "am Schalter eine Karte kaufen; dort wird auch erklärt, wie man es unter Deck festmacht. Bei Sturm kann "
    "die Überfahrt verkürzt werden, und die Fahrgäste werden dann angerufen. Fundsachen werden drei Monate aufbewahrt. "
)


@pytest.mark.parametrize(
    ("text", "language"),
    [
        (ENGLISH, "en"),
        (GERMAN, "de"),
        (GERMAN[:200], None),  # short
        (ENGLISH + GERMAN, None),  # mixed
        ("0123456789 | 3.14 | ERR_42\n" * 50, None),
        ("", None),
    ],
)
def test_a_language_is_told_when_it_is_sure(text: str, language: str | None) -> None:
    assert detected(text) == language


@pytest.mark.parametrize(
    ("text", "said", "language"),
    [
        (GERMAN, None, "de"),
        (GERMAN, "de-AT", "de-AT"),  # the file knows better
        (GERMAN, "lb", "lb"),
        (GERMAN, "en", "de"),  # a template's mark
        (ENGLISH, "de", "en"),
        (ENGLISH, "en-GB", "en-GB"),
        (ENGLISH[:100], "de", "de"),
    ],
)
def test_a_file_is_believed_unless_it_is_wrong_about_english(text: str, said: str | None, language: str) -> None:
    document = Document("a", text, blocks=(Block("paragraph", 0, len(text)),), language=said)
    assert spoken(document).language == language


def test_code_and_tables_are_not_looked_at() -> None:
    text = GERMAN + ENGLISH * 3
    blocks = (Block("paragraph", 0, len(GERMAN)), Block("code", len(GERMAN), len(text)))
    assert spoken(Document("a", text, blocks=blocks)).language == "de"


def test_the_warning_is_for_the_default_models_only() -> None:
    counted = {"": 3, "en-GB": 4, "de": 2, "fr": 1}
    line = foreign(counted, Settings())
    assert line.startswith("3 of 10 documents are not in English (de 2, fr 1); ")
    assert "\n" not in line
    assert foreign({"en": 4, "": 2}, Settings()) == ""
    assert foreign(counted, Settings(model="some/multilingual-model")) == ""
    assert foreign(counted, Settings(reader="overlap")) == ""


def test_an_index_counts_languages_and_filters_by_them(tmp_path) -> None:  # type: ignore[no-untyped-def]
    folder = tmp_path / "docs"
    folder.mkdir()
    (folder / "de.txt").write_text(GERMAN)
    (folder / "en.md").write_text(ENGLISH)
    (folder / "short.txt").write_text("Kurz.")
    index = Index.open(tmp_path / "index", create=True, encoder=HashingEncoder())
    assert index.add(folder).languages == {"de": 1, "en": 1, "": 1}
    assert index.status()["languages"] == {"": 1, "de": 1, "en": 1}
    assert index.document("de.txt").language == "de"
    (shown,) = inspect(str(folder / "de.txt"), lambda texts: [len(text.split()) for text in texts]).documents
    assert shown.language == "de"
    index.close()
