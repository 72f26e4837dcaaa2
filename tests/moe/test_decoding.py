"""The serving engine, held against the networks whose weights it runs."""

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from moe.decoding import CALLERS, GeneratorEngine, PromptError, arrange
from moe.generator import GeneratorConfig, MixtureGenerator
from moe.kernels import Sizes, step
from moe.prompt_reader import PromptReader
from moe.quantisation import dequantise, quantise
from moe.slots import Slots
from moe.upcycling import load_llama
from tests.moe.test_generator import llama

TINY = GeneratorConfig(
    vocabulary=60,
    hidden_width=48,
    layers=3,
    heads=6,
    key_value_heads=2,
    shared=34,
    experts=5,
    expert_width=14,
    top_k=2,
    positions=64,
)
NONE = -1
"""No token ends the reply."""
PROMPTS = [[3, 7, 9, 1, 20, 55, 23], [3, 7, 9, 1, 30, 5], [8], [3, 7, 9, 1, 20, 55, 2, 4, *range(20, 50)]]


def lively(model: MixtureGenerator) -> MixtureGenerator:
    """Blocks that count for more than the embeddings: an untrained model repeats its last token for ever."""
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.ndim == 2:
                parameter.mul_(0.1 if name.startswith("words") else 4)
        for number, mixture in enumerate(model.mixtures()):
            mixture.router.bias.copy_(torch.linspace(-0.1, 0.1, mixture.experts).roll(number))
    return model.eval().requires_grad_(False)


@pytest.fixture(scope="module")
def mixture() -> MixtureGenerator:
    torch.manual_seed(0)
    return lively(MixtureGenerator(TINY))


@pytest.fixture(scope="module")
def engine(mixture: MixtureGenerator) -> GeneratorEngine:
    return GeneratorEngine(TINY, mixture.state_dict(), matrix_unit=False)


@torch.inference_mode()
def expected(
    logits: Callable[[Tensor], Tensor],
    prompt: Sequence[int],
    limit: int,
    allowed: Callable[[Sequence[int]], NDArray[np.bool_]] | None = None,
) -> list[int]:
    """Greedy decoding without any cache."""
    found: list[int] = []
    while len(found) < limit:
        scores = logits(torch.tensor([[*prompt, *found]]))[0, -1]
        if allowed is not None:
            scores = scores.masked_fill(~torch.from_numpy(allowed(found)), -torch.inf)
        found.append(int(scores.argmax()))
    return found


def of(model: MixtureGenerator) -> Callable[[Tensor], Tensor]:
    return lambda tokens: model.logits(model(tokens))


@pytest.mark.parametrize("prompt", PROMPTS, ids=len)
def test_the_mixture_writes_what_its_network_would_write(
    engine: GeneratorEngine, mixture: MixtureGenerator, prompt: list[int]
) -> None:
    written = list(engine.generate(prompt, 20, NONE))
    assert written == expected(of(mixture), prompt, 20)
    assert len(set(written)) > 3


def test_the_dense_twin_writes_what_transformers_llama_writes() -> None:
    model = llama(seed=1, neurons=104, initializer_range=0.2)
    dense = MixtureGenerator(TINY.dense_twin)
    load_llama(dense, model.state_dict(), [0, 1, 2], range(60))
    engine = GeneratorEngine(TINY.dense_twin, dense.state_dict(), matrix_unit=False)
    for prompt in PROMPTS:
        written = list(engine.generate(prompt, 20, NONE))
        assert written == expected(lambda tokens: model(input_ids=tokens).logits, prompt, 20)


def test_eight_bit_weights_give_what_they_stand_for(mixture: MixtureGenerator) -> None:
    packed = quantise(mixture.state_dict())
    rounded = MixtureGenerator(TINY)
    rounded.load_state_dict(dequantise(packed))
    engine = GeneratorEngine(TINY, packed, matrix_unit=False)
    for prompt in PROMPTS:
        assert list(engine.generate(prompt, 20, NONE)) == expected(of(rounded.eval()), prompt, 20)


def test_a_prompt_read_by_the_matrix_unit_leaves_nearly_the_same_states(mixture: MixtureGenerator) -> None:
    prompt, weights = PROMPTS[-1], mixture.state_dict()
    coarse, exact = Slots(TINY, 1).states, Slots(TINY, 1).states
    PromptReader(TINY, weights).read(prompt, 0, coarse, 0)
    sizes = Sizes(6, 2, 34, 5, 14, 2, TINY.norm_epsilon)
    rows = np.zeros(len(prompt), np.int64), np.arange(len(prompt)), np.array(prompt)
    step(arrange(TINY, weights), sizes, exact, *rows, np.empty((1, 60), np.float32))
    for found, wanted in zip(coarse, exact, strict=True):
        found, wanted = (part[0, :, :, : len(prompt)] for part in (found, wanted))
        assert not np.array_equal(found, wanted)
        assert np.abs(found - wanted).mean() < 0.02 * np.abs(wanted).mean()


