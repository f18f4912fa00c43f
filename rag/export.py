"""A sentence-transformers folder of the BERT family → one ONNX graph: ids in, pooled and normalised vectors out.

Runs once for a model, in a process of its own (`python -m rag.export FOLDER OUT [--int8]`), so that torch's memory goes
with it.
"""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

OPSET = 17


def exportable(folder: Path) -> bool:
    """True when the folder's pipeline is a BERT-like transformer, mean pooling, and normalisation."""
    try:
        modules = [m["type"].rsplit(".", 1)[-1] for m in json.loads((folder / "modules.json").read_text("utf-8"))]
        pooling = json.loads((folder / "1_Pooling" / "config.json").read_text("utf-8"))
        kind = json.loads((folder / "config.json").read_text("utf-8"))["model_type"]
    except (OSError, ValueError, KeyError):
        return False
    mean = pooling.get("pooling_mode_mean_tokens") or pooling.get("pooling_mode") == "mean"
    return kind == "bert" and modules == ["Transformer", "Pooling", "Normalize"] and bool(mean)


def export_encoder(folder: Path, out: Path) -> None:
    """Write `out`/model.onnx (int64 [n, t] ids and mask → float32 [n, d] unit vectors) and its tokenizer.json."""
    import torch
    from transformers import AutoModel

    class Pooled(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.bert = AutoModel.from_pretrained(folder, attn_implementation="eager", use_safetensors=True).eval()

        def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
            hidden = self.bert(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
            weight = attention_mask.unsqueeze(-1).to(hidden.dtype)
            mean = (hidden * weight).sum(1) / weight.sum(1).clamp(min=1e-9)
            return torch.nn.functional.normalize(mean, p=2, dim=1)

    ids = torch.ones(2, 8, dtype=torch.int64)
    free = {0: "n", 1: "t"}
    torch.onnx.export(
        Pooled(),
        (ids, torch.ones_like(ids)),
        str(out / "model.onnx"),
        input_names=["input_ids", "attention_mask"],
        output_names=["embedding"],
        dynamic_axes={"input_ids": free, "attention_mask": free, "embedding": {0: "n"}},
        opset_version=OPSET,
        dynamo=False,
    )
    shutil.copyfile(folder / "tokenizer.json", out / "tokenizer.json")


def quantise(file: Path) -> None:
    """The matrix products as int8, in place: weights with a scale a column, activations as they come.

    Weights keep to 7 bits: processors without VNNI add pairs of products in 16 bits, and 8 would overflow there.
    """
    from onnxruntime.quantization import QuantType, quantize_dynamic

    full = file.rename(file.with_suffix(".float32"))
    quantize_dynamic(full, file, ["MatMul"], per_channel=True, reduce_range=True, weight_type=QuantType.QInt8)
    full.unlink()


if __name__ == "__main__":
    export_encoder(Path(sys.argv[1]), Path(sys.argv[2]))
    if "--int8" in sys.argv[3:]:
        quantise(Path(sys.argv[2]) / "model.onnx")
