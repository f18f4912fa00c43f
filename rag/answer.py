"""The whole path: question → hits → readings → candidates → Answer. READ THIS FIRST."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from rag import calibrate, decide
from rag.acronyms import expanded
from rag.cite import cite
from rag.converse import looser, parts, standalone
from rag.errors import BadInput, Busy, NotFound
from rag.fluent import fluent
from rag.index import Index
from rag.read import PassageReader, Reader, open_reader
from rag.readable import Readable
from rag.retrieve import Mode, retrieve
from rag.settings import Settings
from rag.spell import corrected
from rag.types import Answer, AnswerItem, Document, Filters, Hit, Nearest, Reading, Reason, Turn, turns

MAX_QUESTION = 2_000  # characters
NEAREST = 3
ATTEMPTS = 3  # readings of a question whose documents change meanwhile
DEFINING = 100  # passages in which the definition of an acronym is looked for

Found = tuple[str, Sequence[Hit], Sequence[Reading], list[decide.Candidate], list[list[decide.Candidate]], bool]
Look = tuple[Sequence[Hit], Sequence[Reading], Sequence[decide.Candidate]]

Progress = Callable[[str, float], None]  # a stage and its milliseconds
Seen = Callable[[Sequence[Hit]], None]


class Answerer:
    """The one engine behind the chat, the API, the command line and the evaluation. `Answerer.open` makes one."""

    def __init__(self, index: Index, reader: Reader, settings: Settings) -> None:
        self.index = index
        self.reader = reader
        self.settings = settings
        self.calibrator = calibrate.load(reader.name, "end_to_end", index.folder)
        self.ranker = calibrate.load(reader.name, "rerank", index.folder)
        self.passages = PassageReader(reader, folder=index.folder)
        self.threshold = self.calibrator.threshold if settings.threshold is None else settings.threshold

    @classmethod
    def open(cls, index: str | Path, settings: Settings | None = None) -> Answerer:
        """Open an index and the reader of the settings. Raises NotFound, IndexMismatch or ModelError."""
        settings = settings or Settings()
        opened = Index.open(index, settings)
        return cls(opened, open_reader(settings, lambda: opened.encoder), settings)

    def ask(
        self,
        question: str,
        history: Sequence[str | Mapping[str, str] | Turn] = (),
        filters: Filters = Filters(),  # noqa: B008 (frozen)
        progress: Progress | None = None,
        seen: Seen | None = None,
    ) -> Answer:
        """Answer with quotes, or be silent and say why; `progress` hears of each stage when it is done, `seen` of the
        passages that are about to be read.

        Raises BadInput for a question that is none.
        """
        clock = Clock(progress)
        for _ in range(ATTEMPTS):
            query, hits, readings, ranked, groups, two = self._found(question, history, filters, clock, seen)
            if (documents := self._documents(groups, filters)) is not None:
                break
        else:
            raise Busy("the documents change faster than they are read; ask again in a moment")
        groups = decide.whole(groups, documents, query)
        shown = [candidate for group in groups for candidate in group]
        citations = tuple(cite(documents[c.hit.document_id], c, n) for n, c in enumerate(shown, 1))
        number = {id(candidate): n for n, candidate in enumerate(shown, 1)}
        silent = None if groups else self._why_silent(hits, readings, ranked, filters)
        clock.lap("decide")
        return Answer(
            question=question,
            query=query,
            status="answered" if groups else "abstained",
            reason=silent,
            confidence=round(ranked[0].probability, 4) if ranked else 0.0,
            index_version=self.index.version,
            timings_ms=clock.laps(),
            answers=tuple(
                AnswerItem(
                    text=group[0].text,
                    citations=tuple(number[id(c)] for c in group),
                    dates=tuple(sorted({documents[c.hit.document_id].date or "" for c in group} - {""})),
                )
                for group in groups
            ),
            conflict=not two and decide.conflicting(groups),
            citations=citations,
            nearest=() if groups else tuple(_nearest(hit, r) for hit, r in _by_relevance(hits, readings)[:NEAREST]),
        )

    def search(
        self, question: str, filters: Filters = Filters(), mode: Mode = "reranked", top: int = 10  # noqa: B008
    ) -> list[Hit]:  # fmt: skip
        """The best hits; "reranked" lets the reader judge the fused ones."""
        query = self.query(question, filters=filters)
        if mode != "reranked":
            return list(retrieve(self.index, query, filters, mode=mode, top=top))
        hits = retrieve(self.index, query, filters, top=max(top, self.settings.read_passages))
        readings = self.reader.read(query, [hit.excerpt for hit in hits])
        return decide.reranked(hits, readings, self.ranker)[:top]

    def read(self, question: str, context: str) -> dict[str, Any]:
        """Read one given text, as `rag read` does; offsets count in `context` as given."""
        return self.passages.read(checked(question), context)

    def query(
        self, question: str, history: Sequence[str | Mapping[str, str] | Turn] = (), filters: Filters = Filters()  # noqa: B008
    ) -> str:  # fmt: skip
        """The question as it is searched: without what was taken back, stand-alone, with typing errors corrected and
        acronyms explained from what the asker may read; a word of one token is a word. Raises BadInput."""
        return self._searched(standalone(fluent(checked(question)), turns(history)), filters)

    def _searched(self, alone: str, filters: Filters) -> str:
        def known(word: str) -> bool:
            return self.reader.count([word])[0] == 1

        def texts(words: Sequence[str]) -> Iterable[str]:
            keys = [key for key, _ in self.index.lexical(words, DEFINING, filters)]
            found = self.index.passages(keys)
            return (found[key].text for key in keys if key in found)

        return expanded(corrected(alone, known, lambda word: self.index.frequency(word, filters)), known, texts)

    def _found(
        self, question: str, history: Sequence[str | Mapping[str, str] | Turn], filters: Filters, clock: Clock,
        seen: Seen | None,
    ) -> Found:  # fmt: skip
        """The query that gave the most, what was found for it, and whether it asks two things."""
        query = self.query(question, history, filters)
        hits, readings, ranked, groups = self._judged(query, filters, clock, seen)
        for form in () if groups else looser(fluent(checked(question)), turns(history)):
            searched = self._searched(form, filters)
            if (judged := self._judged(searched, filters))[-1]:
                query, (hits, readings, ranked, groups) = searched, judged
                break
        if two := self._two(query, filters):
            groups, ranked = two, [min((group[0] for group in two), key=lambda c: c.probability)]
        return query, hits, readings, ranked, groups, bool(two)

    def _documents(
        self, groups: Sequence[Sequence[decide.Candidate]], filters: Filters
    ) -> dict[str, Document] | None:  # fmt: skip
        """The documents of the candidates; None when one was changed, hidden or removed since it was read."""
        readable = Readable(self.index, filters.groups)
        found: dict[str, Document] = {}
        for hit in (candidate.hit for group in groups for candidate in group):
            try:
                document = found.setdefault(hit.document_id, readable.document(hit.document_id))
            except NotFound:
                return None
            if document.text[hit.start : hit.end] != hit.text:
                return None
        return found

    def look(
        self, query: str, filters: Filters = Filters(), clock: Clock | None = None, seen: Seen | None = None  # noqa: B008
    ) -> Look:  # fmt: skip
        """What is found for a stand-alone question, what the reader saw in each hit, and what may be quoted."""
        clock = clock or Clock()
        vector = self.index.encoder.encode([query])[0]
        clock.lap("encode")
        hits = retrieve(self.index, query, filters, top=self.settings.read_passages, vector=vector)
        clock.lap("retrieve")
        if seen:
            seen(hits)
        readings = self.reader.read(query, [hit.excerpt for hit in hits])
        clock.lap("read")
        return hits, readings, decide.propose(hits, readings, vector, self.index.encoder)

    def _judged(
        self, query: str, filters: Filters, clock: Clock | None = None, seen: Seen | None = None
    ) -> tuple[Sequence[Hit], Sequence[Reading], list[decide.Candidate], list[list[decide.Candidate]]]:
        """What `look` found, its candidates ranked, and the answers among them; none when all are too unsure."""
        hits, readings, proposed = self.look(query, filters, clock, seen)
        ranked = decide.rank(proposed, self.calibrator)
        return hits, readings, ranked, decide.answers(ranked, self.threshold)

    def _two(self, query: str, filters: Filters) -> list[list[decide.Candidate]]:
        """The best answer to each half of a question that asks two things, from two places; [] when it does not."""
        found = []
        for part in parts(query):
            found += self._judged(part, filters)[-1][:1]
        apart = len(found) == 2 and not any(decide.overlap(a, b) for a in found[0] for b in found[1])
        return found if apart else []

    def _why_silent(
        self, hits: Sequence[Hit], readings: Sequence[Reading], ranked: Sequence[decide.Candidate], filters: Filters
    ) -> Reason:
        if not hits and not self.index.readable(Filters(groups=filters.groups)):
            return "empty_index"
        if not hits and not self.index.readable(filters):
            return "filtered"
        return decide.reason(ranked, readings)


class Clock:
    """Milliseconds of each stage and in all."""

    def __init__(self, progress: Progress | None = None) -> None:
        self._progress = progress
        self._began = self._last = time.perf_counter()
        self._laps: dict[str, float] = {}

    def lap(self, stage: str) -> None:
        """What has passed since the last lap belongs to `stage`."""
        now = time.perf_counter()
        self._laps[stage] = round((now - self._last) * 1000, 2)
        self._last = now
        if self._progress:
            self._progress(stage, self._laps[stage])

    def laps(self) -> dict[str, float]:
        """All stages and "total"."""
        return {**self._laps, "total": round((time.perf_counter() - self._began) * 1000, 2)}


def checked(question: str) -> str:
    """The question with one space between words. Raises BadInput when it is empty, too long or no text."""
    stripped = " ".join(question.split()) if isinstance(question, str) else ""
    if any("\ud800" <= c <= "\udfff" for c in stripped):
        raise BadInput("the question holds half of a character; type it again")
    if not stripped:
        raise BadInput("the question is empty; type one")
    if len(stripped) > MAX_QUESTION:
        raise BadInput(f"the question has {len(stripped)} characters; at most {MAX_QUESTION} are read: shorten it")
    return stripped


def _by_relevance(hits: Sequence[Hit], readings: Sequence[Reading]) -> list[tuple[Hit, Reading]]:
    return sorted(zip(hits, readings, strict=True), key=lambda pair: -pair[1].relevance)


def _nearest(hit: Hit, reading: Reading) -> Nearest:
    return Nearest(hit.document_id, hit.start, hit.end, hit.text, round(reading.relevance, 4))
