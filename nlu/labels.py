"""From the labels of a data set to those of a pack."""

import re
from collections.abc import Mapping
from pathlib import Path

from domains.document import Document
from domains.schema import OUT_OF_SCOPE, Pack, Strict


class LabelRule(Strict):
    label: str
    matching: str
    intent: str | None


class LabelMap(Strict):
    """How one data set names what the pack names otherwise; null leaves a row out."""

    intents: Mapping[str, str | None] = {}
    slots: Mapping[str, str] = {}
    rules: tuple[LabelRule, ...] = ()
    default: str = "keep"
    """For labels not listed: "keep" their name, or an intent."""
    limits: Mapping[str, int] = {}
    """Most training rows an intent takes from this set; the key "*" stands for intents not listed."""

    def intent(self, label: str, text: str) -> str | None:
        """The pack's intent for a row, None where the row is to be left out."""
        name = plain(label)
        for rule in self.rules:
            if rule.label == name and re.search(rule.matching, text, re.IGNORECASE):
                return rule.intent
        if name in self.intents:
            return self.intents[name]
        return name if self.default == "keep" else self.default

    def slot(self, label: str) -> str:
        name = plain(label)
        return self.slots.get(name, name)


class Labels(Strict):
    """The contents of labels.yaml: data format → its map."""

    multidogo: LabelMap = LabelMap()
    banking77: LabelMap = LabelMap()
    fewshot: LabelMap = LabelMap()
    clinc150: LabelMap = LabelMap()


def plain(label: str) -> str:
    """Data sets write "Refund_not_showing_up" and "reverted_card_payment?"; packs do not."""
    return label.strip().lower().rstrip("?")


OWN_NAMES = {"clinc150": LabelMap(intents={"oos": OUT_OF_SCOPE})}
"""How a format itself names what is out of scope."""


def label_map(pack: Pack | None, data_format: str) -> LabelMap:
    """The pack's map for a data format; the format's own names where there is none. Raises PackError."""
    path = pack.folder / "labels.yaml" if pack else Path()
    if pack is None or not path.exists():
        return OWN_NAMES.get(data_format, LabelMap())
    document = Document(path)
    found = getattr(document.parse(Labels), data_format, LabelMap())
    named = {*found.intents.values(), *(rule.intent for rule in found.rules), found.default}
    for name in named - {None, OUT_OF_SCOPE, "keep"}:
        if name not in pack.intents:
            raise document.error(f"'{name}' is no intent of the pack", data_format, "intents")
    for name in found.slots.values():
        if name not in pack.slots:
            raise document.error(f"'{name}' is no slot of the pack", data_format, "slots")
    return found
