"""Twenty policies of different quality, made from the live one, to judge the judge by."""

import copy
from collections.abc import Callable, Mapping

import torch
from torch import nn

from dialog_policy.policy import LearnedPolicy

Change = Callable[[nn.Sequential, LearnedPolicy], None]


def variants(live: LearnedPolicy) -> dict[str, LearnedPolicy]:
    """By name; each acts greedily."""
    made = {"live": live}
    for name, change in CHANGES.items():
        network = copy.deepcopy(live.network)
        with torch.no_grad():
            change(network, live)
        made[name] = LearnedPolicy(network, live.pack, name)
    return made


def _perturb(scale: float, seed: int) -> Change:
    """Noise on all weights, in shares of their own spread."""

    def change(network: nn.Sequential, _: LearnedPolicy) -> None:
        generator = torch.Generator().manual_seed(seed)
        for weights in network.parameters():
            noise = torch.randn(weights.shape, generator=generator)
            weights.add_(scale * weights.std(correction=0) * noise)

    return change


def _tilt(tilts: Mapping[str, float]) -> Change:
    """More or less of some kinds of actions."""

    def change(network: nn.Sequential, live: LearnedPolicy) -> None:
        last = network[-1]
        assert isinstance(last, nn.Linear)
        for place, action in enumerate(live.actions):
            last.bias[place] += tilts.get(action.kind, 0.0)

    return change


CHANGES: Mapping[str, Change] = {
    "hands everybody over": _tilt({"handoff": 1000}),
    "always asks again": _tilt({"ask": 1000, "rephrase": 2000, "clarify": 500, "identify": 1000}),
    "perturbed 1.0": _perturb(1.0, 1),
    "perturbed 2.0": _perturb(2.0, 2),
    "perturbed 2.5": _perturb(2.5, 3),
    "perturbed 3.0": _perturb(3.0, 4),
    "perturbed 3.5": _perturb(3.5, 5),
    "perturbed 4.0": _perturb(4.0, 6),
    "untrained": _perturb(5.0, 7),
    "clarifies more": _tilt({"clarify": 4}),
    "clarifies whenever it may": _tilt({"clarify": 1000}),
    "never clarifies": _tilt({"clarify": -1000}),
    "rephrases more": _tilt({"rephrase": 5}),
    "rephrases whenever it may": _tilt({"rephrase": 1000}),
    "hands over sooner": _tilt({"handoff": 8}),
    "hands over much sooner": _tilt({"handoff": 12}),
    "closes early": _tilt({"close": 8}),
    "never answers": _tilt({"answer": -1000, "decline": -1000}),
    "asks before it authenticates": _tilt({"ask": 6, "authenticate": -3}),
}
