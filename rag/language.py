"""Which language a document is in, where its text leaves no doubt. Offline and deterministic. Door of py3langid."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from rag.settings import Settings
from rag.types import Document

if TYPE_CHECKING:
    from py3langid.langid import LanguageIdentifier

_SAMPLE = 4_000  # characters of running text that are looked at
_LEAST = 200  # letters: of less there is no verdict
_SURE = 0.9
_PARTS = 3  # of the sample, which must all be in the same language


def spoken(document: Document) -> Document:
    """The document with its language: what its file says, or else its text; of a file that wrongly says English, or
    wrongly does not (a template's mark), what its text says beyond doubt."""
    said = (document.language or "").partition("-")[0]
    found = detected(_prose(document))
    if found and (not said or (said == "en") != (found == "en")):
        return replace(document, language=found)
    return document


def detected(text: str) -> str | None:
    """The ISO 639-1 code of the language of a text; None when the text is short, mixed, or leaves doubts."""
    if sum(map(str.isalpha, text)) < _LEAST:
        return None
    identifier = _identifier()
    if identifier is None:
        return None
    step = -(-len(text) // _PARTS)
    verdicts = {identifier.classify(text[at : at + step]) for at in range(0, len(text), step)}
    language = next(iter(verdicts))[0]
    return language if all(name == language and sure >= _SURE for name, sure in verdicts) else None


def foreign(languages: Mapping[str, int], settings: Settings) -> str:
    """One line when documents are not in English and the models are the default ones, which are for English; or ""."""
    default = Settings()
    others = {name: n for name, n in languages.items() if name.partition("-")[0] not in ("", "en")}
    if not others or (settings.model, settings.reader) != (default.model, default.reader):
        return ""
    total = sum(others.values())
    named = ", ".join(f"{name} {n}" for name, n in sorted(others.items(), key=lambda pair: (-pair[1], pair[0])))
    return (
        f"{total} of {sum(languages.values())} documents {'is' if total == 1 else 'are'} not in English ({named}); the "
        "default models are for English and answer badly there: set `model` and `reader` to others and index again"
    )


def _prose(document: Document) -> str:
    """The beginning of the running text; code, headings and tables say little."""

    def parts() -> Iterator[str]:
        left = _SAMPLE
        for block in document.blocks:
            if block.kind in ("paragraph", "item") and left > 0:
                words = document.text[block.start : min(block.end, block.start + left)]
                left -= len(words)
                yield words

    return "\n".join(parts())


@functools.cache
def _identifier() -> LanguageIdentifier | None:
    """None where there is no room for what it unpacks: an index without languages is better than none."""
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    try:
        return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
    except OSError:
        return None
