"""A tokeniser and a model small enough to build in a moment."""

import string
from pathlib import Path

import pytest
import torch
from tokenizers import Tokenizer, normalizers, pre_tokenizers
from tokenizers.models import WordPiece

from moe.encoder import EncoderConfig
from nlu.model import NluConfig, NluModel
from nlu.pieces import PieceSplitter

WORDS = "i my the to is a send move money account card lost stolen balance how much what name please dollars"

TINY = EncoderConfig(
    vocabulary=200,
    positions=192,
    hidden_width=16,
    layers=2,
    heads=2,
    shared=8,
    experts=4,
    expert_width=4,
    top_k=2,
    dropout=0.0,
)


@pytest.fixture(scope="session")
def tokenizer_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """BERT's way of cutting, with few words: all others fall into letters."""
    letters = [*string.ascii_lowercase, *string.digits, *string.punctuation]
    tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *letters, *(f"##{letter}" for letter in letters[:36])]
    tokens += [word for word in WORDS.split() if word not in tokens]
    vocabulary = {token: number for number, token in enumerate(tokens)}
    assert len(vocabulary) <= TINY.vocabulary
    tokenizer = Tokenizer(WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    path = tmp_path_factory.mktemp("tokenizer") / "tokenizer.json"
    tokenizer.save(str(path))
    return path


@pytest.fixture
def splitter(tokenizer_file: Path) -> PieceSplitter:
    return PieceSplitter(tokenizer_file)


@pytest.fixture
def model() -> NluModel:
    """Untrained, for a part of the banking pack."""
    torch.manual_seed(0)
    intents = ("transfer_money", "check_balance", "inform", "out_of_scope")
    slots = ("transfer_amount", "name", "ssn")
    return NluModel(NluConfig(intents, slots, TINY, lstm_width=8)).eval()
