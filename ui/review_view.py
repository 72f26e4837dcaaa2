"""The review's parts as HTML. All that comes from people is escaped here."""

from collections.abc import Sequence
from html import escape

from chatbot.desk import hide
from chatbot.new_intents import Proposal
from domains.schema import OUT_OF_SCOPE, Pack
from storage.review import Finding, Reason, Scene

REASONS: dict[Reason, str] = {
    "low_confidence": "In doubt",
    "out_of_scope": "Out of scope",
    "thumbs_down": "Thumbs down",
    "handoff": "Handed over",
}
LONGEST_QUOTE = 120
EXAMPLES = 6
NOTHING_PICKED = """
<div class="empty">
  <h2>Nothing picked</h2>
  <p>Pick a turn from the list, say what it should have been, and go on to the next one.</p>
</div>
"""
NO_PROPOSALS = """
<h2>New intents</h2>
<p class="quiet">Messages that were out of scope are grouped by their meaning.</p>
"""
DOWNLOADS = """
<h2>Training data</h2>
<p class="quiet">What was approved, for <code>chatbot train nlu --format jsonl</code>; and what is to do, for
Label Studio.</p>
<p class="links"><a href="/review/corrections.jsonl" download>Approved turns (JSON Lines)</a>
<a href="/review/label-studio.json" download>Turns to do (Label Studio)</a>
<a href="/review/label-studio.xml" download>Labelling interface</a></p>
"""


def show_cards(found: Sequence[tuple[str, Finding, str]], picked: str | None, pack: Pack) -> str:
    """`found` are key, finding and text without what identifies a person."""
    if not found:
        return '<p class="quiet">There is nothing here.</p>'
    cards = "".join(f"<li>{_card(key, one, text, key == picked)}</li>" for key, one, text in found)
    return f"<ul>{cards}</ul>"


def _card(key: str, finding: Finding, text: str, chosen: bool) -> str:
    reasons = ", ".join(REASONS[reason] for reason in finding.reasons)
    quote = text if len(text) <= LONGEST_QUOTE else f"{text[: LONGEST_QUOTE - 1]}…"
    by = f" · {finding.correction.status} by {finding.correction.by}" if finding.correction else ""
    return f"""
    <button type="button" class="case{" picked" if chosen else ""}" data-id="{escape(key)}"
      aria-pressed="{str(chosen).lower()}">
      <span class="top"><strong>{reasons}</strong><span>{finding.created_at:%b %d, %H:%M}</span></span>
      <span class="quote">“{escape(quote)}”</span>
      <span class="about">{escape(_understood(finding))}{escape(by)}</span>
    </button>
    """


def _understood(finding: Finding) -> str:
    wishes = finding.heard.wishes
    return f"{wishes[0]} {finding.heard.top.probability:.0%}" if wishes else "out of scope"


def show_scene(finding: Finding, scene: Scene, pack: Pack) -> str:
    secrets = {one.text for one in finding.heard.entities if pack.slots[one.slot].sensitive}
    who = {"customer": "Customer", "bot": f"{pack.domain.assistant}, bot"}
    rows = "".join(
        f"""<li class="{message.author}">
        <span class="who">{escape(who.get(message.author, str(message.signed)))}</span>
        <span class="text">{escape(hide(message.text, secrets))}</span></li>"""
        for message in scene.messages
    )
    scores = "".join(
        f'<li><span>{escape(score.intent)}</span><meter max="1" value="{score.probability:.3f}">'
        f"</meter><b>{score.probability:.0%}</b></li>"
        for score in finding.heard.intents[:3]
    )
    reasons = "".join(f'<span class="badge">{REASONS[reason]}</span>' for reason in finding.reasons)
    did = escape(", ".join(scene.actions) or "nothing")
    return f"""
    <div class="casehead"><h2>What happened</h2>{reasons}</div>
    <ol class="talk" tabindex="0" aria-label="The turn">{rows}</ol>
    <ul class="scores" aria-label="What the bot understood">{scores}
      <li><span>{OUT_OF_SCOPE}</span><meter max="1" value="{finding.heard.out_of_scope:.3f}"></meter>
      <b>{finding.heard.out_of_scope:.0%}</b></li></ul>
    <p class="quiet">The bot did: {did}</p>
    """


def show_proposals(proposals: Sequence[Proposal], looked_at: int) -> str:
    if not proposals:
        return f'<h2>New intents</h2><p class="quiet">No group among {looked_at} messages yet.</p>'
    groups = "".join(_proposal(proposal) for proposal in proposals)
    return f'<h2>New intents <span class="count">{len(proposals)}</span></h2>{groups}'


def _proposal(proposal: Proposal) -> str:
    examples = "".join(f"<li>{escape(text)}</li>" for text in proposal.texts[:EXAMPLES])
    return f"""
    <details class="proposal"><summary><b>{escape(proposal.name)}</b> {proposal.count} messages</summary>
    <ul>{examples}</ul></details>
    """
