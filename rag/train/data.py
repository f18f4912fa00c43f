"""Training rows: read from a folder of `*.jsonl.gz`, checked, and split by article into training and validation.

Three kinds of set are understood (the layout of the data folder's README):
span rows {"id", "question", "context", "answers": [{"text", "answer_start"}], "title"?};
answer-sentence rows {"id", "question", "candidates": [{"text", "label"}]}, which become passages whose
evidence is known and whose short answer is not; and retrieval sets, whose documents are known to answer, and no more.
Beside them stands what we wrote (`WRITTEN`): `pages/`, a retrieval set, and questions about passages of the sets,
{"passage": "SET/ID of a row with that passage", "question", "start"?, "end"?}, without a place where nothing answers.
All offsets are Unicode code points, half-open.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import random
import re
from collections import Counter
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path

from rag.evaluate.beir import beir_documents, beir_questions
from rag.evaluate.datasets import Question

Range = tuple[int, int]

WRITTEN = Path(__file__).parents[2] / "samples" / "written"
# Weight among the drawn examples, and the most rows that are read. A set that is not named here is not trained on.
MIXTURE: dict[str, tuple[float, int | None]] = {
    "squad1_train_part": (0.31, None),
    "squadshifts_new_wiki_part": (0.15, None),
    "reqa_squad_train10k": (0.13, None),
    "squadshifts_amazon_reviews": (0.06, None),
    "squadshifts_reddit": (0.06, None),
    "squad2cr_unanswerable_matched": (0.10, None),
    "qamr_devtest": (0.06, None),
    "fairytaleqa_extractive": (0.04, None),
    "policyqa_devtest": (0.03, 3000),
    "selqa_dev": (0.04, None),
    "squad2_train_extra": (0.02, None),
    "medquad": (0.09, 6000),
    "written": (0.40, None),
    "pages": (0.25, None),
}
_SENTENCE = re.compile(r"[.!?][\"'”’)\]]*\s+(?=[\"'“‘(\[]?[A-Z0-9])|\n+")


@dataclass(frozen=True)
class Row:
    """A question, a passage, and where in the passage the answer is."""

    source: str
    id: str
    question: str
    context: str
    answers: tuple[Range, ...] = ()  # ranges of the short answer; the annotators may differ
    evidence: tuple[Range, ...] = ()  # ranges known to answer, used where `answers` is empty
    group: str = ""  # article; rows of one group stay on one side of the split

    @property
    def answerable(self) -> bool:
        return bool(self.answers or self.evidence)

    @property
    def whole(self) -> bool:
        """Known to answer, nobody says where."""
        return self.evidence == ((0, len(self.context)),)


@dataclass
class Corpus:
    """The rows by source, apart for training and validation, and what was wrong with the rest."""

    train: dict[str, list[Row]]
    held: dict[str, list[Row]]
    weights: dict[str, float]
    bad: Counter[str] = field(default_factory=Counter)
    named: list[str] = field(default_factory=list)  # "source:id: why" of every bad row


def sentences(text: str) -> list[Range]:
    """The sentences (or lines) of `text` as ranges that together cover it."""
    cuts = [0, *(m.end() for m in _SENTENCE.finditer(text)), len(text)]
    return [(a, b) for a, b in pairwise(cuts) if a < b]


def span_row(source: str, raw: dict) -> Row:
    """A checked row; ValueError says what is wrong with it."""
    context, ranges = raw["context"], []
    if not raw["question"].strip() or not context.strip():
        raise ValueError("empty question or context")
    for answer in raw["answers"]:
        start, text = answer["answer_start"], answer["text"]
        if not text or start < 0 or context[start : start + len(text)] != text:
            raise ValueError(f"answer {text!r} is not at {start}")
        ranges.append((start, start + len(text)))
    if bool(raw.get("is_impossible")) == bool(ranges):
        raise ValueError("is_impossible contradicts the answers")
    group = raw.get("title") or context
    return Row(source, str(raw["id"]), raw["question"].strip(), context, tuple(ranges), (), group)


def joined(texts: list[tuple[str, bool]]) -> tuple[str, tuple[Range, ...]]:
    """Sentences joined by a blank, and the ranges of those marked as evidence."""
    context, evidence = "", []
    for text, good in texts:
        start = len(context) + bool(context)
        context = f"{context} {text}" if context else text
        if good:
            evidence.append((start, len(context)))
    return context, tuple(evidence)


def sentence_rows(source: str, raws: list[dict]) -> list[Row]:
    """Answer-sentence rows as passages. A lone positive gets its neighbours in the file's numbering around it."""
    numbered = sorted(raws, key=lambda raw: int((re.findall(r"\d+", raw["id"]) or ["0"])[-1]))
    lone = [raw["candidates"][0]["text"].strip() for raw in numbered if len(raw["candidates"]) == 1]
    around = list(dict.fromkeys(lone))
    place = {text: i for i, text in enumerate(around)}
    rows = []
    for raw in numbered:
        texts = [(c["text"].strip(), bool(c["label"])) for c in raw["candidates"] if c["text"].strip()]
        if len(raw["candidates"]) == 1:
            rng, i = random.Random(raw["id"]), place[texts[0][0]]
            first, last = max(0, i - rng.randint(0, 3)), i + 1 + rng.randint(0, 3)
            texts = [(text, text == around[i]) for text in around[first:last]]
        context, evidence = joined(texts)
        rows.append(Row(source, str(raw["id"]), raw["question"].strip(), context, (), evidence, context))
    return rows


