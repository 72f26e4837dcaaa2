"""The desk: colleagues take over conversations and answer in them, live."""

import logging
from collections.abc import Callable
from datetime import UTC, datetime
from html import escape
from typing import Any

import gradio as gr

from chatbot.bot import LONGEST_MESSAGE, BadMessage
from chatbot.desk import AgentDesk
from storage.desk import Case
from storage.faults import StorageError
from storage.staff import Staff
from ui import desk_view as view
from ui.staff_page import PICK, SHOW_LAST, show_header, who

TICK_SECONDS = 0.7
"""How often the page looks for news: what one side writes, the other sees within a second."""
AGENTS_AT_ONCE = 32

Updates = dict[Any, Any]

logger = logging.getLogger(__name__)


class DeskPage:
    """The components of the page, and what happens when a colleague touches them."""

    def __init__(self, desk: AgentDesk) -> None:
        self.desk, self.pack = desk, desk.bot.pack
        domain = self.pack.domain
        self.blocks = gr.Blocks(title=f"Desk – {domain.business}", analytics_enabled=False, fill_height=True)
        self.blocks.queue(api_open=False, default_concurrency_limit=AGENTS_AT_ONCE)
        with self.blocks:
            self.picked = gr.State(None)
            self.revealed = gr.State(None)
            self.shown = gr.State(None)
            self.timer = gr.Timer(TICK_SECONDS)
            self.header = gr.HTML(elem_id="top")
            with gr.Row(elem_id="desk", equal_height=False) as self.room:
                with gr.Column(elem_id="queue"):
                    self.queue = gr.HTML(js_on_load=PICK, elem_id="cards")
                with gr.Column(elem_id="work"):
                    self.back = gr.Button("← All conversations", size="sm", elem_id="back")
                    self.head = gr.HTML(view.NOTHING_PICKED, elem_id="casehead")
                    with gr.Row(elem_id="acts"):
                        self.claim = gr.Button("Claim", variant="primary", visible=False, elem_id="claim")
                        self.give = gr.Button("Give back to the bot", visible=False, elem_id="give")
                        self.resolve = gr.Button("Resolve", visible=False, elem_id="resolve")
                    self.talk = gr.HTML(js_on_load=SHOW_LAST, visible=False, elem_id="talk")
                    with gr.Column(visible=False, elem_id="answer") as self.answer:
                        with gr.Row(visible=False, elem_id="suggestion") as self.suggestion:
                            self.hint = gr.HTML(elem_id="hint")
                            self.use = gr.Button("Use", size="sm", elem_id="use")
                        self.box = gr.Textbox(
                            label="Your answer",
                            placeholder="Answer the customer…",
                            show_label=False,
                            container=False,
                            lines=1,
                            max_lines=6,
                            max_length=2 * LONGEST_MESSAGE,
                            submit_btn="Send",
                            elem_id="box",
                        )
                with gr.Column(visible=False, elem_id="side") as self.side:
                    self.details = gr.HTML(elem_id="details")
                    self.reveal = gr.Button("Reveal details", size="sm", visible=False, elem_id="reveal")
                    self.notes = gr.HTML(elem_id="notes")
                    self.note = gr.Textbox(
                        label="New note",
                        placeholder="Only colleagues see this…",
                        show_label=False,
                        container=False,
                        lines=1,
                        max_lines=6,
                        max_length=2 * LONGEST_MESSAGE,
                        submit_btn="Add",
                        elem_id="note",
                    )
            self._connect()

    def _connect(self) -> None:
        case = [self.head, self.claim, self.give, self.resolve, self.talk, self.answer, self.suggestion]
        side = [self.hint, self.use, self.side, self.details, self.reveal, self.notes]
        states = [self.picked, self.revealed]
        everything = [self.room, self.queue, *case, *side, *states, self.shown, self.box, self.note]
        quiet: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
        self.blocks.load(self.load, None, [self.header, *everything], **quiet)
        self.timer.tick(self.tick, [*states, self.shown], everything, concurrency_limit=None, **quiet)
        self.queue.select(self.pick, None, everything, **quiet)
        self.back.click(self.leave, None, everything, **quiet)
        acts: dict[Any, Callable[..., Updates]] = {
            self.claim: self.do_claim,
            self.give: self.do_give_back,
            self.resolve: self.do_resolve,
            self.reveal: self.do_reveal,
            self.use: self.do_use,
        }
        for button, act in acts.items():
            button.click(act, states, everything, **quiet)
        self.box.submit(self.do_say, [self.box, *states], everything, **quiet)
        self.note.submit(self.do_note, [self.note, *states], everything, **quiet)

    def load(self, request: gr.Request) -> Updates:
        staff = who(request)
        header = show_header(self.pack.domain.business, "/desk", staff, request)
        return {self.header: header} | self._show(staff, None, None)

    def tick(self, picked: str | None, revealed: str | None, shown: object, request: gr.Request) -> Updates:
        """What is new; and a sign of life: what this colleague holds stays theirs while the page is open."""
        staff = who(request)
        try:
            self.desk.store.renew(staff)
            if self._moment(picked, revealed) == shown:
                return dict(gr.skip())
            return self._show(staff, picked, revealed)
        except StorageError as error:
            logger.warning("the desk could not be looked at: %s", error)
            return dict(gr.skip())

    def pick(self, event: gr.EventData, request: gr.Request) -> Updates:
        return self._show(who(request), str(event.id), None)

    def leave(self, request: gr.Request) -> Updates:
        return self._show(who(request), None, None)

    def do_claim(self, picked: str, revealed: str | None, request: gr.Request) -> Updates:
        return self._do(request, picked, revealed, self.desk.claim)

    def do_give_back(self, picked: str, revealed: str | None, request: gr.Request) -> Updates:
        return self._do(request, picked, None, self.desk.give_back)

    def do_resolve(self, picked: str, revealed: str | None, request: gr.Request) -> Updates:
        return self._do(request, picked, None, self.desk.resolve)

    def do_reveal(self, picked: str, revealed: str | None, request: gr.Request) -> Updates:
        if revealed == picked:
            return self._show(who(request), picked, None)
        return self._do(request, picked, picked, self.desk.store.reveal)

    def do_use(self, picked: str, revealed: str | None, request: gr.Request) -> Updates:
        case = self.desk.store.case(picked)
        return {self.box: self.desk.suggest(case).text if case else gr.skip()}

    def do_say(self, text: str, picked: str, revealed: str | None, request: gr.Request) -> Updates:
        if not text or text.isspace():
            return dict(gr.skip())
        done = self._do(request, picked, revealed, lambda name, staff: self.desk.say(name, staff, text))
        return {self.box: ""} | done

    def do_note(self, text: str, picked: str, revealed: str | None, request: gr.Request) -> Updates:
        if not text or text.isspace():
            return dict(gr.skip())
        done = self._do(request, picked, revealed, lambda name, staff: self.desk.add_note(name, staff, text))
        return {self.note: ""} | done

    def _do(
        self, request: gr.Request, picked: str, revealed: str | None, act: Callable[[str, Staff], object]
    ) -> Updates:
        """Act on the picked conversation. What was typed stays where it could not be done."""
        staff = who(request)
        try:
            act(picked, staff)
            return self._show(staff, picked, revealed)
        except (StorageError, BadMessage) as error:
            gr.Warning(escape(str(error)), title="Not done")
            return self._show(staff, picked, None) | {self.box: gr.skip(), self.note: gr.skip()}

    def _moment(self, picked: str | None, revealed: str | None) -> object:
        """The same as long as the page need not change; waiting times do so every minute."""
        minute = datetime.now(UTC).strftime("%H:%M")
        return [list(map(list, self.desk.store.pulse())), minute, picked, revealed]

    def _show(self, staff: Staff, picked: str | None, revealed: str | None) -> Updates:
        moment = self._moment(picked, revealed)
        cases = self.desk.store.open_cases(staff)
        elsewhere = sum(row[1] not in (None, staff.id) for row in self.desk.store.pulse())
        case = self.desk.store.case(picked) if picked else None
        updates: Updates = {
            self.room: gr.update(elem_classes=["working"] if picked else []),
            self.queue: view.show_queue(cases, elsewhere, staff, picked, self.pack),
            self.picked: picked,
            self.revealed: revealed,
            self.shown: moment,
        }
        if case is None:
            return updates | self._show_nothing(view.GONE if picked else view.NOTHING_PICKED)
        return updates | self._show_case(case, staff, revealed=revealed == picked)

    def _show_nothing(self, why: str) -> Updates:
        hidden = [self.claim, self.give, self.resolve, self.talk, self.answer, self.side]
        return {self.head: why} | dict.fromkeys(hidden, gr.update(visible=False))

    def _show_case(self, case: Case, staff: Staff, *, revealed: bool) -> Updates:
        mine = case.holder is not None and case.holder.id == staff.id
        revealed = revealed and mine
        assistant = self.pack.domain.assistant
        suggestion = self.desk.suggest(case) if mine else None
        hint = view.show_suggestion(suggestion, self.pack, assistant) if suggestion else ""
        return {
            self.head: view.show_head(case, staff),
            self.claim: gr.update(visible=case.holder is None),
            self.give: gr.update(visible=mine),
            self.resolve: gr.update(visible=mine),
            self.talk: gr.update(value=view.show_messages(case, self.pack, revealed=revealed), visible=True),
            self.answer: gr.update(visible=mine),
            self.suggestion: gr.update(visible=bool(hint)),
            self.hint: hint,
            self.use: gr.update(visible=bool(suggestion and suggestion.text)),
            self.side: gr.update(visible=True),
            self.details: view.show_details(case, self.pack, revealed=revealed),
            self.reveal: gr.update(visible=mine, value="Hide details" if revealed else "Reveal details"),
            self.notes: view.show_notes(self.desk.store.notes(case.conversation_id)),
        }
