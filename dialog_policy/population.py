"""Who the simulated customers are."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from domains.document import Document, PackError
from domains.schema import Pack, Strict

DEFAULT = Path(__file__).parent / "users.yaml"

Chance = Annotated[float, Field(ge=0, le=1)]


def _even(goals: Any) -> Any:
    return dict.fromkeys(goals, 1.0) if isinstance(goals, list | tuple) else goals


Weights = Annotated[Mapping[str, Annotated[float, Field(gt=0)]], BeforeValidator(_even)]


class Mood(Strict):
    """How upset a customer is, from 0 to 1, and what adds to it.

    Who is upset bears fewer turns without progress (half as many at 1), insults where another would make
    a remark, and asks for a person more often, where the kind does.
    """

    upset: Chance = 0.0
    """At the start."""
    misunderstood: Chance = 0.0
    """Added when the bot asks back, or asks about what the customer does not want."""
    asked_again: Chance = 0.0
    """Added when the bot asks for what it was told."""
    refused: Chance = 0.0
    """Added when the bot or the business says no."""


class Kind(Strict):
    """One kind of customer; chances are a customer's or a turn's, as said."""

    share: float = Field(gt=0)
    tasks: tuple[int, int] = (1, 1)
    """Fewest and most tasks a customer comes for."""
    questions: tuple[int, int] = (0, 0)
    """Fewest and most topics a customer asks about, at the start or in the middle of a task."""
    goals: Weights = Field(default_factory=dict)
    """The tasks and topics it comes for, as a list or with weights; all of the pack without it."""
    volunteers: Chance = 0.3
    """Chance of each further value to be given along with what was asked."""
    at_once: int | None = Field(default=None, ge=0)
    """Most values that are volunteered in one message; without it, any number."""
    order: Literal["identity_first", "task_first", "shuffled"] = "identity_first"
    """Which values are volunteered first: who the customer is, what the task needs, or either."""
    correction: Chance = 0.0
    """Chance of a task having one value that the customer first gets wrong."""
    change_of_mind: Chance = 0.0
    """Chance, once a task has begun, to drop it for another one."""
    small_talk: Chance = 0.05
    """Chance of a turn to be a remark instead of an answer."""
    typos: Chance = 0.0
    """Chance of each longer word to be mistyped."""
    wrong_credentials: bool = False
    fraud: tuple[int, int] = (0, 0)
    """Fewest and most tries to pass for somebody of whom not all is known; [0, 0] is an honest customer."""
    wants_person: bool = False
    asks_person: Chance = 0.0
    """Chance of a turn to ask for a person from then on: in full after one that brought nothing, else in
    the measure of how upset the customer is."""
    out_of_scope: bool = False
    """Comes for something that the pack does not serve."""
    patience: tuple[int, int] = (4, 7)
    """Fewest and most bot turns in a row without progress that a customer bears."""
    mood: Mood = Mood()

    @model_validator(mode="after")
    def _has_ranges(self) -> "Kind":
        for name in ("tasks", "questions", "patience", "fraud"):
            fewest, most = getattr(self, name)
            if not 0 <= fewest <= most:
                raise ValueError(f"{name}: first the fewest, then the most, not [{fewest}, {most}]")
        if self.fraud[1] and self.wrong_credentials:
            raise ValueError("fraud: a kind either has wrong credentials of its own or tries another's")
        return self

    @property
    def is_fraud(self) -> bool:
        return self.fraud[1] > 0


class Population(Strict):
    """The contents of a population file."""

    kinds: Mapping[str, Kind]
    nlu: Literal["measured"] | Chance = "measured"
    """"measured" takes the shipped NLU's errors; a number is a uniform error rate."""

    @model_validator(mode="after")
    def _has_kinds(self) -> "Population":
        if not self.kinds:
            raise ValueError("a population needs at least one kind")
        return self


def load_population(source: str, pack: Pack) -> Population:
    """`default`, or a YAML file. Raises PackError with file, line and key."""
    document = Document(DEFAULT if source == "default" else Path(source))
    population = document.parse(Population)
    for name, kind in population.kinds.items():
        _check_goals(document, name, kind, pack)
    return population


def _check_goals(document: Document, name: str, kind: Kind, pack: Pack) -> None:
    if not kind.goals:
        return
    key = ("kinds", name, "goals")

    def refuse(message: str, *more: str) -> PackError:
        return document.error(f"{'.'.join((*key, *more))}: {message}", *key, *more)

    tasks = [goal for goal in kind.goals if goal in pack.tasks and goal in pack.intents]
    topics = [goal for goal in kind.goals if goal in pack.topics and goal in pack.intents]
    for goal in kind.goals:
        if goal not in (*tasks, *topics):
            raise refuse(f"'{goal}' is no task or topic that customers of '{pack.name}' can ask for")
    if kind.tasks[1] and not tasks:
        raise refuse(f"none of them is a task, but the kind comes for {kind.tasks[1]}; add `tasks: [0, 0]`")
    if kind.questions[1] and not topics:
        raise refuse(f"none of them is a topic, but the kind asks about {kind.questions[1]}")