def read(folder: Path, source: str, limit: int | None, corpus: Corpus) -> list[Row]:
    """The good rows of one set; bad ones are counted and named in `corpus`."""
    for home in (folder.parent / "retrieval", WRITTEN):
        if (home / source).is_dir():
            return sampled(document_rows(source, home / source), source, limit)
    path = next((p for ext in ("jsonl.gz", "jsonl") if (p := folder / f"{source}.{ext}").exists()), None)
    if path is None:
        return []
    rows: list[Row] = []
    raws: list[dict] = []
    with gzip.open(path, "rt", encoding="utf-8") if path.suffix == ".gz" else path.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            try:
                raw = json.loads(line)
                if "candidates" in raw:
                    raws.append(raw)
                else:
                    rows.append(span_row(source, raw))
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                corpus.bad[source] += 1
                corpus.named.append(f"{source}:{number}: {error}")
    rows += sentence_rows(source, raws)
    sizes = Counter(row.group for row in rows)  # a title over a quarter of the rows names no article
    rows = [replace(row, group=row.context) if sizes[row.group] > len(rows) / 4 else row for row in rows]
    return sampled(rows, source, limit)


def sampled(rows: list[Row], source: str, limit: int | None) -> list[Row]:
    return random.Random(source).sample(rows, limit) if limit and len(rows) > limit else rows


def document_rows(source: str, folder: Path) -> list[Row]:
    """The questions of a retrieval set, each with every document that answers it, its title first. Documents named
    GROUP/… are of one group."""
    documents = {d.id: d for d in beir_documents(folder)}
    rows = []
    for question in beir_questions(folder):
        if not isinstance(question, Question):
            continue
        for name in (name for name, gain in question.relevant.items() if gain > 0):
            context = f"{title}. {documents[name].text}" if (title := documents[name].title) else documents[name].text
            group, named, _ = name.partition("/")
            whole = ((0, len(context)),)
            rows.append(Row(source, question.id, question.question, context, (), whole, group if named else context))
    return rows


def written_rows(path: Path, sets: dict[str, list[Row]], corpus: Corpus) -> list[Row]:
    """Our own questions about passages of `sets`; one whose passage is not there is counted and named."""
    first = {f"{row.source}/{row.id}": row for rows in sets.values() for row in rows}
    found = []
    for number, line in enumerate(path.read_text("utf-8").splitlines() if path.exists() else (), 1):
        raw = json.loads(line)
        if (about := first.get(raw["passage"])) is None:
            corpus.bad["written"] += 1
            corpus.named.append(f"written:{number}: no passage {raw['passage']}")
            continue
        place = ((raw["start"], raw["end"]),) if "start" in raw else ()
        found.append(Row("written", str(number), raw["question"], about.context, place, (), about.group))
    return found


def held_groups(rows: list[Row], share: float) -> set[str]:
    """Whole groups, in the order of their hash, that make up about `share` of the rows (one group at least)."""
    sizes = Counter(row.group for row in rows)
    order = sorted(sizes, key=lambda g: hashlib.sha256(g.encode()).digest())
    held, count = set(), 0
    for group in order:
        if count + sizes[group] <= 1.2 * share * len(rows):
            held.add(group)
            count += sizes[group]
    return held or set(order[:1])


def load(folder: Path, mixture: dict[str, tuple[float, int | None]] | None = None, share: float = 0.04) -> Corpus:
    """The rows of `folder` (or of its `train/`); `share` of each set, by article, is held out for validation."""
    mixture = MIXTURE if mixture is None else mixture
    folder = folder / "train" if (folder / "train").is_dir() else folder
    corpus = Corpus({}, {}, {})
    rows = {name: found for name, (_, limit) in mixture.items() if (found := read(folder, name, limit, corpus))}
    if "written" in mixture and (found := written_rows(WRITTEN / "questions.jsonl", rows, corpus)):
        rows["written"] = found
    if not rows.keys() - {"pages"}:
        raise SystemExit(f"no training set in {folder}; expected {', '.join(mixture)} as .jsonl.gz")
    held: set[str] = set()
    for found in rows.values():
        if not any(row.group in held for row in found):
            held |= held_groups([row for row in found if row.answers] or found, share)
    passages = {row.context for found in rows.values() for row in found if row.group in held}
    text = "\n".join(passages)
    for name, found in rows.items():
        corpus.held[name] = [row for row in found if row.group in held or row.context in passages]
        out = {row.id for row in corpus.held[name]}
        corpus.train[name] = [row for row in found if row.id not in out and not leaks(row, text)]
        corpus.weights[name] = mixture[name][0]
    return corpus


def leaks(row: Row, text: str) -> bool:
    """Does a sentence row show a sentence of a held-out passage?"""
    return not row.answers and any(row.context[a:b] in text for a, b in row.evidence)
