"""The desk's parts as HTML. All that comes from people is escaped here."""

from collections.abc import Sequence
from datetime import UTC, datetime
from html import escape

from chatbot.desk import HIDDEN, REASONS, Suggestion, describe_slots, hide, secrets_of
from domains.schema import Pack
from storage.desk import Case, Note
from storage.records import Message
from storage.staff import Staff
from storage.state import DialogueState

LONGEST_QUOTE = 90
NOTHING_PICKED = """
<div class="empty">
  <h2>Nothing picked</h2>
  <p>Pick a conversation from the list. Customers who wait longest stand at the top.</p>
</div>
"""
GONE = """
<div class="empty">
  <h2>This conversation is no longer on the desk</h2>
  <p>It was given back or resolved. Pick another one from the list.</p>
</div>
"""


def show_queue(cases: Sequence[Case], elsewhere: int, staff: Staff, picked: str | None, pack: Pack) -> str:
    """`elsewhere` counts what other colleagues have."""
    mine = [case for case in cases if case.holder is not None]
    waiting = [case for case in cases if case.holder is None]
    with_others = f'<p class="quiet">{elsewhere} with other colleagues</p>' if elsewhere else ""
    return f"""
    {_section("With you", mine, picked, pack, "You have no conversation.")}
    {_section("Waiting", waiting, picked, pack, "Nobody is waiting.")}
    {with_others}
    """


def _section(title: str, cases: Sequence[Case], picked: str | None, pack: Pack, empty: str) -> str:
    cards = "".join(f"<li>{_card(case, picked, pack)}</li>" for case in cases)
    body = f"<ul>{cards}</ul>" if cases else f'<p class="quiet">{empty}</p>'
    count = f'<span class="count">{len(cases)}</span>' if cases else ""
    return f"<section><h2>{title} {count}</h2>{body}</section>"


def _card(case: Case, picked: str | None, pack: Pack) -> str:
    said = [message for message in case.messages if message.author == "customer"]
    quote = f"“{_shorten(hide(said[-1].text, secrets_of(case, pack)))}”" if said else ""
    known = len(case.state.slots)
    about = [describe_task(case.state, pack)]
    if known:
        about.append(f"{known} details known" if known > 1 else "1 detail known")
    chosen = case.conversation_id == picked
    since = waited(case.waiting_since)
    return f"""
    <button type="button" class="case{" picked" if chosen else ""}" data-id="{escape(case.conversation_id)}"
      aria-pressed="{str(chosen).lower()}">
      <span class="top"><strong>{REASONS[case.reason]}</strong><span>{since}</span></span>
      <span class="about">{escape(" · ".join(about))}</span>
      <span class="quote">{escape(quote)}</span>
    </button>
    """


def show_head(case: Case, staff: Staff) -> str:
    if case.holder is None:
        badge = '<span class="badge waiting">Waiting</span>'
    elif case.holder.id == staff.id:
        badge = '<span class="badge mine">With you</span>'
    else:
        badge = f'<span class="badge other">With {escape(case.holder.name)}</span>'
    return f"""
    <div class="casehead">
      <h2>{REASONS[case.reason]}</h2> {badge}
      <p>Handed over {waited(case.waiting_since)} ago</p>
    </div>
    """.replace("just now ago", "just now")


def show_messages(case: Case, pack: Pack, *, revealed: bool) -> str:
    secrets = secrets_of(case, pack)

    def text(message: Message) -> str:
        return message.text if revealed else hide(message.text, secrets)

    rows = "".join(_row(message, text(message), pack.domain.assistant) for message in case.messages)
    name = escape(case.conversation_id)
    return f'<ol class="talk" data-case="{name}" tabindex="0" aria-label="Conversation">{rows}</ol>'


def _row(message: Message, text: str, assistant: str) -> str:
    who = {"customer": "Customer", "bot": f"{assistant}, bot"}.get(message.author) or message.signed or ""
    thumb = {1: " 👍", -1: " 👎"}.get(message.rating, "")
    return f"""
    <li class="{message.author}"><span class="who">{escape(who)} · {message.created_at:%H:%M}{thumb}</span>
    <span class="text">{escape(text)}</span></li>
    """


def show_details(case: Case, pack: Pack, *, revealed: bool) -> str:
    state = case.state
    verified = case.customer_id is not None
    customer = (
        f"verified, {escape(str(case.customer_id)) if revealed else HIDDEN}" if verified else "not verified"
    )
    rows = [("Wants", escape(describe_task(state, pack))), ("Identity", customer)]
    if state.waiting:
        rows.append(("Then", escape(", ".join(pack.intents[task].description for task in state.waiting))))
    if state.completed:
        rows.append(("Done", escape(", ".join(_task(task, pack) for task in state.completed))))
    rows += [
        (escape(label.capitalize()), escape(value))
        for label, value in describe_slots(state, pack, revealed=revealed)
    ]
    listed = "".join(f"<div><dt>{label}</dt><dd>{value}</dd></div>" for label, value in rows)
    return f"<h2>What is known</h2><dl>{listed}</dl>"


def show_suggestion(suggestion: Suggestion, pack: Pack, assistant: str) -> str:
    if suggestion.text:  # a long one scrolls, with the keyboard as well
        return f'<p tabindex="0"><b>{escape(assistant)} would say</b> {escape(suggestion.text)}</p>'
    if suggestion.execution:
        task = _task(suggestion.execution, pack)
        return f"<p><b>{escape(assistant)} would first</b> {escape(task)}. Nothing was done.</p>"
    return ""


def show_notes(notes: Sequence[Note]) -> str:
    rows = "".join(
        f"<li><span>{escape(note.author)} · {note.created_at:%b %d, %H:%M}</span>{escape(note.text)}</li>"
        for note in notes
    )
    listed = f'<ul class="notes">{rows}</ul>' if notes else '<p class="quiet">No notes yet.</p>'
    return f"<h2>Notes for colleagues</h2>{listed}"


def describe_task(state: DialogueState, pack: Pack) -> str:
    task = state.task or state.dropped
    return _task(task, pack) if task else "no task yet"


def _task(name: str, pack: Pack) -> str:
    intent = pack.intents.get(name)
    return intent.description if intent is not None else name.replace("_", " ")


def waited(since: datetime) -> str:
    minutes = int((datetime.now(UTC) - since).total_seconds() // 60)
    if minutes < 1:
        return "just now"
    if minutes < 60:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours < 24 else f"{hours // 24} d"


def _shorten(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= LONGEST_QUOTE else f"{line[: LONGEST_QUOTE - 1]}…"
