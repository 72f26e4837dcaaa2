"""Insights as figures, tables and CSV."""

import csv
import io
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from html import escape

import pandas as pd

from chatbot.desk import REASONS
from storage.insights import Insights, Tally

OUT_OF_SCOPE = "out of scope"


def period(days: int) -> tuple[datetime, datetime]:
    """From a midnight on, until now."""
    now = datetime.now(UTC)
    start = (now - timedelta(days=days - 1)).replace(hour=0, minute=0, second=0, microsecond=0)
    return start, now + timedelta(seconds=1)


def show_figures(found: Insights) -> str:
    total = found.total
    stars = sum(found.ratings.values())
    mean = sum(star * count for star, count in found.ratings.items()) / stars if stars else None
    tiles = [
        ("Conversations", f"{total.conversations:,}", f"{found.turns:,} turns"),
        ("Containment", f"{total.containment:.1%}", "never handed over"),
        ("Resolution", f"{total.resolution:.1%}", "something was done"),
        ("Handed over", f"{sum(found.handoffs.values()):,}", "times"),
        ("Rating", f"{mean:.2f} of 5" if mean is not None else "none yet", f"{stars:,} of colleagues"),
        ("Thumbs", f"{found.thumbs.get(1, 0):,} up", f"{found.thumbs.get(-1, 0):,} down"),
        ("Latency", f"{found.latency.p50_ms:.0f} ms", f"95 % within {found.latency.p95_ms:.0f} ms"),
    ]
    shown = (
        f"<div><dt>{title}</dt><dd>{value}</dd><dd class=quiet>{remark}</dd></div>"
        for title, value, remark in tiles
    )
    return f'<dl class="tiles">{"".join(shown)}</dl>'


def show_policies(found: Insights) -> str:
    """One version beside the other."""
    titles = ("Version", "Conversations", "Containment", "Resolution", "Messages each")
    head = "".join(f"<th scope=col>{title}</th>" for title in titles)
    rows = "".join(_policy(name, tally) for name, tally in found.policies.items())
    return f"""
    <h2>Policy versions</h2>
    <div class="scrolling" tabindex="0">
      <table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>
    </div>
    """


def _policy(name: str, tally: Tally) -> str:
    figures = (
        f"{tally.conversations:,}",
        f"{tally.containment:.1%}",
        f"{tally.resolution:.1%}",
        f"{_messages(tally):.1f}",
    )
    cells = "".join(f"<td>{figure}</td>" for figure in figures)
    return f"<tr><th scope=row>{escape(name)}</th>{cells}</tr>"


def _messages(tally: Tally) -> float:
    return tally.messages / tally.conversations if tally.conversations else 0.0


def days_frame(found: Insights) -> pd.DataFrame:
    rows = [
        (pd.Timestamp(day), kind, count)
        for day, tally in found.days.items()
        for kind, count in (
            ("all", tally.conversations),
            ("handed over", tally.conversations - tally.contained),
            ("something done", tally.done),
        )
    ]
    return pd.DataFrame(rows, columns=["day", "conversations", "count"])


def latency_frame(found: Insights) -> pd.DataFrame:
    rows = [
        (pd.Timestamp(day), share, ms)
        for day, latency in found.latencies.items()
        for share, ms in (("half", latency.p50_ms), ("95 %", latency.p95_ms))
    ]
    return pd.DataFrame(rows, columns=["day", "turns", "ms"])


def intents_frame(found: Insights) -> pd.DataFrame:
    return _frame({name or OUT_OF_SCOPE: count for name, count in found.intents.items()}, "intent")


def handoffs_frame(found: Insights) -> pd.DataFrame:
    return _frame({REASONS[reason]: found.handoffs.get(reason, 0) for reason in REASONS}, "reason")


def ratings_frame(found: Insights) -> pd.DataFrame:
    return _frame({f"{star} ★": found.ratings.get(star, 0) for star in range(1, 6)}, "rating")


def _frame(counts: Mapping[str, int], name: str) -> pd.DataFrame:
    return pd.DataFrame({name: list(counts), "count": list(counts.values())})


def as_csv(found: Insights) -> str:
    """One table: of what, which one, figure, value."""
    file = io.StringIO()
    table = csv.writer(file)
    table.writerow(["kind", "name", "figure", "value"])
    for kind, tallies in (("day", found.days), ("policy version", found.policies)):
        for name, tally in tallies.items():
            for figure in ("conversations", "contained", "done", "messages"):
                table.writerow([kind, _plain(name), figure, getattr(tally, figure)])
    for day, latency in found.latencies.items():
        table.writerow(["day", day, "latency p50 ms", latency.p50_ms])
        table.writerow(["day", day, "latency p95 ms", latency.p95_ms])
    for name, count in found.intents.items():
        table.writerow(["intent", _plain(name or OUT_OF_SCOPE), "turns", count])
    for reason, count in found.handoffs.items():
        table.writerow(["handoff", reason, "conversations", count])
    for star, count in found.ratings.items():
        table.writerow(["rating", star, "conversations", count])
    for thumb, count in found.thumbs.items():
        table.writerow(["thumb", "up" if thumb == 1 else "down", "messages", count])
    return file.getvalue()


def _plain(name: str) -> str:
    """No formula for a spreadsheet."""
    return f"'{name}" if name[:1] in "=+-@\t\r" else name
