"""One step of the generator, compiled: tokens of one or several sequences through all blocks in one call.

Weights are 8-bit rows with a scale each (or floats, with scales of one) and are read as they lie; inputs,
sums and states are floats. A step of one sequence is bound by reading weights, so of the routed experts only
the chosen ones' rows are touched, and several tokens share the reading.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple, ParamSpec, TypeVar, cast

import numba
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Integers = NDArray[np.int64]
Matrix = NDArray[Any]
"""int8, or float32 in full precision."""

P = ParamSpec("P")
R = TypeVar("R")

ZERO = np.float32(0)
ONE = np.float32(1)
MANY = 8
"""Rows from which on a product is bound by arithmetic and no longer by reading weights."""


def compiled(function: Callable[P, R]) -> Callable[P, R]:
    """Sums may be reordered, which they must be to be vectorised; infinities keep their meaning."""
    compile_ = numba.njit(nogil=True, cache=True, fastmath={"reassoc", "contract", "nsz", "arcp"})
    return cast(Callable[P, R], compile_(function))


class Weights(NamedTuple):
    """All layers' matrices, one after another. `down` is transposed: a row is what one neuron adds."""

    words: Matrix  # (vocabulary, width)
    words_scale: Floats  # (vocabulary,)
    attention_norm: Floats  # (layers, width)
    query_key_value: Matrix  # (layers, heads and groups, width)
    query_key_value_scale: Floats
    output: Matrix  # (layers, width, width)
    output_scale: Floats
    mixture_norm: Floats  # (layers, width)
    affinity: Floats  # (layers, experts, width)
    bias: Floats  # (layers, experts)
    gate: Matrix  # (layers, neurons, width)
    gate_scale: Floats
    up: Matrix  # (layers, neurons, width)
    up_scale: Floats
    down: Matrix  # (layers, neurons, width)
    down_scale: Floats  # (layers, width)
    norm: Floats  # (width,)
    cosine: Floats  # (positions, head width)
    sine: Floats


class Sizes(NamedTuple):
    heads: int
    groups: int
    shared: int
    experts: int
    expert_width: int
    top_k: int
    epsilon: float


class States(NamedTuple):
    """Keys and values of several sequences, each (slots, layers, groups, positions, head width)."""

    keys: Floats
    values: Floats


@compiled
def step(
    weights: Weights,
    sizes: Sizes,
    states: States,
    slots: Integers,
    positions: Integers,
    tokens: Integers,
    logits: Floats,
) -> None:
    """Take tokens (rows,), each at its position in its slot; fill logits (last rows, vocabulary).

    A sequence may have several rows, first position first: in each block a row sees those before it.
    """
    rows, width = len(tokens), weights.words.shape[1]
    hidden = np.empty((rows, width), np.float32)
    normed = np.empty((rows, width), np.float32)
    mixed = np.empty((rows, width), np.float32)
    parts = np.empty((rows, weights.query_key_value.shape[1]), np.float32)
    for row in range(rows):
        token = tokens[row]
        for i in range(width):
            hidden[row, i] = np.float32(weights.words[token, i]) * weights.words_scale[token]
    for layer in range(len(weights.output)):
        _normalise(hidden, weights.attention_norm[layer], sizes.epsilon, normed)
        _multiply(weights.query_key_value[layer], weights.query_key_value_scale[layer], normed, parts)
        for row in range(rows):
            keys, values = states.keys[slots[row], layer], states.values[slots[row], layer]
            turn = weights.cosine[positions[row]], weights.sine[positions[row]]
            _attend(parts[row], keys, values, positions[row], turn, sizes.heads, normed[row])
        _multiply(weights.output[layer], weights.output_scale[layer], normed, mixed)
        hidden += mixed
        _normalise(hidden, weights.mixture_norm[layer], sizes.epsilon, normed)
        _mix(weights, sizes, layer, normed, mixed)
        hidden += mixed
    ends = hidden[rows - len(logits) :]
    _normalise(ends, weights.norm, sizes.epsilon, normed)
    _multiply(weights.words, weights.words_scale, normed[: len(logits)], logits)


