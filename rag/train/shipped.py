"""The shipped int8 file → the float model that it stands for, to go on training from."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from rag.train.model import Reader, Shape

PARTS = ("qkv", "out", "up", "down")


def load(file: Path, shape: Shape = Shape()) -> Reader:  # noqa: B008 (frozen)
    """The weights of model.onnx as `rag.train.export` writes it. Raises SystemExit for any other graph."""
    import onnx
    from onnx import numpy_helper

    graph = onnx.load(file).graph
    values = {i.name: numpy_helper.to_array(i) for i in graph.initializer}
    products = {n.name: n.input[1] for n in graph.node if n.op_type in ("MatMulInteger", "MatMul", "Gemm")}

    def plain(name: str) -> np.ndarray:
        """A tensor by name, its int8 undone."""
        if name in values:
            base = name.removesuffix("_quantized")
            if base == name:
                return values[name]
            zero, scale = values[f"{base}_zero_point"], values[f"{base}_scale"]
            return (values[name].astype(np.float32) - zero.astype(np.float32)) * scale
        return plain(f"{name}_quantized")

    def matrix(place: str) -> np.ndarray:
        """The weight [outputs, inputs] of the linear layer at `place`."""
        found = next(n for key, n in products.items() if key.startswith(f"/{place}/"))
        return plain(found).T

    state: dict[str, np.ndarray] = {}
    try:
        for name in ("words.weight", "places.weight", "kinds.weight", "norm.weight", "norm.bias"):
            state[name] = plain(name)
        for head in ("span", "pool", "relevance"):
            state[f"{head}.weight"], state[f"{head}.bias"] = matrix(head), plain(f"{head}.bias")
        for i in range(shape.layers):
            for norm in ("norm1", "norm2"):
                for kind in ("weight", "bias"):
                    state[f"encoder.{i}.{norm}.{kind}"] = plain(f"encoder.{i}.{norm}.{kind}")
            for part in PARTS:
                place = f"encoder.{i}.{part}"
                state[f"{place}.weight"] = matrix(place.replace(f"{i}.", f"{i}/")) * plain(f"{place}.inverse")
                state[f"{place}.bias"] = plain(f"{place}.linear.bias")
        model = Reader(shape)
        model.load_state_dict({name: torch.from_numpy(value.copy()) for name, value in state.items()})
    except (KeyError, StopIteration, RecursionError, RuntimeError) as error:
        raise SystemExit(f"{file}: not a reader of this shape ({error}); give --from LAST.pt") from None
    return model.eval()
