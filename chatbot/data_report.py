"""The report of the data checks as tables."""

from collections.abc import Sequence
from statistics import median

from rich.console import Console
from rich.table import Table
from rich.text import Text

from nlu.checks import DataReport
from nlu.suspects import Suspect


def print_report(report: DataReport) -> None:
    """Counts, how evenly the examples are spread, and the findings with the places they stand at."""
    console = Console()
    counts = Table("", "number", "fewest examples", "median", "most examples", title="Training data")
    for kind, spread in (("intents", report.intents), ("slots", report.slots)):
        if spread:
            first, last = (
                min(spread, key=lambda name: spread[name]),
                max(spread, key=lambda name: spread[name]),
            )
            ends = [f"{name} ({spread[name]:,})" for name in (first, last)]
            counts.add_row(kind, f"{len(spread)}", ends[0], f"{median(spread.values()):g}", ends[1])
    console.print(counts)
    console.print(f"{report.examples:,} examples, {report.skipped:,} rows skipped")
    if not report.findings:
        console.print("nothing found that would harm the training")
        return
    findings = Table("", "check", "count", "what was found")
    for finding in report.findings:
        findings.add_row(finding.level, finding.kind, f"{finding.count:,}", Text(finding.message))
    console.print(findings)
    for finding in report.findings:  # outside of the table, which would cut long paths
        console.print(f"{finding.kind}, first of {finding.count:,}:", style="bold")
        for place in finding.places:
            console.print(f"  {place}", soft_wrap=True, markup=False, highlight=False)


def print_suspects(suspects: Sequence[Suspect]) -> None:
    """Sentences that look like another intent's, a line each."""
    console = Console()
    for one in suspects:
        console.print(f"{one.intent}, or {one.looks_like}?", style="bold", end=" ")
        console.print(f"{one.text} ({one.place})", soft_wrap=True, markup=False, highlight=False)