@compiled
def _normalise(hidden: Floats, weight: Floats, epsilon: float, normed: Floats) -> None:
    """RMSNorm of each row."""
    for row in range(len(hidden)):
        total = ZERO
        for i in range(len(weight)):
            total += hidden[row, i] * hidden[row, i]
        factor = np.float32(1 / math.sqrt(total / len(weight) + epsilon))
        for i in range(len(weight)):
            normed[row, i] = hidden[row, i] * factor * weight[i]


@compiled
def _multiply(matrix: Matrix, scale: Floats, inputs: Floats, outputs: Floats) -> None:
    """inputs (rows, in) times matrix (out, in) → outputs (rows, out); four rows share a reading."""
    rows = len(inputs)
    paired = rows - rows % 4 if rows >= MANY else 0
    even = len(matrix) - len(matrix) % 2 if paired else 0
    for out in range(0, even, 2):
        for row in range(0, paired, 4):
            _multiply_pair(matrix, scale, inputs, row, out, outputs)
    for out in range(len(matrix)):
        weight = matrix[out]
        row = paired if out < even else 0
        while row + 4 <= rows:
            first, second, third, fourth = inputs[row], inputs[row + 1], inputs[row + 2], inputs[row + 3]
            a, b, c, d = ZERO, ZERO, ZERO, ZERO
            for i in range(len(weight)):
                value = np.float32(weight[i])
                a += value * first[i]
                b += value * second[i]
                c += value * third[i]
                d += value * fourth[i]
            outputs[row, out] = a * scale[out]
            outputs[row + 1, out] = b * scale[out]
            outputs[row + 2, out] = c * scale[out]
            outputs[row + 3, out] = d * scale[out]
            row += 4
        while row < rows:
            first = inputs[row]
            a = ZERO
            for i in range(len(weight)):
                a += np.float32(weight[i]) * first[i]
            outputs[row, out] = a * scale[out]
            row += 1


@compiled
def _multiply_pair(
    matrix: Matrix, scale: Floats, inputs: Floats, row: int, out: int, outputs: Floats
) -> None:
    """Four rows of the inputs times two of the matrix: each number that is read is used twice or more."""
    upper, lower = matrix[out], matrix[out + 1]
    first, second, third, fourth = inputs[row], inputs[row + 1], inputs[row + 2], inputs[row + 3]
    a, b, c, d = ZERO, ZERO, ZERO, ZERO
    e, f, g, h = ZERO, ZERO, ZERO, ZERO
    for i in range(len(upper)):
        value, other = np.float32(upper[i]), np.float32(lower[i])
        a += value * first[i]
        b += value * second[i]
        c += value * third[i]
        d += value * fourth[i]
        e += other * first[i]
        f += other * second[i]
        g += other * third[i]
        h += other * fourth[i]
    for place, one, two in ((0, a, e), (1, b, f), (2, c, g), (3, d, h)):
        outputs[row + place, out] = one * scale[out]
        outputs[row + place, out + 1] = two * scale[out + 1]


@compiled
def _attend(
    parts: Floats,
    keys: Floats,
    values: Floats,
    position: int,
    turn: tuple[Floats, Floats],
    heads: int,
    mixed: Floats,
) -> None:
    """One token's attention; its key and value are written into keys, values (groups, positions, head)."""
    groups, _, size = keys.shape
    turned = np.empty(size, np.float32)
    shares = np.empty(position + 1, np.float32)
    scale = np.float32(1 / math.sqrt(size))
    for group in range(groups):
        _rotate(parts[(heads + group) * size :], turn, keys[group, position])
        values[group, position] = parts[(heads + groups + group) * size : (heads + groups + group + 1) * size]
    for head in range(heads):
        group = head // (heads // groups)
        _rotate(parts[head * size :], turn, turned)
        highest = np.float32(-np.inf)
        for place in range(position + 1):
            key = keys[group, place]
            share = ZERO
            for i in range(size):
                share += turned[i] * key[i]
            shares[place] = share * scale
            highest = max(highest, shares[place])
        total = ZERO
        for place in range(position + 1):
            shares[place] = np.float32(math.exp(shares[place] - highest))
            total += shares[place]
        into = mixed[head * size : (head + 1) * size]
        into[:] = ZERO
        for place in range(position + 1):
            share, value = shares[place] / total, values[group, place]
            for i in range(size):
                into[i] += share * value[i]


