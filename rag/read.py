"""(question, excerpts) → Readings: what a reader is, and how one is opened."""

from __future__ import annotations

import dataclasses
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

from rag import calibrate
from rag.chunk import units
from rag.embed import Encoder, open_encoder
from rag.errors import ModelError
from rag.fluent import fluent
from rag.hub_reader import HubReader
from rag.load.build import paragraphs
from rag.neural import SHIPPED, NeuralReader
from rag.overlap import OverlapReader
from rag.runtime import weights
from rag.settings import Settings
from rag.spell import corrected
from rag.terms import WORD
from rag.types import Document, Excerpt, Reading, Span


class Reader(Protocol):
    """Finds short answers and quotes; `name` is the key of its calibrators."""

    name: str

    def count(self, texts: Sequence[str]) -> Sequence[int]:
        """Tokens of each text."""
        ...

    def read(self, question: str, excerpts: Sequence[Excerpt]) -> list[Reading]:
        """One Reading for each excerpt, in order; offsets count from the beginning of its text."""
        ...


def open_reader(settings: Settings, encoder: Callable[[], Encoder]) -> Reader:
    """The reader that the settings name: "shipped", "overlap", a reader folder, or a pulled model of the hub.

    When the shipped one is missing or damaged the overlap reader answers, with a warning. Raises ModelError for a
    name that is no reader.
    """
    if settings.reader == "overlap":
        return OverlapReader(encoder())
    if settings.reader != "shipped":
        folder = Path(settings.reader)
        if (folder / "reader.json").is_file():
            return NeuralReader(folder, settings.cores)
        return HubReader(settings.reader, weights(settings.reader, settings.models) or folder)
    try:
        return NeuralReader(SHIPPED, settings.cores)
    except ModelError as error:
        print(f"warning: {error}; the overlap reader answers meanwhile", file=sys.stderr)
        return OverlapReader(encoder())


class PassageReader:
    """The reader for questions that come with their passage (`rag read`, evaluation of the reader); needs no index."""

    def __init__(self, reader: Reader, threshold: float | None = None, folder: Path | None = None) -> None:
        """`folder`: an index that may have calibrators of its own. Threshold 0 says that the passages answer: then the
        probability is that of the best span where there is an answer."""
        self.reader = reader
        self.calibrator = calibrate.load(reader.name, "forced" if threshold == 0 else "passage", folder)
        self.threshold = self.calibrator.threshold if threshold is None else threshold

    @classmethod
    def open(cls, settings: Settings) -> PassageReader:
        """The reader of the settings."""
        return cls(open_reader(settings, lambda: open_encoder(settings)), settings.threshold)

    def look(self, question: str, context: str) -> Reading:
        """The Reading of one text of any length; offsets count in `context` as given."""
        there = Counter(WORD.findall(context.lower()))
        question = corrected(fluent(question), lambda word: self.reader.count([word])[0] == 1, lambda word: there[word])
        whole = Document("context", context, blocks=paragraphs(context))
        every = tuple(unit for unit, _ in units(whole, self.reader.count))
        return self.reader.read(question, [Excerpt(context, every)])[0]

    def read(self, question: str, context: str) -> dict[str, Any]:
        """The fields of `rag read`: the best span is given also when it is not taken for an answer."""
        reading = self.look(question, context)
        return row(reading, context, self.calibrator.probability(reading.features), self.threshold)


def row(reading: Reading, context: str, probability: float, threshold: float) -> dict[str, Any]:
    """A Reading of `context` with the fields of `rag read`."""
    best = reading.spans[0] if reading.spans else Span(0, 0, 0.0)
    answerable = bool(reading.spans) and probability >= threshold
    return {
        "text": context[best.start : best.end],
        "start": best.start,
        "end": best.end,
        "score": best.score,
        "no_answer_score": reading.no_answer_score,
        "answerable": answerable,
        "probability": probability,
        "relevance": reading.relevance,
        "spans": [{"text": context[s.start : s.end], **dataclasses.asdict(s)} for s in reading.spans],
        "quotes": [dataclasses.asdict(q) for q in reading.quotes] if answerable else [],
    }
