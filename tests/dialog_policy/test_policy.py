"""Who chooses: the rules, and networks from disk."""

import json
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from sb3_contrib import MaskablePPO

from dialog_policy.env import DialogueEnv
from dialog_policy.evaluate import evaluate
from dialog_policy.policy import (
    CONFIG,
    WEIGHTS,
    LearnedPolicy,
    PolicyError,
    RulePolicy,
    load_policy,
    save_policy,
)
from dialog_policy.train import TrainConfig, export
from domains.schema import Pack
from storage.actions import Action
from storage.slots import SlotValue
from storage.state import DialogueState
from tests.dialog_policy.conftest import MakeEnv


def test_that_the_rules_serve_nearly_everybody_whom_they_understand(make_env: MakeEnv) -> None:
    figures = evaluate(RulePolicy(make_env().pack), make_env(), episodes=200, seed=7)
    assert figures["success_rate"] >= 0.95
    assert figures["wrong_executions"] == 0
    assert min(figures["kinds"][kind]["success_rate"] for kind in ("plain", "busy", "corrector")) >= 0.9


@pytest.mark.parametrize(
    ("state", "action"),
    [
        (DialogueState(turn=1), "offer_more"),
        (DialogueState(turn=1, greeting=True), "greet"),
        (DialogueState(turn=1, wants_person=True, task="check_balance"), "handoff"),
        (DialogueState(turn=1, upset=2), "handoff"),
        (DialogueState(turn=1, failures=3), "handoff"),
        (DialogueState(turn=1, failures=1), "rephrase"),
        (DialogueState(turn=1, goodbye=True, top_probability=0.9), "close"),
        (DialogueState(turn=1, goodbye=True, top_probability=0.6), "offer_more"),
        (DialogueState(turn=1, top_probability=0.5, alternatives=("human", "check_balance")), "clarify"),
        (DialogueState(turn=1, top_probability=0.75, alternatives=("human", "check_balance")), "handoff"),
        (DialogueState(turn=1, task="check_balance", locked=True), "handoff"),
        (DialogueState(turn=1, cancelled=True), "cancel"),
        (DialogueState(turn=1, question="age_limit"), "answer"),
        (DialogueState(turn=1, out_of_scope=0.8), "decline"),
        (DialogueState(turn=1, task="check_balance", task_confidence=0.9), "identify"),
        (
            DialogueState(
                turn=1,
                task="check_balance",
                task_confidence=0.9,
                slots={"card_number": SlotValue("6467", 0.9, 1), "name": SlotValue("Dana", 0.9, 1)},
            ),
            "ask(ssn)",
        ),
        (
            DialogueState(turn=1, task="check_balance", task_confidence=0.9, authentication_failures=1),
            "identify",
        ),
        (DialogueState(turn=1, task="get_routing_number", task_confidence=0.9), "execute"),
        (DialogueState(turn=1, task="check_balance", customer_id="1", task_confidence=0.9), "execute"),
        (DialogueState(turn=1, task="open_account", customer_id="1"), "ask(account_type)"),
        (
            DialogueState(
                turn=1,
                task="get_routing_number",
                task_confidence=0.3,
                top_probability=0.3,
                alternatives=("get_routing_number", "age_limit"),
            ),
            "clarify",
        ),
    ],
)
def test_that_the_rules_do_what_a_good_agent_would(pack: Pack, state: DialogueState, action: str) -> None:
    choice = RulePolicy(pack).choose(state)
    assert str(choice.action) == action
    assert choice.probability == 1.0


def test_that_the_rules_confirm_before_they_execute(pack: Pack) -> None:
    slots = {"account_type": SlotValue("savings", 0.9, 1)}
    state = DialogueState(turn=1, task="open_account", customer_id="1", slots=slots)
    policy = RulePolicy(pack)
    assert str(policy.choose(state).action) == "confirm"
    assert str(policy.choose(replace(state, confirmation="given")).action) == "execute"
    assert str(policy.choose(replace(state, invalid={"account_type": "wrong"})).action) == "ask(account_type)"


# ── networks ──


@pytest.fixture(scope="module")
def env(make_env: MakeEnv) -> DialogueEnv:
    return make_env(0.1)


@pytest.fixture(scope="module")
def model(env: DialogueEnv) -> MaskablePPO:
    """Untrained, but of the shape that training gives."""
    made = MaskablePPO("MlpPolicy", env, policy_kwargs={"net_arch": [16, 16]}, seed=0, device="cpu")
    with torch.no_grad():
        made.policy.get_parameter("action_net.weight").normal_()  # it starts out nearly indifferent
    return made