@compiled
def _rotate(head: Floats, turn: tuple[Floats, Floats], turned: Floats) -> None:
    cosine, sine = turn
    half = len(turned) // 2
    for i in range(half):
        turned[i] = head[i] * cosine[i] - head[i + half] * sine[i]
        turned[i + half] = head[i + half] * cosine[i + half] + head[i] * sine[i + half]


@compiled
def _mix(weights: Weights, sizes: Sizes, layer: int, normed: Floats, mixed: Floats) -> None:
    """The shared expert for all rows, each routed expert for the rows that chose it."""
    rows = len(normed)
    mixed[:] = ZERO
    gates = np.ones((rows, 1 + sizes.experts), np.float32)  # the shared expert is the first
    if sizes.experts > 1:
        for row in range(rows):
            _route(weights.affinity[layer], weights.bias[layer], normed[row], sizes.top_k, gates[row, 1:])
    stop = 0
    for expert in range(1 + sizes.experts):
        start, stop = stop, sizes.shared + expert * sizes.expert_width
        chosen = np.flatnonzero(gates[:, expert])
        if len(chosen):
            _add_expert(weights, layer, start, stop, normed, chosen, gates[:, expert], mixed)
    mixed *= weights.down_scale[layer]


@compiled
def _route(affinity: Floats, bias: Floats, hidden: Floats, top_k: int, gates: Floats) -> None:
    """moe.router.Router for one token: gates (experts,), zero for those not chosen."""
    scores = np.empty(len(bias), np.float32)
    for expert in range(len(bias)):
        row, total = affinity[expert], ZERO
        for i in range(len(hidden)):
            total += row[i] * hidden[i]
        scores[expert] = ONE / (ONE + np.float32(math.exp(-total)))
    biased = scores + bias
    gates[:] = ZERO
    kept = ZERO
    for _ in range(top_k):
        best = np.argmax(biased)
        biased[best] = -np.inf
        gates[best] = scores[best]
        kept += scores[best]
    gates *= np.float32(top_k) / max(kept, np.float32(1e-9))


@compiled
def _add_expert(
    weights: Weights,
    layer: int,
    start: int,
    stop: int,
    normed: Floats,
    rows: Integers,
    gates: Floats,
    mixed: Floats,
) -> None:
    """Add what neurons start … stop of a block give for the given rows, without the scale of `down`."""
    count, width = len(rows), normed.shape[1]
    inputs = normed[rows]
    gated = np.empty((count, stop - start), np.float32)
    raised = np.empty((count, stop - start), np.float32)
    _multiply(weights.gate[layer, start:stop], weights.gate_scale[layer, start:stop], inputs, gated)
    _multiply(weights.up[layer, start:stop], weights.up_scale[layer, start:stop], inputs, raised)
    down = weights.down[layer, start:stop]
    for n in range(count):
        for i in range(stop - start):
            value = gated[n, i]
            raised[n, i] *= gates[rows[n]] * value / (ONE + np.float32(math.exp(-value)))
    tail = (stop - start) % 4
    for block in range(0, stop - start - tail, 4):
        first, second, third, fourth = down[block], down[block + 1], down[block + 2], down[block + 3]
        for n in range(count):
            into = mixed[rows[n]]
            a, b, c, d = raised[n, block], raised[n, block + 1], raised[n, block + 2], raised[n, block + 3]
            for i in range(width):
                into[i] += (
                    a * np.float32(first[i])
                    + b * np.float32(second[i])
                    + c * np.float32(third[i])
                    + d * np.float32(fourth[i])
                )
    for neuron in range(stop - start - tail, stop - start):
        for n in range(count):
            into, a, first = mixed[rows[n]], raised[n, neuron], down[neuron]
            for i in range(width):
                into[i] += a * np.float32(first[i])
