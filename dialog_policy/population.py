"""Who the simulated customers are."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from domains.document import Document
from domains.schema import Strict

DEFAULT = Path(__file__).parent / "users.yaml"


class Kind(Strict):
    """One kind of customer; chances are a customer's or a turn's, as said."""

    share: float = Field(gt=0)
    tasks: tuple[int, int] = (1, 1)
    """Fewest and most tasks a customer comes for."""
    questions: tuple[int, int] = (0, 0)
    """Fewest and most topics a customer asks about, at the start or in the middle of a task."""
    volunteers: float = Field(default=0.3, ge=0, le=1)
    """Chance of each further value to be given along with what was asked."""
    correction: float = Field(default=0.0, ge=0, le=1)
    """Chance of a task having one value that the customer first gets wrong."""
    change_of_mind: float = Field(default=0.0, ge=0, le=1)
    """Chance, once a task has begun, to drop it for another one."""
    small_talk: float = Field(default=0.05, ge=0, le=1)
    """Chance of a turn to be a remark instead of an answer."""
    wrong_credentials: bool = False
    wants_person: bool = False
    out_of_scope: bool = False
    """Comes for something that the pack does not serve."""
    patience: tuple[int, int] = (4, 7)
    """Fewest and most bot turns in a row without progress that a customer bears."""

    @model_validator(mode="after")
    def _has_ranges(self) -> "Kind":
        for name in ("tasks", "questions", "patience"):
            fewest, most = getattr(self, name)
            if not 0 <= fewest <= most:
                raise ValueError(f"{name}: first the fewest, then the most, not [{fewest}, {most}]")
        return self


class Population(Strict):
    """The contents of a population file."""

    kinds: Mapping[str, Kind]
    nlu: Literal["measured"] | Annotated[float, Field(ge=0, le=1)] = "measured"
    """"measured" takes the shipped NLU's errors; a number is a uniform error rate."""

    @model_validator(mode="after")
    def _has_kinds(self) -> "Population":
        if not self.kinds:
            raise ValueError("a population needs at least one kind")
        return self


def load_population(source: str) -> Population:
    """`default`, or a YAML file. Raises PackError with file, line and key."""
    return Document(DEFAULT if source == "default" else Path(source)).parse(Population)
