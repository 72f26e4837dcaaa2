"""Which words counted: the parts add up to the whole, and belong to the right words."""

import pytest
import torch

from domains.schema import Pack
from moe.layers import SelfAttention
from nlu.calibration import Calibration
from nlu.explanation import explain
from nlu.model import NluModel
from nlu.parser import Parser, load_parser
from nlu.pieces import PieceSplitter
from tests.shipped import SETTINGS, shipped_models

TEXT = "Please  send $50 to Zoe's account"


@pytest.fixture
def parser(model: NluModel, splitter: PieceSplitter, pack: Pack) -> Parser:
    with torch.no_grad():
        model.intent_head.weight.mul_(5)  # an untrained model is hardly sure of anything
    return Parser(model, splitter, Calibration(1.3, 0.4), pack)


def test_the_parts_add_up_to_what_the_words_change(parser: Parser) -> None:
    found = explain(parser, TEXT, ["my card is lost"], "transfer_amount")
    assert abs(found.probability - found.unknown) > 0.02
    assert abs(found.gap) < 0.03 * abs(found.probability - found.unknown)
    assert found.before != 0
    assert explain(parser, TEXT).before == 0


def test_the_probability_is_the_parsers_own(parser: Parser) -> None:
    found = explain(parser, TEXT)
    with torch.no_grad():
        scores = parser.model(parser.splitter([TEXT], [()])).intents / 1.3
    assert found.probability == pytest.approx(float(scores.softmax(-1).max()))


def test_every_word_of_the_message_has_its_column(parser: Parser) -> None:
    found = explain(parser, TEXT)
    assert [TEXT[start:end] for start, end in found.spans] == TEXT.split()
    assert found.words.shape == (6,)
    assert found.attention.shape == (2, 6)
    assert found.experts.shape == (2, 4, 6)


def test_unknown_words_alone_explain_nothing(parser: Parser) -> None:
    parser.model.spelling = None
    parser.model.lstm = torch.nn.LSTM(16, 8, batch_first=True, bidirectional=True)
    found = explain(parser, "☃ ☃")
    assert found.probability == pytest.approx(found.unknown)
    assert found.words.tolist() == [0, 0]


def test_attention_and_gates_are_shares(parser: Parser) -> None:
    found = explain(parser, TEXT, ["my card is lost"])
    assert (found.attention >= 0).all()
    assert (found.attention.sum(1) < 1).all()  # the rest goes to marks and to what was said before
    assert found.experts.sum(1) == pytest.approx(2)  # the gates of a token add up to top_k


def test_shares_are_what_attention_mixes_with() -> None:
    torch.manual_seed(0)
    attention = SelfAttention(8, 2)
    hidden, mask = torch.randn(2, 5, 8), torch.tensor([[True] * 5, [True] * 3 + [False] * 2])
    shares = attention.shares(hidden, mask)
    value = attention.query_key_value(hidden)[..., 16:].unflatten(-1, (2, 4)).transpose(1, 2)
    mixed = (shares @ value).transpose(1, 2).flatten(-2)
    torch.testing.assert_close(attention.output(mixed), attention(hidden, mask))
    assert (shares[1, ..., 3:] == 0).all()


@pytest.mark.parametrize("text", ["", "🙂", "a " * 300, "x" * 400])
def test_odd_messages_are_explained_as_well(parser: Parser, text: str) -> None:
    found = explain(parser, text, steps=4)
    assert len(found.words) == len(found.spans) >= 1


@pytest.mark.shipped
def test_the_words_that_name_the_wish_count_most() -> None:
    pack = shipped_models()[0]
    parser = load_parser(SETTINGS.models / "nlu", pack, full_precision=True)
    text = "hello there, what is my balance please"
    found = explain(parser, text)
    words = [text[start:end] for start, end in found.spans]
    assert found.intent == "check_balance"
    assert words[int(found.words.argmax())] == "balance"
    assert abs(found.gap) < 0.05
