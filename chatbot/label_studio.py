"""Corrections in and out of Label Studio, whose tasks are JSON."""

import json
from collections.abc import Iterable, Sequence
from html import escape
from itertools import pairwise
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from chatbot.stand_ins import stand_in
from domains.schema import OUT_OF_SCOPE, Pack
from storage.records import Label
from storage.review import Correction, Finding, ReviewError

SLOTS, INTENT, TEXT = "slots", "intent", "text"
"""Names of the parts of the labelling interface."""


class Source(BaseModel):
    text: str
    conversation: str
    turn: int


class Annotation(BaseModel):
    model_config = ConfigDict(extra="ignore")

    result: list[dict[str, Any]] = Field(default_factory=list)
    was_cancelled: bool = False


class Task(BaseModel):
    model_config = ConfigDict(extra="ignore")

    data: Source
    annotations: list[Annotation] = Field(default_factory=list)


def interface(pack: Pack) -> str:
    """The labelling interface, to be pasted into the project's settings."""
    choices = "\n".join(f'    <Choice value="{escape(name)}"/>' for name in intents_of(pack))
    labels = "\n".join(f'    <Label value="{escape(name)}"/>' for name in pack.slots)
    return f"""<View>
  <Labels name="{SLOTS}" toName="{TEXT}">
{labels}
  </Labels>
  <Text name="{TEXT}" value="$text"/>
  <Choices name="{INTENT}" toName="{TEXT}" choice="single" required="true">
{choices}
  </Choices>
</View>
"""


def intents_of(pack: Pack) -> list[str]:
    return [*pack.intents, OUT_OF_SCOPE]


def write_tasks(findings: Iterable[Finding], pack: Pack) -> list[dict[str, Any]]:
    """What the bot understood is a prediction; what was corrected is an annotation."""
    return [_task(finding, pack) for finding in findings]


def _task(finding: Finding, pack: Pack) -> dict[str, Any]:
    correction = finding.correction
    text, labels = stand_in(finding.heard, pack, f"{finding.conversation_id}:{finding.turn}")
    intent = finding.heard.wishes[0] if finding.heard.wishes else OUT_OF_SCOPE
    task: dict[str, Any] = {
        "data": {"text": text, "conversation": finding.conversation_id, "turn": finding.turn},
        "predictions": [{"score": finding.heard.top.probability, "result": _result(text, intent, labels)}],
    }
    if correction is not None and correction.intent is not None:
        task["data"]["text"] = correction.text
        task["predictions"] = []
        result = _result(correction.text, correction.intent, correction.entities)
        task["annotations"] = [{"result": result}]
    return task


def _result(text: str, intent: str, labels: Sequence[Label]) -> list[dict[str, Any]]:
    slots = [
        {
            "from_name": SLOTS,
            "to_name": TEXT,
            "type": "labels",
            "value": {
                "start": label.start,
                "end": label.end,
                "text": text[label.start : label.end],
                "labels": [label.slot],
            },
        }
        for label in labels
    ]
    choice = {"from_name": INTENT, "to_name": TEXT, "type": "choices", "value": {"choices": [intent]}}
    return [choice, *slots]


def read_tasks(document: str, pack: Pack) -> list[Correction]:
    """The corrections in an export of Label Studio (JSON); tasks without an annotation are left out.

    Raises ReviewError, which names the task.
    """
    try:
        rows = json.loads(document)
    except ValueError as error:
        raise ReviewError(f"This is no JSON ({error}); export the project as JSON") from None
    if not isinstance(rows, list):
        raise ReviewError("A list of tasks is expected; export the project as JSON, not as JSON-MIN")
    corrections = []
    for number, row in enumerate(rows, 1):
        try:
            task = Task.model_validate(row)
        except ValidationError as error:
            first = error.errors(include_input=False)[0]
            place = ".".join(map(str, first["loc"]))
            raise ReviewError(f"Task {number}: {place}: {first['msg']}") from None
        made = [annotation for annotation in task.annotations if not annotation.was_cancelled]
        if made:
            corrections.append(_correction(number, task.data, made[-1].result, pack))
    return corrections


def _correction(number: int, data: Source, result: Sequence[dict[str, Any]], pack: Pack) -> Correction:
    intent, labels = None, []
    for part in result:
        value = part.get("value", {})
        if part.get("from_name") == INTENT and value.get("choices"):
            intent = str(value["choices"][0])
            if intent not in intents_of(pack):
                raise ReviewError(f"Task {number}: the pack has no intent {intent!r}")
        if part.get("from_name") == SLOTS:
            labels.append(_label(number, data.text, value, pack))
    if intent is None:
        raise ReviewError(f"Task {number}: no intent was chosen")
    labels.sort(key=lambda label: label.start)
    for one, other in pairwise(labels):
        if other.start < one.end:
            raise ReviewError(f"Task {number}: the slots at {one.start} and {other.start} overlap")
    return Correction(data.conversation, data.turn, data.text, intent, tuple(labels), None, "corrected", "")


def _label(number: int, text: str, value: dict[str, Any], pack: Pack) -> Label:
    start, end, slots = value.get("start"), value.get("end"), value.get("labels") or [None]
    if not isinstance(start, int) or not isinstance(end, int) or not 0 <= start < end <= len(text):
        raise ReviewError(f"Task {number}: a slot lies outside of the text ({start}–{end})")
    if slots[0] not in pack.slots:
        raise ReviewError(f"Task {number}: the pack has no slot {slots[0]!r}")
    return Label(start, end, slots[0])
