"""A question-answering model as the hub has them: here a tiny one with random weights, made on the spot."""

import pytest
import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import BertConfig, BertForQuestionAnswering, PreTrainedTokenizerFast

from rag.errors import ModelError
from rag.hub_reader import HubReader
from rag.read import PassageReader, open_reader
from rag.settings import Settings
from tests.passages import FILLER, PASSAGE

WORDS = [
    "[PAD]",
    "[UNK]",
    "[CLS]",
    "[SEP]",
    *dict.fromkeys((PASSAGE + " " + FILLER).lower().replace(".", " .").split()),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("hub")
    raw = Tokenizer(models.WordPiece({word: i for i, word in enumerate(WORDS)}, unk_token="[UNK]"))
    raw.normalizer = normalizers.BertNormalizer()
    raw.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    raw.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    names = {"unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]", "pad_token": "[PAD]"}
    PreTrainedTokenizerFast(tokenizer_object=raw, **names).save_pretrained(folder)
    torch.manual_seed(0)
    shape = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    BertForQuestionAnswering(BertConfig(vocab_size=len(WORDS), max_position_embeddings=64, **shape)).save_pretrained(
        folder
    )
    return folder


def test_spans_of_every_window_lie_in_the_text(folder):
    settings = Settings(reader=str(folder))
    reader = open_reader(settings, lambda: None)
    assert isinstance(reader, HubReader)
    text = FILLER * 12 + PASSAGE
    found = PassageReader.open(settings).read("How long may maps be borrowed?", text)
    assert len(found["spans"]) == 5
    for span in found["spans"]:
        assert text[span["start"] : span["end"]] == span["text"] != ""
    assert max(span["start"] for span in found["spans"]) > 64


def test_a_name_that_is_no_reader_is_one_line(tmp_path):
    with pytest.raises(ModelError, match="rag models pull some/reader"):
        open_reader(Settings(reader="some/reader", cache=str(tmp_path)), lambda: None)
