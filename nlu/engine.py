"""A trained model for serving: its own code, with the costly parts on ONNX Runtime."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

from moe.engine import GRAIN, LARGE, EncoderEngine, round_up
from moe.graph import Graph
from moe.processor import has_matrix_unit
from moe.quantisation import SCALE, dequantise
from nlu.model import NluConfig, NluModel

THREADS = 2
"""Cores that one message or one batch is spread over."""
ENCODER = "encoder."


class WeightsError(ValueError):
    """Weights that do not belong to the configuration."""


def serving_model(
    config: NluConfig,
    packed: Mapping[str, Tensor],
    threads: int = THREADS,
    *,
    matrix_unit: bool | None = None,
) -> NluModel:
    """The model of quantised weights, as `quantise` gives them, without gradients. Raises WeightsError.

    The encoder and every LSTM are exchanged for engines that are called in the same way; all else is the
    model's own modules in full precision. The encoder's floats are never made: memory stays small.
    """
    with torch.device("meta"):
        model = NluModel(config)
    _check(model, packed)
    encoder = {name.removeprefix(ENCODER): t for name, t in packed.items() if name.startswith(ENCODER)}
    rest = dequantise({name: t for name, t in packed.items() if not name.startswith(ENCODER)})
    model.encoder = nn.Identity()  # type: ignore[assignment]
    model.load_state_dict(rest, assign=True)
    if matrix_unit is None:
        matrix_unit = has_matrix_unit()
    model.encoder = EncoderEngine(  # type: ignore[assignment]
        config.encoder, encoder, threads, matrix_unit=matrix_unit
    )
    for name, module in list(model.named_modules()):
        if isinstance(module, nn.LSTM):
            model.set_submodule(name, LstmEngine(module, threads, matrix_unit=matrix_unit))
    return model.eval().requires_grad_(False)


def _check(model: NluModel, packed: Mapping[str, Tensor]) -> None:
    expected = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    found = {name: tuple(tensor.shape) for name, tensor in packed.items() if not name.endswith(SCALE)}
    for name in expected.keys() | found.keys():
        if expected.get(name) != found.get(name):
            raise WeightsError(f"{name}: expected {expected.get(name)}, found {found.get(name)}")


class LstmEngine(nn.Module):
    """Takes the place of a bidirectional one-layer nn.LSTM over packed sequences.

    Over packed sequences PyTorch is slow, and for one message its calls cost more than their work: there ONNX
    Runtime reads. A large batch is read by PyTorch, padded and one way after the other, in bfloat16 where
    the processor has a unit for it.
    """

    def __init__(self, lstm: nn.LSTM, threads: int, *, matrix_unit: bool) -> None:
        super().__init__()
        if not lstm.bidirectional or lstm.num_layers != 1 or not lstm.bias or lstm.proj_size:
            raise ValueError("only bidirectional LSTMs of one layer, with biases, can be served")
        self.hidden_size = lstm.hidden_size
        graph = Graph()
        steps = graph.take("steps", "float32", "seq", "batch", lstm.input_size)
        lengths = graph.take("lengths", "int32", "batch")
        weights = [graph.constant(_both(lstm, kind)) for kind in ("weight_ih", "weight_hh")]
        biases = graph.constant(torch.cat([_both(lstm, "bias_ih"), _both(lstm, "bias_hh")], dim=-1))
        read = graph.add(
            "LSTM", steps, *weights, biases, lengths, direction="bidirectional", hidden_size=self.hidden_size
        )  # (seq, directions, batch, width)
        graph.name(graph.add("Transpose", read, perm=[0, 2, 1, 3]), "read")
        self._session = graph.session("read", threads)
        self.dtype = torch.bfloat16 if matrix_unit else torch.float32
        self.directions = [_one_way(lstm, suffix).to(self.dtype) for suffix in ("", "_reverse")]

    def forward(self, packed: PackedSequence) -> tuple[PackedSequence, None]:
        steps, lengths = pad_packed_sequence(packed)  # (seq, batch, width)
        if steps[..., 0].numel() >= LARGE:
            padded = F.pad(lengths, (0, -len(lengths) % GRAIN))
            read = self._read_large(round_up(steps.to(self.dtype)), padded)[: len(steps), : len(lengths)]
        else:
            inputs = {"steps": steps.numpy(), "lengths": lengths.int().numpy()}
            read = torch.from_numpy(self._session.run(None, inputs)[0]).flatten(2)
        return pack_padded_sequence(read, lengths, enforce_sorted=False), None

    def _read_large(self, steps: Tensor, lengths: Tensor) -> Tensor:
        """steps (seq, batch, width) → (seq, batch, 2 * width); messages turn round within their length."""
        onward, backward = self.directions
        places = torch.arange(len(steps))[:, None]
        turned = torch.where(places < lengths, lengths - 1 - places, places)[..., None]  # (seq, batch, 1)
        last = backward(steps.take_along_dim(turned, 0))[0].take_along_dim(turned, 0)
        return torch.cat([onward(steps)[0], last], dim=-1).float()


def _one_way(lstm: nn.LSTM, suffix: str) -> nn.LSTM:
    """One direction of a bidirectional LSTM."""
    single = nn.LSTM(lstm.input_size, lstm.hidden_size)
    names = ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0")
    single.load_state_dict({name: getattr(lstm, name + suffix) for name in names})
    return single.eval().requires_grad_(False)


def _both(lstm: nn.LSTM, kind: str) -> Tensor:
    """Weights of both directions, PyTorch's order of gates (input, forget, cell, output) put into ONNX's."""
    directions = []
    for suffix in ("", "_reverse"):
        into, forget, cell, output = getattr(lstm, f"{kind}_l0{suffix}").chunk(4)
        directions.append(torch.cat([into, output, forget, cell]))
    return torch.stack(directions)
