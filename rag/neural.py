"""The trained reader: one pass over question and passage gives spans, evidence, relevance and the case for silence."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from rag import runtime
from rag.errors import ModelError
from rag.spans import Logits, reading
from rag.types import Excerpt, Reading

SHIPPED = Path(__file__).parent / "models" / "reader"
MAX_QUESTION = 64  # tokens; the rest of a longer question is not read


@dataclass(frozen=True, slots=True)
class _Window:
    """`ids` of the whole input, and int [n, 2] `offsets` of its n passage tokens in the excerpt's text."""

    excerpt: int
    ids: list[int]
    offsets: np.ndarray


class NeuralReader:
    """A reader folder: model.onnx, tokenizer.json, reader.json. Raises ModelError when a file is missing or damaged."""

    def __init__(self, folder: Path, threads: int) -> None:
        try:
            about: Mapping[str, Any] = json.loads((folder / "reader.json").read_text("utf-8"))
            self.max_length, self.stride = int(about["max_length"]), int(about["stride"])
            with (folder / "model.onnx").open("rb") as stream:
                digest = hashlib.file_digest(stream, "sha256").hexdigest()
            if digest != about["sha256"]:
                raise ValueError("model.onnx is damaged")
            self.name = f"{about['name']}-{digest[:8]}"
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ModelError(f"{folder}: no usable reader ({error}); reinstall pullquote") from None
        self.tokenizer = runtime.Tokenizer(folder / "tokenizer.json")
        self.model = runtime.Model(folder / "model.onnx", threads, about.get("weight_bits", 8) == 8)
        self.count = self.tokenizer.count
        self.cls, self.sep = (int(self.tokenizer.raw.token_to_id(t) or 0) for t in ("[CLS]", "[SEP]"))

    def read(self, question: str, excerpts: Sequence[Excerpt]) -> list[Reading]:
        """One Reading for each excerpt, in order. Long excerpts are read in overlapping windows."""
        seen = self.logits(question, excerpts)
        return [reading(excerpt, views) for excerpt, views in zip(excerpts, seen, strict=True)]

    def logits(self, question: str, excerpts: Sequence[Excerpt]) -> list[list[Logits]]:
        """What the model says of each excerpt, a window at a time."""
        asked = self.tokenizer.raw.encode(question, add_special_tokens=False).ids[:MAX_QUESTION]
        windows = [window for i, e in enumerate(excerpts) for window in self._windows(asked, i, e.text)]
        seen: list[list[Logits]] = [[] for _ in excerpts]
        for window, logits in zip(windows, self._run(windows, len(asked) + 2), strict=True):
            seen[window.excerpt].append(logits)
        return seen

    def _windows(self, asked: list[int], excerpt: int, text: str) -> list[_Window]:
        """[CLS] question [SEP] passage [SEP], as often as the passage needs."""
        encoding = self.tokenizer.raw.encode(text, add_special_tokens=False)
        ids, offsets = encoding.ids, np.array(encoding.offsets, dtype=np.int64).reshape(-1, 2)
        room = self.max_length - len(asked) - 3
        starts = range(0, max(1, len(ids) - self.stride), room - self.stride)
        return [
            _Window(excerpt, [self.cls, *asked, self.sep, *ids[s : s + room], self.sep], offsets[s : s + room])
            for s in starts
        ]

    def _run(self, windows: Sequence[_Window], first: int) -> list[Logits]:
        """The logits of each window; its passage tokens begin at position `first`."""
        rows = [
            {
                "input_ids": w.ids,
                "attention_mask": [1] * len(w.ids),
                "token_type_ids": [0] * first + [1] * (len(w.ids) - first),
            }
            for w in windows
        ]
        made = []
        for window, (start, end, evidence, relevance) in zip(windows, self.model.run(rows), strict=True):
            inside = slice(first, first + len(window.offsets))
            null = float(start[0] + end[0])
            made.append(Logits(window.offsets, start[inside], end[inside], null, evidence[inside], float(relevance)))
        return made
