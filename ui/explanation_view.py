"""Why the bot did it, as HTML. All that comes from people is escaped here."""

from collections.abc import Sequence
from html import escape

import numpy as np
from numpy.typing import NDArray

from chatbot.explanation import Explanation, Option, Step
from domains.schema import OUT_OF_SCOPE
from nlu import explanation as nlu_explanation

MOST_INTENTS = 5
LEAST = 0.005
"""Of a probability, that is shown at all."""


def show_explanation(found: Explanation) -> str:
    return f"""
    <section class="why" aria-label="Why did it do that?">
      <div class="casehead"><h2>Why did it do that?</h2>
        <p>Turn {found.turn} of {found.turns} of <code>{escape(found.conversation_id)}</code></p></div>
      <h3>What it heard</h3>
      {_words(found)}
      {_intents(found)}
      {_values(found)}
      {_looking(found)}
      <h3>What it did</h3>
      {"".join(map(_step, found.steps)) or '<p class="quiet">Nothing: the message was for a colleague.</p>'}
      {_executions(found)}
      <h3>How it said it</h3>
      {"".join(map(_reply, found.replies)) or '<p class="quiet">The bot was silent.</p>'}
    </section>
    """


def _words(found: Explanation) -> str:
    nlu = found.nlu
    if nlu is None:
        return (
            f'<p class="said">{escape(found.text)}</p><p class="quiet">The words cannot be weighed here.</p>'
        )
    most = max(float(np.abs(nlu.words).max()), 1e-6)
    marked = " ".join(
        f'<span class="word {"for" if weight >= 0 else "against"}" style="--much:{abs(weight) / most:.2f}">'
        f"{escape(word)}<small>{100 * weight:+.0f}</small></span>"
        for word, weight in zip(found.words, nlu.words.tolist(), strict=True)
    )
    other = f" What was said before adds {100 * nlu.before:+.0f}." if nlu.before else ""
    gap = f" {100 * nlu.gap:+.0f} belong to no word." if abs(nlu.gap) >= LEAST else ""
    changed = (
        "<p class=quiet>The NLU is another one now; what was logged stands below.</p>"
        if found.changed
        else ""
    )
    respelt = (
        f"<p class=quiet>Written <q>{escape(found.text)}</q> and read as it may be meant:</p>"
        if found.respelt
        else ""
    )
    return f"""
    {respelt}<p class="said">{marked}</p>
    <p class="quiet">What each word adds to the {nlu.probability:.0%} of <b>{escape(nlu.intent)}</b>, in
    points of a hundred; with unknown words it has {nlu.unknown:.0%}.{other}{gap}</p>{changed}
    """


def _intents(found: Explanation) -> str:
    shown = found.intents[:MOST_INTENTS]
    shown += tuple(one for one in found.intents[MOST_INTENTS:] if one.intent == OUT_OF_SCOPE)
    return _scores("Intents", [(one.intent, one.probability) for one in shown])


def _scores(label: str, rows: Sequence[tuple[str, float]]) -> str:
    listed = "".join(
        f"<li><span>{escape(name)}</span>"
        f'<meter max="1" value="{share:.3f}" aria-label="{escape(name)}"></meter><b>{share:.0%}</b></li>'
        for name, share in rows
    )
    return f'<ul class="scores" aria-label="{label}">{listed}</ul>'


def _values(found: Explanation) -> str:
    rows = "".join(
        f"<li>{escape(label)}: <b>{escape(text)}</b>, {confidence:.0%} sure</li>"
        for label, text, confidence in found.values
    )
    return f'<ul class="plain" aria-label="Values">{rows}</ul>' if rows else ""


def _looking(found: Explanation) -> str:
    """Attention and routing, folded: they are for who knows the model."""
    nlu = found.nlu
    if nlu is None:
        return ""
    blocks = [f"block {number}" for number in range(1, len(nlu.attention) + 1)]
    routing = "".join(
        _heat(f"Gates in {name}", found.words, _experts(nlu, number), nlu.experts[number])
        for number, name in enumerate(blocks)
    )
    return f"""
    <details><summary>Where the encoder looked</summary>
      <p class="quiet">The share of its attention that each word gets, block by block. The rest goes to what
      stands around the message and to what was said before.</p>
      {_heat("Attention", found.words, blocks, nlu.attention)}
    </details>
    <details><summary>Which experts it used</summary>
      <p class="quiet">The gates of the routed experts; those that are not chosen stay empty.</p>
      {routing}
    </details>
    """


def _experts(nlu: nlu_explanation.Explanation, block: int) -> list[str]:
    return [f"expert {number}" for number in range(1, nlu.experts.shape[1] + 1)]


def _heat(title: str, words: Sequence[str], rows: Sequence[str], cells: NDArray[np.float32]) -> str:
    """A table whose cells are the darker the more they hold; their numbers are there to be read."""
    most = max(float(cells.max()), 1e-6)
    head = "".join(f'<th scope="col"><span>{escape(word)}</span></th>' for word in words)
    body = "".join(
        f'<tr><th scope="row">{name}</th>{"".join(_cell(cell, most) for cell in row)}</tr>'
        for name, row in zip(rows, cells.tolist(), strict=True)
    )
    return f"""
    <div class="scrolling" tabindex="0" role="region" aria-label="{title}"><table class="heat">
      <caption>{title}</caption><thead><tr><td></td>{head}</tr></thead><tbody>{body}</tbody></table></div>
    """


def _cell(value: float, most: float) -> str:
    return f'<td style="--much:{value / most:.2f}" title="{value:.2f}"><span>{value:.2f}</span></td>'


def _step(step: Step) -> str:
    decision = step.decision
    action = escape(decision.action)
    about = [f"policy {decision.policy_version}", f"chosen with probability {decision.probability:.2f}"]
    if decision.explored:
        about.append("while exploring")
    if decision.shadow_action:
        about.append(f"{decision.shadow_version} in the shadow would have done {decision.shadow_action}")
    allowed = [option for option in step.options if not option.forbidden]
    rest = [option for option in step.options if option.forbidden]
    doubt = f'<p class="quiet">{escape(step.doubt)}</p>' if step.doubt else ""
    return f"""
    <div class="step"><p><b>{action}</b> <span class="quiet">{escape(" · ".join(about))}</span></p>
      {_allowed(allowed)}{doubt}{_forbidden(rest)}
    </div>
    """


def _allowed(options: Sequence[Option]) -> str:
    if any(option.probability is None for option in options):
        names = ", ".join(option.action for option in options)
        return f'<p class="quiet">Allowed: {escape(names)}</p>' if names else ""
    return _scores("What it might do", [(one.action, one.probability or 0.0) for one in options])


def _forbidden(options: Sequence[Option]) -> str:
    rows = "".join(f"<li><b>{escape(one.action)}</b> {escape(one.forbidden)}</li>" for one in options)
    if not rows:
        return ""
    listed = f'<ul class="plain">{rows}</ul>'
    return f"<details><summary>{len(options)} forbidden by the rules</summary>{listed}</details>"


def _executions(found: Explanation) -> str:
    rows = "".join(f"<li>{escape(task)}: <b>{escape(outcome)}</b></li>" for task, outcome in found.executions)
    return f'<p class="quiet">The business system was asked:</p><ul class="plain">{rows}</ul>' if rows else ""


def _reply(reply: tuple[str, str]) -> str:
    text, made = reply
    return f'<p class="said">{escape(text)}</p><p class="quiet">How it was made: {escape(made)}.</p>'
