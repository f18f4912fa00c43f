"""A whole Answerer over a few documents in memory, with real values of rag.types. Answers are set by hand.

`FakeAnswerer()` knows the questions of `SCRIPT`; any other question is met with silence and the nearest passages.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from rag.errors import BadInput, NotFound
from rag.store import DocumentInfo
from rag.types import (
    QUOTE_CONTEXT,
    Answer,
    AnswerItem,
    Block,
    Citation,
    Document,
    Filters,
    Hit,
    Nearest,
    Page,
    Reading,
    Reason,
    Section,
    ShortAnswer,
    Span,
    Turn,
    Unit,
    turns,
)

NO_FILTERS = Filters()
PAYLOAD = '<img src=x onerror="window.hacked=1"><script>window.hacked=1</script>${window.hacked=1}{{constructor}}'


def document(
    id: str, title: str, parts: Sequence[tuple[str, str]], date: str | None = None, pages: int = 0
) -> Document:
    """A Document from (kind, text) parts parted by blank lines; kind is `#`, `##`, `-`, `|` or `p`."""
    text, blocks, opened = "", [], []
    kinds = {"#": "heading", "##": "heading", "-": "item", "|": "row", "p": "paragraph"}
    for kind, part in parts:
        text += "" if not text else "\n" if kind in "-|" and blocks[-1].kind == kinds[kind] else "\n\n"
        blocks.append(Block(kinds[kind], len(text), len(text) + len(part)))  # type: ignore[arg-type]
        if kind.startswith("#"):
            opened.append((len(kind), part, len(text)))
        text += part
    sections, path = [], []
    for i, (depth, heading, start) in enumerate(opened):
        path = [*path[: depth - 1], heading]
        end = next((later for level, _, later in opened[i + 1 :] if level <= depth), len(text))
        sections.append(Section(tuple(path), start, end))
    for i, block in enumerate(blocks):
        if block.kind == "row" and blocks[i - 1].kind != "row":  # the head of a table names the section of its rows
            last = next((j for j in range(i, len(blocks)) if blocks[j].kind != "row"), len(blocks)) - 1
            inner = next(s for s in reversed(sections) if s.start <= block.start < s.end)
            head = (*inner.path, text[block.start : block.end])
            sections.append(Section(head, block.start, blocks[last].end))
    tops = [blocks[len(blocks) * n // pages].start for n in range(pages)] + [len(text)]
    leaves = tuple(Page(n + 1, str(n + 1), tops[n], tops[n + 1]) for n in range(pages))
    return Document(id, text, title, f"/docs/{id}", "handbook", date, "fake/1", leaves, tuple(sections), tuple(blocks))


LEAVE = "Parents take up to 26 weeks of paid leave in the first two years after a birth or an adoption."
BELL = "👩‍👩‍👧 The tide bell 🔔 rings twice 🌊🌊 before the flood."
CAFE = "The cafe\u0301 of Zoe\u0308 sells na\u0308ive art and cre\u0300me bru\u0302le\u0301e at 5 o'clock."
BRIDGE = "الجسر مغلق من الساعة 22 حتى الفجر. גשר הנמל נסגר בחצות."
SAILORS = "A co\u00adop\u00ader\u00ada\u00adtive\u200b of zero\u200dwidth\u2060 sailors meets on pier\u200b 9."
WATER = "𝔘𝔫𝔡𝔢𝔯 the 𝒷𝓇𝒾𝒹𝑔𝑒 the water is 𝟜𝟚 feet deep."

HANDBOOK = document(
    "staff/handbook.md",
    "Harbour Library staff handbook",
    [
        ("#", "Harbour Library staff handbook"),
        ("p", "This handbook is for everyone who works at the Harbour Library, on the desks and behind them."),
        ("##", "Opening the building"),
        ("p", "The first person in switches off the alarm within forty seconds. The code is changed every quarter."),
        ("-", "Check the book lift before the first trolley goes down."),
        ("-", "Unlock the river door only after nine o'clock, when the tide barrier is up."),
        ("##", "Parental leave"),
        (
            "p",
            f"A child changes everything, and we would like you to have time for it. {LEAVE} "
            "Tell your team at least eight weeks ahead, so that the desks stay staffed.",
        ),
        ("p", "Leave can be taken in blocks of two weeks or more. It does not count against annual leave."),
        ("##", "Lending"),
        ("|", "Item | Loan period | Renewals"),
        ("|", "Novels | 4 weeks | 3"),
        ("|", "Sheet music | 8 weeks | 1"),
        ("|", "Charts of the estuary | 3 days | none"),
        ("p", "Overdue charts are fetched by the harbour master, who has no sense of humour about it."),
    ],
    "2024-05-04",
    pages=3,
)
TRAVEL_OLD = document(
    "travel/2022.md",
    "Travel rules 2022",
    [
        ("#", "Travel rules 2022"),
        ("##", "Meals"),
        ("p", "The daily allowance for meals is 38 euros. Keep no receipts."),
    ],
    "2022-01-01",
)
TRAVEL_NEW = document(
    "travel/2025.md",
    "Travel rules 2025",
    [
        ("#", "Travel rules 2025"),
        ("##", "Meals"),
        ("p", "Since January the daily allowance for meals is 46 euros. Breakfast at the hotel is taken off it."),
    ],
    "2025-01-01",
)
MEMO = document(
    "memos/leave.txt",
    "Memo on leave",
    [("p", "To all teams: paid parental leave is 26 weeks, as the handbook says. Ask Ines if you are unsure.")],
    "2024-06-11",
)
SCRIPTS = document(
    "odd/🌊 scripts & <signs>.txt",
    f"Signs {PAYLOAD}",
    [
        *(("p", part) for part in (BELL, CAFE, BRIDGE, SAILORS)),
        ("p", f"A visitor wrote {PAYLOAD} on the wall, and it stayed."),
        ("p", WATER),
    ],
)
LONG = document(
    "archive/log.txt",
    "The long log",
    [("p", f"Entry {n} 🌊: wind from the west, nothing to report.") for n in range(1, 20001)],
)
DOCUMENTS = (HANDBOOK, TRAVEL_OLD, TRAVEL_NEW, MEMO, SCRIPTS, LONG)

# question: the answers, each a tuple of its citations as (document, quote, short answer)
Said = tuple[Document, str, str]
SCRIPT: dict[str, tuple[tuple[Said, ...], ...]] = {
    "How long is parental leave?": (
        (
            (HANDBOOK, LEAVE, "26 weeks"),
            (MEMO, "To all teams: paid parental leave is 26 weeks, as the handbook says.", "26 weeks"),
        ),
    ),
    "What is the daily meal allowance?": (
        ((TRAVEL_NEW, "Since January the daily allowance for meals is 46 euros.", "46 euros"),),
        ((TRAVEL_OLD, "The daily allowance for meals is 38 euros.", "38 euros"),),
    ),
    "How long may I keep a chart?": (((HANDBOOK, "Charts of the estuary | 3 days | none", "3 days"),),),
    "What are the lending rules for novels?": (((HANDBOOK, "Novels | 4 weeks | 3", "Novels | 4 weeks | 3"),),),
    "Is a chart lent for 10 days?": (((HANDBOOK, "Charts of the estuary | 3 days | none", "3 days"),),),
    "How often does the bell ring?": (((SCRIPTS, BELL, "twice 🌊🌊"),),),
    "When is brûlée sold?": (((SCRIPTS, CAFE, "5 o'clock"),),),
    "When is the bridge closed?": (((SCRIPTS, BRIDGE, "الساعة 22"),),),
    "Where do the sailors meet?": (((SCRIPTS, SAILORS, "pier\u200b 9"),),),
    "How deep is the water?": (((SCRIPTS, WATER, "𝟜𝟚 feet"),),),
    "What did the visitor write?": (((SCRIPTS, f"A visitor wrote {PAYLOAD} on the wall, and it stayed.", PAYLOAD),),),
    "What happened on day 15000?": (
        ((LONG, "Entry 15000 🌊: wind from the west, nothing to report.", "nothing to report"),),
    ),
}


def citation(n: int, source: Document, quote: str, short: str) -> Citation:
    """The citation of the first place in `source` where `quote` stands."""
    start = source.text.index(quote)
    end, at = start + len(quote), start + quote.index(short)
    before = len(source.text[:start].encode("utf-16-le")) // 2
    return Citation(
        n=n,
        document_id=source.id,
        title=source.title,
        source=source.source,
        collection=source.collection,
        date=source.date,
        revision=source.revision,
        start=start,
        end=end,
        quote=quote,
        partial=False,
        answer=ShortAnswer(at, at + len(short), short),
        prefix=source.text[max(0, start - QUOTE_CONTEXT) : start],
        suffix=source.text[end : end + QUOTE_CONTEXT],
        utf16={"start": before, "end": before + len(quote.encode("utf-16-le")) // 2},
        pages=source.pages_of(start, end),
        section=source.section_at(start),
        score=0.9,
    )


@dataclass
class FakeIndex:
    """Documents in memory, listed and fetched as an Index does."""

    held: dict[str, Document]
    version: str = "fake-1"

    def document(self, id: str) -> Document:
        """The document, or NotFound."""
        if id not in self.held:
            raise NotFound(f"document {id!r} is not in the index; `rag status` lists what is")
        return self.held[id]

    def documents(self, groups: tuple[str, ...] | None = None) -> list[DocumentInfo]:
        """Every document, in the order of their ids; none has groups."""
        return [
            DocumentInfo(d.id, d.title, d.source, d.collection, d.date, d.revision, max(1, len(d.blocks)))
            for _, d in sorted(self.held.items())
        ]

    def readable(self, filters: Filters) -> bool:
        """Whether any of the documents named is there; none of them has groups."""
        return any(id in self.held for id in filters.documents or self.held)

    def frequency(self, word: str, filters: Filters) -> int:
        """How many documents have the word."""
        return sum(word.lower() in d.text.lower() for d in self.held.values())

    def remove(self, ids: Sequence[str]) -> int:
        """Forget documents."""
        return sum(self.held.pop(id, None) is not None for id in ids)

    def put(self, documents: Sequence[Document], progress: Callable[[float], None] | None = None) -> None:
        """Hold documents."""
        self.held.update((d.id, d) for d in documents)

    def close(self) -> None:
        """Nothing is open."""

    def status(self) -> dict[str, object]:
        """A few counts."""
        return {"version": self.version, "documents": len(self.held)}


@dataclass
class FakeAnswerer:
    """Answers from `script`. `asked` records (question, history); a cleared `gate` holds every question back;
    a question "break" fails as a bug would; `reasons` picks the reason for silence by question."""

    documents: Sequence[Document] = DOCUMENTS
    script: Mapping[str, tuple[tuple[Said, ...], ...]] = field(default_factory=lambda: SCRIPT)
    reasons: Mapping[str, Reason] = field(default_factory=dict)
    asked: list[tuple[str, tuple[Turn, ...]]] = field(default_factory=list)
    gate: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self.index = FakeIndex({d.id: d for d in self.documents})
        self.gate.set()

    def ask(
        self,
        question: str,
        history: Sequence[str | Turn] = (),
        filters: Filters = NO_FILTERS,
        progress: Callable[[str, float], None] | None = None,
        seen: Callable[[Sequence[Hit]], None] | None = None,
    ) -> Answer:
        """The scripted Answer, or silence. Raises BadInput on a question that is empty or over 2,000 characters."""
        if not question.strip() or len(question) > 2000:
            raise BadInput(f"a question has 1 to 2,000 characters, this one has {len(question.strip())}; shorten it")
        if question == "break":
            raise RuntimeError("secret: /etc/passwd")
        self.asked.append((question, turns(history)))
        if seen:
            seen(self.search(question, filters))
        self.gate.wait(30)
        timings = {"retrieve": 2.0, "read": 40.0, "total": 42.0}
        for stage in ("retrieve", "read") if progress else ():
            progress(stage, timings[stage])  # type: ignore[misc]
        if question not in self.script:
            reason = self.reasons.get(question, "no_span")
            near = self._nearest() if reason in ("no_span", "low_confidence", "no_passage") else ()
            return Answer(question, question, "abstained", reason, 0.21, self.index.version, timings, nearest=near)
        items, cited = [], []
        for said in self.script[question]:
            own = [citation(len(cited) + i + 1, *one) for i, one in enumerate(said)]
            cited += own
            dates = tuple(c.date for c in own if c.date)
            items.append(AnswerItem(said[0][2], tuple(c.n for c in own), dates))
        return Answer(
            question,
            question,
            "answered",
            None,
            0.93,
            self.index.version,
            timings,
            answers=tuple(items),
            conflict=len(items) > 1,
            citations=tuple(cited),
        )

    def _nearest(self) -> tuple[Nearest, ...]:
        blocks = [(d, b) for d in self.documents for b in d.blocks if b.kind == "paragraph"][:3]
        return tuple(Nearest(d.id, b.start, b.end, d.text[b.start : b.end], 0.3) for d, b in blocks)

    def search(self, question: str, filters: Filters = NO_FILTERS, mode: str = "reranked", top: int = 10) -> list[Hit]:
        """The paragraphs that share the most words with the question."""
        words = set(question.lower().split())
        found = [
            Hit(d.id, b.start, b.end, d.text[b.start : b.end], (Unit(b.start, b.end, b.kind),), fused=float(shared))
            for d in self.documents
            for b in d.blocks
            if (shared := len(words & set(d.text[b.start : b.end].lower().split())))
        ]
        return sorted(found, key=lambda hit: -hit.fused)[:top]

    def read(self, question: str, context: str) -> Reading:
        """The whole context as the one span and quote."""
        whole = (Span(0, len(context), 1.0),)
        return Reading(whole, whole, 0.0, 1.0, {})
