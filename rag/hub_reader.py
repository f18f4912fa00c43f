"""Any question-answering model of the hub, by name or folder, for people who have pulled one. Slow, on torch."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from rag.errors import ModelError
from rag.spans import Logits, reading
from rag.types import Excerpt, Reading

WINDOW, STRIDE = 384, 128  # tokens, as these models were trained


class HubReader:
    """Spans and "no answer" of an extractive model; its calibrators have to be fitted (`rag evaluate calibrate`)."""

    def __init__(self, name: str, folder: Path) -> None:
        import transformers

        try:
            local = {"local_files_only": True}
            self.tokenizer = transformers.AutoTokenizer.from_pretrained(folder, use_fast=True, **local)
            model = transformers.AutoModelForQuestionAnswering.from_pretrained(folder, use_safetensors=True, **local)
            self.model = model.eval()
        except Exception as error:
            reason = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise ModelError(f"reader {name} cannot be opened: {reason}; run `rag models pull {name}`") from None
        self.name = name
        self.window = min(WINDOW, int(getattr(self.model.config, "max_position_embeddings", WINDOW)))

    def count(self, texts: Sequence[str]) -> list[int]:
        """Tokens without the special ones."""
        return [len(ids) for ids in self.tokenizer(list(texts), add_special_tokens=False)["input_ids"]] if texts else []

    def read(self, question: str, excerpts: Sequence[Excerpt]) -> list[Reading]:
        """One Reading for each excerpt, in order."""
        return [reading(excerpt, self._logits(question, excerpt.text)) for excerpt in excerpts]

    def _logits(self, question: str, text: str) -> list[Logits]:
        import torch

        asked = self.tokenizer(question, add_special_tokens=False, truncation=True, max_length=64)["input_ids"]
        encoded = self.tokenizer(
            self.tokenizer.decode(asked) if len(asked) == 64 else question,
            text,
            truncation="only_second",
            max_length=self.window,
            stride=min(STRIDE, self.window // 4),
            return_overflowing_tokens=True,
            return_offsets_mapping=True,
            padding=True,
            return_tensors="pt",
        )
        offsets = encoded.pop("offset_mapping").numpy()
        encoded.pop("overflow_to_sample_mapping", None)
        with torch.inference_mode():
            out = self.model(**encoded)
        start, end = out.start_logits.float().numpy(), out.end_logits.float().numpy()
        made = []
        for i in range(len(offsets)):
            inside = np.array([part == 1 for part in encoded.sequence_ids(i)])
            made.append(Logits(offsets[i][inside], start[i][inside], end[i][inside], float(start[i, 0] + end[i, 0])))
        return made
