"""Who chooses the next action: hand-written rules, or a trained network."""

import itertools
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, Self

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor, nn

from dialog_policy.features import FEATURE_VERSION, feature_names, observe
from dialog_policy.rules import action_set, allowed
from domains.schema import Pack
from storage.actions import Action
from storage.records import Decision
from storage.state import DialogueState

WEIGHTS, CONFIG = "policy.safetensors", "config.json"


class PolicyError(Exception):
    """A policy that cannot be used; the message names the file and what to do."""


@dataclass(frozen=True)
class Choice:
    """One decision with everything that is logged about it."""

    action: Action
    observation: NDArray[np.float32]
    mask: NDArray[np.bool_]
    probability: float
    explored: bool = False
    """Whether another action might have been drawn here or elsewhere in the conversation."""
    shadow: tuple[str, Action] | None = None
    """Version and action of a policy that only says what it would do."""

    def logged(self, action: Action, policy_version: str) -> Decision:
        """As it is written down; `action` is the one chosen, with its argument."""
        shadow_version, shadow_action = self.shadow or (None, None)
        return Decision(
            observation=tuple(self.observation.tolist()),
            feature_version=FEATURE_VERSION,
            mask=tuple(self.mask.tolist()),
            action=str(action),
            probability=self.probability,
            policy_version=policy_version,
            explored=self.explored,
            shadow_version=shadow_version,
            shadow_action=str(shadow_action) if shadow_action else None,
        )


class Policy(Protocol):
    version: str

    def choose(self, state: DialogueState) -> Choice: ...


class Policies(Protocol):
    """Who decides in which conversation."""

    def of(self, conversation_id: str, version: str | None) -> Policy: ...


class EveryConversation:
    """A policy that decides in every conversation."""

    def of(self, conversation_id: str, version: str | None) -> Self:
        return self


class RulePolicy(EveryConversation):
    """The hand-written baseline: thresholds for asking back, then a fixed order of what comes first."""

    version = "rules"

    def __init__(self, pack: Pack, clarify_below: float = 0.7) -> None:
        self.pack, self.clarify_below = pack, clarify_below
        self.actions = action_set(pack)

    def choose(self, state: DialogueState) -> Choice:
        """The first action of `_wanted` that the rules allow."""
        mask = allowed(state, self.pack, self.actions)
        permitted = {action for action, ok in zip(self.actions, mask, strict=True) if ok}
        action = next(a for a in self._wanted(state) if a in permitted)
        return Choice(action, observe(state, self.pack, self.actions), mask, 1.0)

    def _wanted(self, state: DialogueState) -> list[Action]:
        handoff = Action("handoff")
        if state.locked and state.needs_authentication(self.pack):
            return [handoff]
        if state.may_want_person:
            return [Action("clarify"), handoff] if state.top_probability < self.clarify_below else [handoff]
        wanted = [Action("cancel"), Action("greet")]
        unsure = 0 < max(state.task_confidence, state.question_confidence) < self.clarify_below
        if unsure and state.alternatives:
            wanted.append(Action("clarify"))
        wanted += [
            Action("answer"),
            Action("decline"),
            Action("authenticate"),
            Action("execute"),
            Action("confirm"),
            Action("identify"),
        ]
        wanted += [Action("ask", slot) for slot in (*state.invalid, *state.missing(self.pack))]
        if state.goodbye:
            wanted.append(Action("close"))
        if state.failures and not state.results and state.last_action != "decline":
            wanted.append(Action("rephrase"))
        return [*wanted, Action("offer_more"), Action("rephrase"), handoff]


class LearnedPolicy(EveryConversation):
    """A trained actor: a small network over the observation, masked by the rules.

    It acts greedily, so that the probability of what it does is 1.
    """

    def __init__(self, network: nn.Sequential, pack: Pack, version: str) -> None:
        self.network, self.pack, self.version = network.eval(), pack, version
        self.actions = action_set(pack)

    def choose(self, state: DialogueState) -> Choice:
        mask = allowed(state, self.pack, self.actions)
        observation = observe(state, self.pack, self.actions)
        scores = self.scores(observation).masked_fill(~torch.from_numpy(mask), -torch.inf)
        return Choice(self.actions[int(scores.argmax())], observation, mask, 1.0)

    def probabilities(self, observation: NDArray[np.float32], mask: NDArray[np.bool_]) -> NDArray[np.float32]:
        """(actions,) as in training, where actions were sampled; forbidden ones have none."""
        scores = self.scores(observation).masked_fill(~torch.from_numpy(mask), -torch.inf)
        probabilities: NDArray[np.float32] = scores.softmax(0).numpy()
        return probabilities

    @torch.inference_mode()
    def scores(self, observation: NDArray[np.float32]) -> Tensor:
        """(actions,) unmasked logits."""
        scores: Tensor = self.network(torch.from_numpy(observation))
        return scores


