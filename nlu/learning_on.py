"""A trained model that learns on: new labels come beside those it knows, which keep what they have learnt."""

from collections.abc import Sequence

import torch

from domains.schema import OUT_OF_SCOPE
from nlu.model import NluModel
from nlu.parser import ModelError

INTENT_ROWS = ("likeness.directions", "likeness.bias", "intent_head.weight", "intent_head.bias")
TAG_ROWS = ("tag_head.weight", "tag_head.bias", "crf.start_transitions", "crf.end_transitions")
TAG_PAIRS = "crf.transitions"


@torch.no_grad()
def go_on_from(model: NluModel, start: NluModel) -> tuple[str, ...]:
    """Give `model` the weights of `start`, by the names of intents and tags; returns the intents new to it.

    A new tag keeps the weights of an untrained model; nothing speaks for a new intent yet. Raises ModelError
    where no intent is known.
    """
    own, known = model.config, start.config
    if not set(own.intents) & set(known.intents) - {OUT_OF_SCOPE}:
        raise ModelError(f"--start knows none of these intents, not even '{own.intents[0]}'; train anew")
    intents, tags = _shared(own.intents, known.intents), _shared(own.tags, known.tags)
    learnt = start.state_dict()
    for name, weight in model.state_dict().items():
        if name in INTENT_ROWS:
            weight.zero_()
            weight[intents[0]] = learnt[name][intents[1]]
        elif name in TAG_ROWS:
            weight[tags[0]] = learnt[name][tags[1]]
        elif name == TAG_PAIRS:
            weight[tags[0][:, None], tags[0]] = learnt[name][tags[1][:, None], tags[1]]
        else:
            weight.copy_(learnt[name])
    return tuple(intent for intent in own.intents if intent not in known.intents)


def _shared(own: Sequence[str], known: Sequence[str]) -> torch.Tensor:
    """(2, labels) places of what both know, in the one and in the other."""
    return torch.tensor([(own.index(label), known.index(label)) for label in own if label in known]).T