def test_the_matrix_unit_reads_long_prompts_up_to_the_last_token(
    mixture: MixtureGenerator, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[list[int]] = []
    real = PromptReader.read

    def watched(self: PromptReader, tokens: Sequence[int], *rest: object) -> None:
        read.append(list(tokens))
        real(self, tokens, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(PromptReader, "read", watched)
    engine = GeneratorEngine(TINY, mixture.state_dict(), matrix_unit=True)
    for prompt in (PROMPTS[-1], PROMPTS[0]):
        assert len(list(engine.generate(prompt, 5, NONE))) == 5
    assert read == [PROMPTS[-1][:-1]]


@pytest.fixture
def stepped(monkeypatch: pytest.MonkeyPatch) -> list[list[int]]:
    """The tokens of each step."""
    import moe.decoding

    taken: list[list[int]] = []
    real = moe.decoding.step

    def watched(*arguments: object) -> None:
        taken.append(list(arguments[-2]))  # type: ignore[call-overload]
        real(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(moe.decoding, "step", watched)
    return taken


def test_a_beginning_that_was_read_before_is_not_read_again_and_gives_the_same_tokens(
    mixture: MixtureGenerator, stepped: list[list[int]]
) -> None:
    fresh = GeneratorEngine(TINY, mixture.state_dict(), matrix_unit=False)
    stepped.clear()
    first, second, _, last = PROMPTS
    replies = [list(fresh.generate(prompt, 12, NONE)) for prompt in (first, second, first, last)]
    assert [tokens for tokens in stepped if len(tokens) > 1] == [first, second[4:], last[6:]]
    wanted = [expected(of(mixture), prompt, 12) for prompt in (first, second, first, last)]
    assert replies == wanted


def test_a_prompt_that_goes_on_from_a_reply_finds_it_read(
    mixture: MixtureGenerator, stepped: list[list[int]]
) -> None:
    fresh = GeneratorEngine(TINY, mixture.state_dict(), matrix_unit=False)
    reply = list(fresh.generate(PROMPTS[0], 10, NONE))
    stepped.clear()
    assert list(fresh.generate([*PROMPTS[0], *reply[:6]], 4, NONE)) == reply[6:]
    assert max(map(len, stepped)) == 1


def test_callers_at_the_same_time_get_what_each_would_get_alone(
    engine: GeneratorEngine, mixture: MixtureGenerator
) -> None:
    numbers = np.random.default_rng(0)
    prompts = [numbers.integers(0, 60, size).tolist() for size in range(2, CALLERS + 8)]
    start = threading.Barrier(len(prompts))

    def call(prompt: list[int]) -> list[int]:
        start.wait()
        return list(engine.generate(prompt, 15, NONE))

    with ThreadPoolExecutor(len(prompts)) as pool:
        replies = list(pool.map(call, prompts))
    assert replies == [expected(of(mixture), prompt, 15) for prompt in prompts]


def test_steps_that_wait_are_taken_in_one_call(
    mixture: MixtureGenerator, monkeypatch: pytest.MonkeyPatch
) -> None:
    import moe.decoding

    sizes: list[int] = []
    real = moe.decoding.step

    def watched(*arguments: object) -> None:
        sizes.append(len(arguments[-1]))  # type: ignore[arg-type]
        time.sleep(0.005)  # the others come meanwhile
        real(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(moe.decoding, "step", watched)
    engine = GeneratorEngine(TINY, mixture.state_dict(), threads=1, matrix_unit=False)
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(lambda n: list(engine.generate([n, n + 1], 30, NONE)), range(6)))
    assert sum(sizes) == 6 * 30 + 1
    assert max(sizes) > 1


def test_only_allowed_tokens_are_written(engine: GeneratorEngine, mixture: MixtureGenerator) -> None:
    def rising(found: Sequence[int]) -> NDArray[np.bool_]:
        return np.arange(60) > (found[-1] if found else 10)

    reply = list(engine.generate(PROMPTS[0], 6, NONE, rising))
    assert reply == sorted(set(reply))
    assert reply == expected(of(mixture), PROMPTS[0], 6, rising)


@pytest.mark.parametrize("permitted", [np.zeros(60, np.bool_), np.ones(59, np.bool_)])
def test_a_mask_that_allows_nothing_or_fits_not_is_refused(
    engine: GeneratorEngine, permitted: NDArray[np.bool_]
) -> None:
    with pytest.raises(ValueError, match="at least one of 60 tokens"):
        list(engine.generate([1, 2], 5, NONE, lambda _: permitted))
    assert len(list(engine.generate([1, 2], 5, NONE))) == 5


def test_the_reply_ends_before_the_end_token(engine: GeneratorEngine) -> None:
    whole = list(engine.generate(PROMPTS[0], 20, NONE))
    end = next(token for token in whole if token != whole[0])
    assert list(engine.generate(PROMPTS[0], 20, end)) == whole[: whole.index(end)]


def test_tokens_come_one_by_one_and_a_reply_may_be_left(engine: GeneratorEngine) -> None:
    whole = list(engine.generate(PROMPTS[1], 8, NONE))
    for _ in range(CALLERS + 1):  # each leaves its room to the next
        reply = engine.generate(PROMPTS[1], 8, NONE)
        assert [next(reply), next(reply)] == whole[:2]
        reply.close()  # type: ignore[attr-defined]


def test_a_prompt_over_the_context_is_refused_before_anything_is_done(engine: GeneratorEngine) -> None:
    with pytest.raises(PromptError, match="60 tokens of prompt and 5 of reply do not fit the 64 positions"):
        engine.generate([1] * 60, 5, NONE)
    assert len(list(engine.generate([1] * 59, 5, NONE))) == 5


@pytest.mark.parametrize("prompt", [[], [60], [4, -1]])
def test_a_prompt_without_or_with_unknown_tokens_is_refused(
    engine: GeneratorEngine, prompt: list[int]
) -> None:
    with pytest.raises(PromptError, match="between 0 and 59"):
        engine.generate(prompt, 5, NONE)


def test_weights_of_another_configuration_are_refused(mixture: MixtureGenerator) -> None:
    with pytest.raises(ValueError, match=r"do not fit its configuration: .* is \(5, 48\), not \(1, 48\)"):
        GeneratorEngine(TINY.dense_twin, mixture.state_dict())
    with pytest.raises(ValueError, match=r"attention\.output\.weight is nothing"):
        GeneratorEngine(TINY, {"words.weight": torch.zeros(60, 48)})
