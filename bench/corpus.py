"""Real text and vectors to measure with: documentation that Debian ships, and mixtures of it for large sizes.

Nothing of it is committed: the packages come from the machine's own Debian mirror (`apt-get download`), or `--docs`
names a folder of HTML files. Passages and their vectors are kept in build/bench/ and made once.
"""

from __future__ import annotations

import argparse
import gzip
import json
import subprocess
import sys
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np

from rag.chunk import chunk
from rag.embed import Encoder, open_encoder
from rag.errors import RagError
from rag.load import load
from rag.rows import Record, digest
from rag.settings import Settings
from rag.types import Document, Passage, Unit

WORK = Path("build/bench")
PACKAGES = ("postgresql-doc-15", "python3.11-doc", "debian-handbook")
PART = 20  # passages of one made document
HELD = 300  # passages that are never indexed: questions are made of them


@dataclass(frozen=True, slots=True)
class Corpus:
    """Texts of passages with their float32 unit vectors [n, d], and questions [q, d] made of other passages."""

    texts: list[str]
    vectors: np.ndarray
    questions: list[str]
    asked: np.ndarray
    encoder: Encoder

    def records(self, many: int, mixed: bool) -> Iterator[Record]:
        """`many` passages as documents of 20. Real ones as they are; mixed ones have the beginning of one passage
        and the end of another, and the vector between theirs."""
        rng = np.random.default_rng(0)
        real = self.vectors
        for first in range(0, many, PART):
            size = min(PART, many - first)
            if mixed:
                pairs = rng.integers(0, len(self.texts), (size, 2))
                share = rng.uniform(0.2, 0.8, (size, 1)).astype(np.float32)
                vectors = share * real[pairs[:, 0]] + (1 - share) * real[pairs[:, 1]]
                vectors += rng.normal(0, 0.01, vectors.shape).astype(np.float32)
                vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
                parts = [_mixed(self.texts[i], self.texts[j]) for i, j in pairs]
            else:
                parts, vectors = self.texts[first : first + size], real[first : first + size]
            yield _record(first // PART, parts, vectors)


def arguments(about: str | None) -> argparse.ArgumentParser:
    """The options that every benchmark has."""
    parser = argparse.ArgumentParser(description=about)
    parser.add_argument("--docs", metavar="DIR", help="a folder of HTML files instead of Debian's packages")
    parser.add_argument("--real", type=int, default=10_000, metavar="N", help="real passages to make (default 10000)")
    return parser


def corpus(options: argparse.Namespace) -> Corpus:
    """The first `options.real` passages with vectors; made when they are not there yet."""
    encoder = open_encoder(Settings())
    texts = _texts(options.real + HELD, options.docs, encoder)
    if len(texts) < options.real + HELD:
        raise SystemExit(f"only {len(texts)} passages there; give --real {len(texts) - HELD}")
    held, texts = texts[:HELD], texts[HELD:]
    questions = [" ".join(text.split()[:10]) for text in held]
    return Corpus(texts, _vectors(texts, encoder), questions, encoder.encode(questions), encoder)


def _texts(many: int, docs: str | None, encoder: Encoder) -> list[str]:
    file = WORK / "passages.jsonl"
    lines = file.read_text("utf-8").splitlines() if file.exists() and not docs else []
    if len(lines) < many:
        WORK.mkdir(parents=True, exist_ok=True)
        lines = [
            json.dumps(text) for text in islice(_passages(Path(docs) if docs else packages(PACKAGES), encoder), many)
        ]
        file.write_text("\n".join(lines), "utf-8")
    return [json.loads(line) for line in lines[:many]]


def packages(names: Sequence[str]) -> Path:
    """The folder with these documentation packages, unpacked, a folder each."""
    docs = WORK / "docs"
    for name in names:
        if not (docs / name / "usr").exists():
            print(f"fetching {name} …", file=sys.stderr)
            debs = WORK / "debs"
            debs.mkdir(parents=True, exist_ok=True)
            (docs / name).mkdir(parents=True, exist_ok=True)
            subprocess.run(["apt-get", "download", "-q", name], cwd=debs, check=True, capture_output=True)
            subprocess.run(["dpkg-deb", "-x", next(debs.glob(f"{name}_*.deb")), docs / name], check=True)
    return docs


def _passages(docs: Path, encoder: Encoder) -> Iterator[str]:
    """Passages of at least 200 characters, each once, from files in an order that mixes the books."""
    files = [f for f in docs.rglob("*.html*") if "debian-handbook" not in str(f) or "/en-US/" in str(f)]
    seen: set[str] = set()
    for file in sorted(files, key=lambda f: zlib.crc32(str(f.relative_to(docs)).encode())):
        data = file.read_bytes()
        try:
            loaded = load(gzip.decompress(data) if file.suffix == ".gz" else data, file.name.removesuffix(".gz"))
        except RagError:
            continue
        for document in loaded.documents:
            for passage in chunk(document, encoder.count):
                text = " ".join(document.text[passage.start : passage.end].split())
                if len(text) >= 200 and text not in seen:
                    seen.add(text)
                    yield text


def _vectors(texts: list[str], encoder: Encoder) -> np.ndarray:
    """Kept as float16 on disk, made in steps so that a stopped run goes on; another model or precision starts anew."""
    file = WORK / f"vectors-{zlib.crc32(encoder.encode(texts[:8]).tobytes()):08x}.npy"
    made = np.load(file) if file.exists() else np.empty((0, encoder.dimension), np.float16)
    while len(made) < len(texts):
        some = texts[len(made) : len(made) + 2000]
        made = np.concatenate([made, encoder.encode(some).astype(np.float16)])
        np.save(file, made)
        print(f"embedded {len(made)} of {len(texts)} passages", file=sys.stderr)
    vectors = made[: len(texts)].astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def _mixed(one: str, other: str) -> str:
    first, second = one.split(), other.split()
    return " ".join(first[: len(first) // 2] + second[len(second) // 2 :])


def _record(n: int, parts: list[str], vectors: np.ndarray) -> Record:
    """Document `n`: its collection holds a thousandth of all documents, its date ("2020-…") a hundredth."""
    name = f"page/{n}"
    date = "2020-01-01" if n % 100 == 0 else "2025-01-01"
    document = Document(name, "\n\n".join(parts), f"Page {n}", name, f"c{n % 1000}", date)
    at, passages = 0, []
    for part in parts:
        passages.append(Passage(name, at, at + len(part), (Unit(at, at + len(part)),)))
        at += len(part) + 2
    marks = tuple(digest(p, part) for p, part in zip(passages, parts, strict=True))
    return Record("", name, document, tuple(passages), marks, tuple(v.tobytes() for v in vectors.astype(np.float16)))


def main() -> None:
    """Make the passages, so that no other benchmark has to."""
    made = corpus(arguments(__doc__).parse_args())
    tokens = sum(made.encoder.count(made.texts))
    print(json.dumps({"bench": "corpus", "passages": len(made.texts), "tokens_each": round(tokens / len(made.texts))}))


if __name__ == "__main__":
    main()
