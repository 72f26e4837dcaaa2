"""Small charts as SVG, for reports that need nothing but a browser."""

from collections.abc import Mapping, Sequence

from markupsafe import Markup

from dialog_policy.judge import Estimate

WIDTH, HEIGHT, LEFT, ROW = 640, 180, 150, 26


def line(values: Sequence[float], title: str) -> Markup:
    """A curve over steps."""
    if len(values) < 2:
        return Markup("")
    low, high = min(values), max(values)
    span = (high - low) or 1.0
    wide, tall = WIDTH - 70, HEIGHT - 40
    points = " ".join(
        f"{60 + wide * place / (len(values) - 1):.1f},{15 + tall * (high - value) / span:.1f}"
        for place, value in enumerate(values)
    )
    return Markup(
        '<svg viewBox="0 0 {} {}" role="img" aria-label="{}">'
        '<path class="axis" d="M60 15V{}H{}"/><polyline class="curve" points="{}"/>'
        '<text x="55" y="22" text-anchor="end">{:.2f}</text>'
        '<text x="55" y="{}" text-anchor="end">{:.2f}</text>'
        '<text x="60" y="{}">{}</text></svg>'
    ).format(WIDTH, HEIGHT, title, 15 + tall, WIDTH - 10, points, high, 15 + tall, low, HEIGHT - 6, title)


def intervals(rows: Mapping[str, Estimate], title: str) -> Markup:
    """Values with their intervals, one below the other, and a line at nought where it is among them."""
    low, high = min(e.low for e in rows.values()), max(e.high for e in rows.values())
    margin = 0.05 * (high - low or 1.0)
    low, high = low - margin, high + margin

    def across(value: float) -> float:
        return LEFT + (WIDTH - LEFT - 80) * (value - low) / (high - low)

    parts = [
        Markup(
            '<text x="{}" y="{}" text-anchor="end">{}</text><path class="span" d="M{:.1f} {}H{:.1f}"/>'
            '<circle cx="{:.1f}" cy="{}" r="4"/><text x="{}" y="{}">{:.2f}</text>'
        ).format(
            LEFT - 10,
            y + 4,
            name,
            across(estimate.low),
            y,
            across(estimate.high),
            across(estimate.value),
            y,
            WIDTH - 70,
            y + 4,
            estimate.value,
        )
        for y, (name, estimate) in zip(range(ROW, ROW * (len(rows) + 1), ROW), rows.items(), strict=True)
    ]
    tall = ROW * (len(rows) + 1)
    if low < 0 < high:
        parts.insert(0, Markup('<path class="axis" d="M{:.1f} 8V{}"/>').format(across(0), tall - 8))
    frame = Markup('<svg viewBox="0 0 {} {}" role="img" aria-label="{}">{}</svg>')
    return frame.format(WIDTH, tall, title, Markup("").join(parts))


def pairs(rows: Mapping[str, tuple[float, float]], title: str) -> Markup:
    """Two bars for each row, of shares between nought and one."""
    parts = []
    for place, (name, (first, second)) in enumerate(rows.items()):
        y, wide = ROW * place + 8, WIDTH - LEFT - 90
        parts.append(
            Markup(
                '<text x="{}" y="{}" text-anchor="end">{}</text>'
                '<rect class="first" x="{}" y="{}" height="8" width="{:.1f}"/>'
                '<rect class="second" x="{}" y="{}" height="8" width="{:.1f}"/>'
                '<text x="{}" y="{}">{:.2f} / {:.2f}</text>'
            ).format(
                LEFT - 10,
                y + 12,
                name,
                LEFT,
                y,
                wide * min(first, 1),
                LEFT,
                y + 9,
                wide * min(second, 1),
                WIDTH - 85,
                y + 12,
                first,
                second,
            )
        )
    frame = Markup('<svg viewBox="0 0 {} {}" role="img" aria-label="{}">{}</svg>')
    return frame.format(WIDTH, ROW * len(rows) + 16, title, Markup("").join(parts))