def actor(sizes: list[int]) -> nn.Sequential:
    """Linear layers with tanh between them, as stable-baselines3 builds them."""
    layers: list[nn.Module] = []
    for width, following in itertools.pairwise(sizes):
        layers += [nn.Linear(width, following), nn.Tanh()]
    return nn.Sequential(*layers[:-1])


def load_policy(folder: Path, pack: Pack) -> LearnedPolicy:
    """Read a policy that train.py wrote. Raises PolicyError for another pack, schema or a broken file."""
    config, weights = read_folder(folder)
    return build_policy(config, weights, pack, str(folder / CONFIG), str(folder / WEIGHTS))


def read_folder(folder: Path) -> tuple[dict[str, Any], bytes]:
    """Configuration and weights of a policy's folder, unchecked. Raises PolicyError where there are none."""
    for name in (CONFIG, WEIGHTS):
        if not (folder / name).is_file():
            raise PolicyError(f"{folder / name}: file is missing; train a policy with: chatbot train policy")
    try:
        config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    except ValueError as error:
        raise PolicyError(f"{folder / CONFIG}: not a policy configuration ({error!r})") from error
    return config, (folder / WEIGHTS).read_bytes()


def build_policy(
    config: Mapping[str, Any], weights: bytes, pack: Pack, config_name: str, weights_name: str
) -> LearnedPolicy:
    """The policy that both describe; the names are for errors. Raises PolicyError."""
    try:
        sizes, version = [int(size) for size in config["sizes"]], str(config["version"])
        actions, features = list(config["actions"]), int(config["feature_version"])
    except (ValueError, KeyError, TypeError) as error:
        raise PolicyError(f"{config_name}: not a policy configuration ({error!r})") from error
    if features != FEATURE_VERSION:
        raise PolicyError(
            f"{config_name}: feature version {features}, this program has {FEATURE_VERSION}; retrain"
        )
    if actions != [str(action) for action in action_set(pack)]:
        raise PolicyError(
            f"{config_name}: trained for other actions than those of pack '{pack.name}'; retrain"
        )
    expected = (len(feature_names(pack, action_set(pack))), len(actions))
    if len(sizes) < 2 or (sizes[0], sizes[-1]) != expected:
        raise PolicyError(f"{config_name}: not from {expected[0]} features to {expected[1]} actions; retrain")
    network = actor(sizes)
    try:
        network.load_state_dict(load(weights))
    except (SafetensorError, RuntimeError) as error:
        raise PolicyError(f"{weights_name}: broken file ({str(error).splitlines()[0]})") from error
    if not all(weights.isfinite().all() for weights in network.parameters()):
        raise PolicyError(f"{weights_name}: broken file (it holds what is no number); retrain")
    return LearnedPolicy(network, pack, version)


def configuration(policy: LearnedPolicy, training: Mapping[str, Any]) -> dict[str, Any]:
    """What stands beside the weights of a policy."""
    linear = [layer for layer in policy.network if isinstance(layer, nn.Linear)]
    return {
        "version": policy.version,
        "pack": policy.pack.name,
        "feature_version": FEATURE_VERSION,
        "actions": [str(action) for action in policy.actions],
        "sizes": [linear[0].in_features, *(layer.out_features for layer in linear)],
        "training": dict(training),
    }


def weights_of(policy: LearnedPolicy) -> bytes:
    return save(policy.network.state_dict())


def save_policy(policy: LearnedPolicy, folder: Path, training: Mapping[str, Any]) -> None:
    """Write the actor alone, as safetensors: what is served is no pickle."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / WEIGHTS).write_bytes(weights_of(policy))
    (folder / CONFIG).write_text(
        json.dumps(configuration(policy, training), indent=1) + "\n", encoding="utf-8"
    )
