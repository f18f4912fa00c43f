"""From weights to the files that ship: ONNX, int8, a tokenizer without truncation or padding, and reader.json."""

from __future__ import annotations

import copy
import dataclasses
import hashlib
import json
import os
import tempfile
import warnings
from collections.abc import Callable, Iterable
from pathlib import Path

import torch
from torch import Tensor, nn

from rag.train.examples import Batch, open_tokenizer
from rag.train.loop import Recipe
from rag.train.model import OUTPUTS, Reader

INPUTS = ("input_ids", "attention_mask", "token_type_ids")
OPSET = 17
LIMIT = 30_000_000  # bytes; what the repository takes


def to_onnx(model: Reader, path: Path) -> None:
    """The float32 graph: int64 [B, T] inputs, float32 outputs, both axes free."""
    free = {0: "batch", 1: "length"}
    names = dict.fromkeys((*INPUTS, *OUTPUTS[:3]), free) | {OUTPUTS[3]: {0: "batch"}}
    example = torch.ones(2, 8, dtype=torch.int64)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            model.eval(),
            (example, example, torch.zeros_like(example)),
            str(path),
            input_names=list(INPUTS),
            output_names=list(OUTPUTS),
            dynamic_axes=names,
            opset_version=OPSET,
            dynamo=False,
        )


class Smoothed(nn.Module):
    """A linear layer whose input channels are first brought to a like size; the weights take the factor back."""

    def __init__(self, linear: nn.Linear, size: Tensor) -> None:
        super().__init__()
        self.inverse = nn.Parameter(1 / size)  # [inputs]
        self.linear = copy.deepcopy(linear)
        self.linear.weight.data *= size

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(x * self.inverse)


def smoothed(model: Reader, sample: Iterable[Batch], strength: float = 0.7) -> Reader:
    """The same function in a form that int8 hurts less (SmoothQuant).

    A few channels are much larger than the rest, and an activation has one scale. `sample` shows how large each gets.
    """
    model = copy.deepcopy(model).eval()
    layers = {n: x for n, x in model.encoder.named_modules() if isinstance(x, nn.Linear)}
    largest: dict[str, Tensor] = {}

    def watch(name: str) -> Callable[[nn.Module, tuple[Tensor], Tensor], None]:
        def hook(_: nn.Module, inputs: tuple[Tensor], __: Tensor) -> None:
            top = inputs[0].detach().abs().flatten(0, 1).amax(0)
            largest[name] = torch.maximum(largest.get(name, top), top)

        return hook

    hooks = [layer.register_forward_hook(watch(name)) for name, layer in layers.items()]
    with torch.inference_mode():
        for batch in sample:
            model(batch.input_ids, batch.attention_mask, batch.token_type_ids)
    for hook in hooks:
        hook.remove()
    for name in largest:
        weight = layers[name].weight.detach().abs().amax(0).clamp(min=1e-4)
        size = largest[name].clone().clamp(min=1e-4) ** strength / weight ** (1 - strength)
        index, part = name.split(".")
        setattr(model.encoder[int(index)], part, Smoothed(layers[name], size / size.mean()))
    return model


def quantised(source: Path, target: Path) -> None:
    """Weights and embeddings as int8 (one scale a column), activations quantised as they come. The heads stay float.

    Weights keep to 7 bits: processors without VNNI add pairs of products in 16 bits, and 8 would overflow there.
    """
    import onnx
    from onnxruntime.quantization import QuantType, quantize_dynamic

    nodes = onnx.load(source).graph.node
    heads = [n.name for n in nodes if "encoder" not in n.name and n.op_type in ("MatMul", "Gemm")]
    quantize_dynamic(
        source,
        target,
        per_channel=True,
        reduce_range=True,
        weight_type=QuantType.QInt8,
        op_types_to_quantize=["MatMul", "Gemm", "Gather"],
        nodes_to_exclude=heads,
    )


def ship(
    model: Reader, tokenizer: Path, out: Path, recipe: Recipe, facts: dict, sample: list[Batch], int8: bool = True
) -> None:
    """Write model.onnx, tokenizer.json and reader.json to `out`; reader.json comes last and vouches for the rest.

    `facts` is added to reader.json; `sample` is what the int8 scales are measured on.
    """
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out, prefix=".new-") as folder:
        full, small = Path(folder, "full.onnx"), Path(folder, "model.onnx")
        to_onnx(smoothed(model, sample) if int8 else model, full)
        if int8:
            quantised(full, small)
            if small.stat().st_size > LIMIT:
                raise SystemExit(f"the model has {small.stat().st_size} bytes; at most {LIMIT} may ship")
        else:
            os.replace(full, small)
        os.replace(small, out / "model.onnx")
    open_tokenizer(str(tokenizer)).save(str(out / "tokenizer.json"))
    about = {
        "name": "pullquote-reader",
        "version": 1,
        "precision": "int8" if int8 else "float32",
        "weight_bits": 7 if int8 else 32,
        "sha256": hashlib.sha256((out / "model.onnx").read_bytes()).hexdigest(),
        "inputs": INPUTS,
        "outputs": OUTPUTS,
        "max_length": recipe.longest,
        "stride": 64,
        "max_answer_tokens": 30,
        "recipe": recipe.digest(),
        "settings": dataclasses.asdict(recipe),
    }
    (out / "reader.json").write_text(json.dumps(about | facts, indent=1) + "\n", encoding="utf-8")
