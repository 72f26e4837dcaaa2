"""The report of a retraining: one HTML file that needs no network."""

from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from dialog_policy import charts
from dialog_policy.fitted_errors import by_intent
from dialog_policy.fitted_population import describe
from dialog_policy.judge import Estimate, Judgement
from dialog_policy.retraining import Attempt, Retraining

TEMPLATE = "report.html"


def write_report(retraining: Retraining, path: Path) -> None:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=StrictUndefined
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        environment.get_template(TEMPLATE).render(
            run=retraining,
            moments=list(describe(retraining.fitted)),
            misheard=sorted(by_intent(retraining.fitted.errors).items(), key=lambda pair: -pair[1])[:10],
            kinds=sorted(retraining.fitted.population.kinds.items(), key=lambda pair: -pair[1].share)[:12],
            charts=charts,
            estimates=estimates,
            by_kind=lambda attempt, figure: by_kind(retraining, attempt, figure),
        ),
        encoding="utf-8",
    )


def estimates(judgement: Judgement) -> dict[str, Estimate]:
    """What is drawn with intervals."""
    return {
        "live policy": judgement.live,
        "doubly robust": judgement.robust,
        "fitted Q": judgement.fitted,
        "importance": judgement.weighted,
    }


def by_kind(retraining: Retraining, attempt: Attempt, figure: str) -> dict[str, tuple[float, float]]:
    """The live policy's and the candidate's figure for each kind of customer with enough conversations."""
    live, theirs = retraining.live_simulated["kinds"], attempt.simulated["kinds"]
    large = [kind for kind in live if kind in theirs and live[kind]["episodes"] >= 5]
    return {kind: (live[kind][figure], theirs[kind][figure]) for kind in large}