@pytest.fixture
def folder(model: MaskablePPO, env: DialogueEnv, tmp_path: Path) -> Path:
    save_policy(export(model, env, "v7"), tmp_path / "policy", asdict(TrainConfig()))
    return tmp_path / "policy"


def test_that_an_exported_policy_chooses_like_the_trained_one(
    model: MaskablePPO, env: DialogueEnv, folder: Path, pack: Pack
) -> None:
    policy = load_policy(folder, pack)
    assert policy.version == "v7"
    place = {action: index for index, action in enumerate(env.actions)}
    rng = np.random.default_rng(0)
    seen, chosen, seed = 0, set(), 0
    while seen < 100:
        env.reset(seed=seed)
        seed += 1
        done = False
        while not done:
            choice = policy.choose(env.state)
            expected, _ = model.predict(choice.observation, deterministic=True, action_masks=choice.mask)
            assert place[choice.action] == int(expected)
            assert choice.mask[place[choice.action]]
            assert choice.mask.tolist() == env.action_masks().tolist()
            chosen.add(str(choice.action))
            seen += 1
            done = env.step(rng.choice(np.flatnonzero(choice.mask)))[2]
    assert len(chosen) > 5


def test_that_a_policy_never_takes_what_the_rules_forbid_however_much_it_wants_to(
    folder: Path, pack: Pack
) -> None:
    policy = load_policy(folder, pack)
    execute = policy.actions.index(Action("execute"))
    with torch.no_grad():
        list(policy.network.parameters())[-1][execute] = 1e6
    slots = {"account_type": SlotValue("savings", 0.9, 1)}
    state = DialogueState(turn=1, task="open_account", customer_id="1", slots=slots, confirmation="asked")
    assert policy.choose(state).action != Action("execute")
    assert policy.choose(replace(state, confirmation="given")).action == Action("execute")


@pytest.mark.parametrize("name", [CONFIG, WEIGHTS])
def test_that_a_missing_file_is_named_with_the_remedy(folder: Path, pack: Pack, name: str) -> None:
    (folder / name).unlink()
    with pytest.raises(
        PolicyError, match=f"{name}: file is missing; train a policy with: chatbot train policy"
    ):
        load_policy(folder, pack)


@pytest.mark.parametrize("name", [CONFIG, WEIGHTS])
@pytest.mark.parametrize("share", [0.0, 0.5, 0.97])
def test_that_a_truncated_file_is_named(folder: Path, pack: Pack, name: str, share: float) -> None:
    data = (folder / name).read_bytes()
    (folder / name).write_bytes(data[: int(len(data) * share)])
    with pytest.raises(PolicyError, match=name):
        load_policy(folder, pack)


@pytest.mark.parametrize("name", [CONFIG, WEIGHTS])
def test_that_a_foreign_file_is_named(folder: Path, pack: Pack, name: str) -> None:
    (folder / name).write_bytes(b"\x80\x04\x95 a pickle, perhaps")
    with pytest.raises(PolicyError, match=name):
        load_policy(folder, pack)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda data: data.update(feature_version=99), "feature version 99, this program has"),
        (lambda data: data["actions"].pop(), "trained for other actions than those of pack 'banking'"),
        (lambda data: data.pop("sizes"), "not a policy configuration"),
        (lambda data: data.update(sizes="wide"), "not a policy configuration"),
        (lambda data: data["sizes"].insert(1, 16), "broken file"),
        (lambda data: data.update(sizes=[3, 4, 5]), "not from .* features to .* actions"),
    ],
)
def test_that_a_policy_of_another_pack_or_program_is_refused(
    folder: Path, pack: Pack, change: Callable[[dict[str, Any]], Any], reason: str
) -> None:
    data = json.loads((folder / CONFIG).read_text())
    change(data)
    (folder / CONFIG).write_text(json.dumps(data))
    with pytest.raises(PolicyError, match=reason):
        load_policy(folder, pack)


def test_that_weights_that_are_no_numbers_are_refused(folder: Path, pack: Pack) -> None:
    weights = load_file(folder / WEIGHTS)
    name = next(iter(weights))
    save_file({**weights, name: torch.full_like(weights[name], torch.nan)}, folder / WEIGHTS)
    with pytest.raises(PolicyError, match=WEIGHTS):
        load_policy(folder, pack)


def test_that_what_is_logged_of_a_choice_is_what_it_was_made_from(folder: Path, pack: Pack) -> None:
    policy = load_policy(folder, pack)
    assert isinstance(policy, LearnedPolicy)
    choice = policy.choose(DialogueState(turn=1, greeting=True))
    assert choice.probability == 1.0
    assert policy.choose(DialogueState(turn=1, greeting=True)).action == choice.action
    assert len(choice.mask) == len(policy.actions)
