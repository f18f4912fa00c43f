"""A whole small engine for the tests of the evaluation: it ranks paragraphs by shared words and quotes a sentence."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from rag.errors import NotFound
from rag.read import row
from rag.types import Answer, AnswerItem, Citation, Document, Filters, Hit, Nearest, Reading, ShortAnswer, Span, Turn

FERRY = Document(
    "ferry.md",
    "The ferry to Lantern Island leaves at 07:40 every weekday. On Sundays it leaves at 09:15.\n\n"
    "A bicycle costs 3 crowns. Dogs travel free of charge, on a lead.\n\n"
    "When the wind passes 60 knots the ferry stays in the harbour.",
    "Ferry rules",
)
MUSEUM = Document(
    "museum.md",
    "The lamp museum opens at 10:00 and closes at 16:30. Children under 12 years enter free of charge.\n\n"
    "Photographs are allowed, but without flash. The oldest lamp was lit in 1784.",
    "Lamp museum",
)
MEMO = Document("memo.md", "Reminder: the oldest lamp was lit in 1784. Nobody may touch it.", "Memo")
HOSTILE = Document(
    "<img src=x onerror=alert(1)>.md",
    "The </script><script>document.title='owned'</script> signal burns for 45 minutes \u2028 every night 🔥🔥.",
    "</script><img src=x onerror=\"document.title='owned'\">",
)
DOCUMENTS = (FERRY, MUSEUM, MEMO, HOSTILE)

QUESTIONS = [
    {"id": "q1", "question": "At what time does the ferry leave on Sundays?", "answers": ["09:15"],
     "gold": [{"document_id": "ferry.md", "quote": "On Sundays it leaves at 09:15."}], "tags": ["time"]},
    {"id": "q2", "question": "How much does a bicycle cost?", "answers": ["3 crowns"],
     "gold": [{"document_id": "ferry.md", "start": 91, "end": 116, "quote": "A bicycle costs 3 crowns."}],
     "tags": ["price"]},
    {"id": "q3", "question": "When was the oldest lamp lit?", "answers": ["1784"],
     "gold": [{"document_id": "museum.md", "quote": "The oldest lamp was lit in 1784."},
              {"document_id": "memo.md", "quote": "the oldest lamp was lit in 1784"}],
     "tags": ["time", "two documents"]},
    {"id": "q4", "question": "How long does the signal burn every night?", "answers": ["45 minutes"],
     "gold": [{"document_id": HOSTILE.id, "quote": "burns for 45 minutes"}], "tags": ["<b>hostile</b>"]},
    {"id": "q5", "question": "Which airline flies there?", "answers": [], "gold": [],
     "answerable": False, "tags": ["absent"]},
    {"id": "q6", "question": "At what time does the ferry leave on Mars?", "answers": [], "gold": [],
     "answerable": False, "tags": ["absent"]},
]  # fmt: skip


@dataclass(frozen=True)
class FakeIndex:
    documents: dict[str, Document]
    version: str = "fake-1"

    def document(self, document_id: str) -> Document:
        if document_id not in self.documents:
            raise NotFound(f"document {document_id!r} is not in the index")
        return self.documents[document_id]


@dataclass(frozen=True)
class FakeAnswerer:
    """`broken` goes wrong on purpose: retrieval (worst first), reader (always the first sentence) or offsets."""

    index: FakeIndex
    threshold: float = 0.55
    broken: str = ""

    def search(self, question: str, filters: Filters | None = None, mode: str = "reranked", top: int = 10) -> list[Hit]:
        hits = []
        wanted = filters.documents if filters else ()
        for document in (d for d in self.index.documents.values() if not wanted or d.id in wanted):
            for found in re.finditer(r"[^\n]+", document.text):
                score = _shared(question, found.group())
                hits.append(Hit(document.id, *found.span(), found.group(), (), fused=score))
        ranked = sorted(hits, key=lambda hit: -hit.fused)
        if mode == "lexical":
            ranked = [hit for hit in ranked if hit.fused > 0]
        return (ranked[::-1] if self.broken == "retrieval" else ranked)[:top]

    def ask(self, question: str, history: Sequence[Turn] = ()) -> Answer:
        query = " ".join([*(turn.content for turn in history), question])
        hits = self.search(query)
        times = {"retrieve": 1.0, "read": 2.0, "total": 3.0}
        if not hits:
            return Answer(question, query, "abstained", "empty_index", 0.0, self.index.version, times)
        hit = hits[0]
        start, end, short, sure = self._best(query, hit.text)
        if sure < self.threshold:
            near = (Nearest(hit.document_id, hit.start, hit.end, hit.text, sure),)
            return Answer(question, query, "abstained", "low_confidence", sure, self.index.version, times, nearest=near)
        at = hit.start + start
        quote = self.index.document(hit.document_id).text[at : hit.start + end]
        shift = 1 if self.broken == "offsets" else 0
        span = ShortAnswer(hit.start + short[0], hit.start + short[1], hit.text[slice(*short)])
        citation = Citation(
            1, hit.document_id, "", "", "default", None, "", at + shift, hit.start + end + shift, quote, False, span,
            "", "", {}, None, (), sure,
        )  # fmt: skip
        items = (AnswerItem(span.text, (1,), ()),)
        return Answer(question, query, "answered", None, sure, self.index.version, times, items, False, (citation,))

    def read(self, question: str, context: str) -> dict[str, Any]:
        start, end, short, sure = self._best(question, context)
        reading = Reading((Span(*short, sure), Span(0, 3, 0.1)), (Span(start, end, sure),), 0.5, sure, {})
        return row(reading, context, sure, self.threshold)

    def _best(self, question: str, text: str) -> tuple[int, int, tuple[int, int], float]:
        """The best sentence, its first number with the word behind it (or the last word), and the share of words."""
        sentences = list(re.finditer(r"[^.]+\.?", text))
        best = sentences[0] if self.broken == "reader" else max(sentences, key=lambda s: _shared(question, s.group()))
        start = best.start() + len(best.group()) - len(best.group().lstrip())
        short = re.search(r"\d[\d:]*(?: (?:crowns|minutes|knots|years))?", text[start : best.end()])
        span = (start + short.start(), start + short.end()) if short else (best.end() - 2, best.end() - 1)
        return start, best.end(), span, _shared(question, best.group())


_SMALL = {"what", "when", "whic", "time", "does", "long", "much", "ther"}


def _shared(question: str, text: str) -> float:
    """Share of the question's longer words whose first four letters occur in the text."""
    asked, there = ({w[:4] for w in re.findall(r"\w{4,}", t.lower())} - _SMALL for t in (question, text))
    return round(len(asked & there) / max(1, len(asked)), 4)


def fake(documents: Iterable[Document] = DOCUMENTS, **knobs: object) -> FakeAnswerer:
    """An engine over these documents."""
    return FakeAnswerer(FakeIndex({document.id: document for document in documents}), **knobs)  # type: ignore[arg-type]
