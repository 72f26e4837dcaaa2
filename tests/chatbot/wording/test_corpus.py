from itertools import islice

from chatbot.wording.corpus import Row, batches, collate, encode, thin_out
from chatbot.wording.request import Request
from chatbot.wording.sgd import Pair
from chatbot.wording.tokens import Tokens


def pair(say: str, reply: str | None) -> Pair:
    return Pair(Request("a", say, (), ""), reply, reply or "")


def test_what_is_said_often_is_thinned_out_and_what_is_rare_stays() -> None:
    pairs = [pair("goodbye.", "Goodbye!")] * 1000 + [pair(f"which {n}?", f"Which {n}?") for n in range(50)]
    kept = thin_out(pairs, seed=0)
    assert sum(p.request.say == "goodbye." for p in kept) < 250
    assert sum(p.request.say != "goodbye." for p in kept) == 50


def test_a_pair_without_a_reply_is_not_learnt_from(tokens: Tokens) -> None:
    assert thin_out([pair("a", None)], seed=0) == []
    assert encode([pair("a", None)], tokens) == []


def test_only_the_reply_and_its_end_are_to_be_predicted(tokens: Tokens) -> None:
    (row,) = encode([pair("It is low.", "Your balance is low.")], tokens)
    batch = collate([row], tokens.end)
    learnt = batch.tokens[batch.wanted].tolist()
    assert learnt == [*tokens.encode("Your balance is low."), tokens.end]
    assert batch.mask.sum() == len(row.tokens)


def test_every_row_is_seen_once_before_any_is_seen_twice() -> None:
    rows = [Row((number, 0), 1) for number in range(2560)]
    seen = [int(t) for batch in islice(batches(rows, (), 0, 0), 40) for t in batch.tokens[:, 0]]
    assert sorted(seen) == list(range(2560))


def test_the_same_seed_gives_the_same_batches() -> None:
    rows = [Row((number, 0), 1) for number in range(200)]
    own = [Row((1000 + number, 0), 1) for number in range(3)]
    first, second = (
        [batch.tokens.tolist() for batch in islice(batches(rows, own, 4, 0), 10)] for _ in range(2)
    )
    assert first == second
    assert any(row[0] >= 1000 for batch in first for row in batch)
