"""The review: turns that went wrong are found, corrected and approved, and the bot is taught with them."""

import logging
import re
from collections.abc import Callable
from dataclasses import replace
from html import escape
from typing import Any, cast

import gradio as gr

from chatbot.bot import Chatbot
from chatbot.explanation import Explainer
from chatbot.label_studio import intents_of
from chatbot.marked_text import mark, read_marks
from chatbot.new_intents import MOST, propose
from chatbot.stand_ins import stand_in
from dialog_policy.rules import action_set
from domains.schema import OUT_OF_SCOPE
from nlu.parser import ModelError
from storage import review
from storage.faults import StorageError
from storage.records import Review
from storage.staff import Staff
from ui import review_view as view
from ui.explanation_view import show_explanation
from ui.staff_page import PICK, show_header, who

PAGE = 20
REASONS = [("Everything", ""), *((view.REASONS[reason], reason) for reason in review.REASONS)]
STATUSES = [("To do", ""), ("Corrected", "corrected"), ("Approved", "approved"), ("Dismissed", "dismissed")]
REVIEWERS_AT_ONCE = 16
TURN = re.compile(r"[0-9]{0,6}")

Updates = dict[Any, Any]
Key = str
"""Of a finding: conversation:turn."""

logger = logging.getLogger(__name__)


class ReviewPage:
    """The components of the page, and what happens when somebody touches them."""

    def __init__(self, bot: Chatbot, explainer: Explainer) -> None:
        self.bot, self.pack, self.explainer = bot, bot.pack, explainer
        domain = self.pack.domain
        self.blocks = gr.Blocks(
            title=f"Review – {domain.business}", analytics_enabled=False, fill_height=True
        )
        self.blocks.queue(api_open=False, default_concurrency_limit=REVIEWERS_AT_ONCE)
        with self.blocks:
            self.places = gr.State([])
            self.picked = gr.State(None)
            self.explained = gr.State(None)
            self.header = gr.HTML(elem_id="top")
            with gr.Row(elem_id="desk", equal_height=False) as self.room:
                with gr.Column(elem_id="queue"):
                    self.reason = gr.Dropdown(REASONS, value="", label="Found because of", elem_id="reason")
                    self.status = gr.Dropdown(STATUSES, value="", label="Status", elem_id="status")
                    self.cards = gr.HTML(js_on_load=PICK, elem_id="cards")
                    with gr.Row(elem_id="paging"):
                        self.newer = gr.Button("← Newer", size="sm", elem_classes=["act"], visible=False)
                        self.older = gr.Button("Older →", size="sm", elem_classes=["act"], visible=False)
                with gr.Column(elem_id="work", elem_classes=["scrolls"]):
                    self.back = gr.Button("← All turns", size="sm", elem_id="back")
                    self.scene = gr.HTML(view.NOTHING_PICKED, elem_id="scene")
                    with gr.Column(visible=False, elem_id="editor") as self.editor:
                        self.intent = gr.Dropdown(
                            intents_of_pack(bot), label="Intent", filterable=True, elem_id="intent"
                        )
                        self.text = gr.Textbox(
                            label="Message",
                            info="A value stands in [ ], its slot behind it in ( ). Names are stand-ins.",
                            lines=2,
                            max_lines=6,
                            max_length=8000,
                            elem_id="text",
                        )
                        self.action = gr.Dropdown(
                            [("as it was", ""), *actions_of_pack(bot)],
                            label="The bot should have",
                            filterable=True,
                            elem_id="action",
                        )
                        with gr.Row(elem_id="acts"):
                            self.approve = gr.Button("Approve", variant="primary", elem_id="approve")
                            self.save = gr.Button("Save", elem_id="save")
                            self.dismiss = gr.Button("Nothing to learn", elem_id="dismiss")
                    self.why = gr.Button(
                        "Why did it do that?", size="sm", elem_classes=["act"], visible=False
                    )
                    with gr.Column(visible=False, elem_id="explanation") as self.explanation:
                        self.reasons = gr.HTML()
                        with gr.Row(elem_id="turning"):
                            self.earlier = gr.Button("← Turn before", size="sm", elem_classes=["act"])
                            self.later = gr.Button("Turn after →", size="sm", elem_classes=["act"])
                            self.enough = gr.Button("Close", size="sm", elem_classes=["act"])
                with gr.Column(elem_id="side"):
                    self.wanted = gr.Textbox(
                        label="Why, in any conversation",
                        info="Its id; for another turn than the first id:turn.",
                        max_length=80,
                        submit_btn="Look",
                        elem_id="wanted",
                    )
                    self.proposals = gr.HTML(view.NO_PROPOSALS, elem_id="proposals")
                    self.search = gr.Button("Look for new intents", size="sm", elem_classes=["act"])
                    gr.HTML(view.DOWNLOADS, elem_id="notes")
            self._connect()

    def _connect(self) -> None:
        listing = [self.cards, self.newer, self.older, self.places]
        editing = [self.room, self.scene, self.editor, self.intent, self.text, self.action]
        explaining = [self.explanation, self.reasons, self.earlier, self.later, self.explained]
        everything = [*listing, *editing, self.approve, self.picked, self.why, *explaining]
        filters = [self.reason, self.status, self.places, self.picked]
        form = [self.intent, self.text, self.action]
        quiet: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
        self.blocks.load(self.load, None, [self.header, *everything], **quiet)
        for filter_ in (self.reason, self.status):
            filter_.input(self.search_anew, [self.reason, self.status], everything, **quiet)
        self.older.click(self.show_older, filters, everything, **quiet)
        self.newer.click(self.show_newer, filters, everything, **quiet)
        self.cards.select(self.pick, filters, everything, **quiet)
        self.back.click(self.leave, filters, everything, **quiet)
        acts: dict[Any, Review] = {
            self.approve: "approved",
            self.save: "corrected",
            self.dismiss: "dismissed",
        }
        for button, status in acts.items():
            button.click(self._deciding(status), [*filters, *form], everything, **quiet)
        asking = [self.room, *explaining]
        self.why.click(self.explain, self.picked, asking, **quiet | {"show_progress": "minimal"})
        self.wanted.submit(self.explain, self.wanted, asking, **quiet | {"show_progress": "minimal"})
        self.earlier.click(self.explain_earlier, self.explained, asking, **quiet)
        self.later.click(self.explain_later, self.explained, asking, **quiet)
        self.enough.click(self.stop_explaining, None, asking, **quiet)
        self.search.click(
            self.look_for_intents, None, self.proposals, api_visibility="private", show_progress="minimal"
        )

    def load(self, request: gr.Request) -> Updates:
        staff = who(request)
        header = show_header(self.pack.domain.business, "/review", staff, request)
        return {self.header: header} | self._list(staff, "", "", [], None)

    def search_anew(self, reason: str, status: str, request: gr.Request) -> Updates:
        return self._list(who(request), reason, status, [], None)

    def show_older(self, reason: str, status: str, places: list[Any], _: Key, request: gr.Request) -> Updates:
        found = self._find(reason, status, places)
        further = [*places, found[PAGE - 1].place] if len(found) > PAGE else places
        return self._list(who(request), reason, status, further, None)

    def show_newer(self, reason: str, status: str, places: list[Any], _: Key, request: gr.Request) -> Updates:
        return self._list(who(request), reason, status, places[:-1], None)

    def pick(
        self,
        reason: str,
        status: str,
        places: list[Any],
        _: Key,
        event: gr.EventData,
        request: gr.Request,
    ) -> Updates:
        return self._list(who(request), reason, status, places, str(event.id))

    def leave(self, reason: str, status: str, places: list[Any], _: Key, request: gr.Request) -> Updates:
        return self._list(who(request), reason, status, places, None)

    def explain(self, key: Key, request: gr.Request) -> Updates:
        """Of the turn `key`; a conversation alone means its first."""
        conversation, _, turn = key.strip().partition(":")
        number = int(turn or "1") if TURN.fullmatch(turn) else 0
        try:
            found = self.explainer.explain(conversation, number, who(request))
        except (StorageError, ModelError) as error:
            gr.Warning(escape(str(error)), title="Not explained")
            return dict(gr.skip())
        return {
            self.room: gr.update(elem_classes=["working"]),
            self.explanation: gr.update(visible=True),
            self.reasons: show_explanation(found),
            self.earlier: gr.update(interactive=number > 1),
            self.later: gr.update(interactive=number < found.turns),
            self.explained: (conversation, number),
        }

    def explain_earlier(self, explained: tuple[str, int], request: gr.Request) -> Updates:
        return self.explain(f"{explained[0]}:{explained[1] - 1}", request)

    def explain_later(self, explained: tuple[str, int], request: gr.Request) -> Updates:
        return self.explain(f"{explained[0]}:{explained[1] + 1}", request)

    def stop_explaining(self) -> Updates:
        return {self.explanation: gr.update(visible=False), self.reasons: "", self.explained: None}

    def look_for_intents(self) -> str:
        found = review.find(self.bot.store.engine, self.pack.name, "out_of_scope", limit=MOST)
        texts = [stand_in(one.heard, self.pack, _key(one))[0] for one in found]
        return view.show_proposals(propose(self.bot.parser, texts), len(texts))

    def _deciding(self, status: Review) -> Callable[..., Updates]:
        def decide(
            reason: str,
            shown: str,
            places: list[Any],
            picked: Key,
            intent: str,
            text: str,
            action: str,
            request: gr.Request,
        ) -> Updates:
            staff = who(request)
            try:
                before = self._find(reason, shown, places)
                self._correct(staff, picked, status, intent, text, action)
            except StorageError as error:
                gr.Warning(escape(str(error)), title="Not saved")
                return dict(gr.skip())
            keys = [_key(one) for one in before]
            following = keys[keys.index(picked) + 1 :][:1] if picked in keys else []
            return self._list(staff, reason, shown, places, next(iter(following), None))

        return decide

    def _correct(
        self, staff: Staff, picked: Key, status: Review, intent: str, marked: str, action: str
    ) -> None:
        conversation, _, turn = picked.rpartition(":")
        text, labels = read_marks(marked, self.pack)
        made = review.Correction(
            conversation, int(turn), text, intent, labels, action or None, status, staff.name
        )
        if status == "dismissed":
            made = replace(made, intent=None, entities=(), action=None)
        review.correct(self.bot.store.engine, made, staff)

    def _find(self, reason: str, status: str, places: list[Any]) -> tuple[review.Finding, ...]:
        """A page, and one more where there are more."""
        return review.find(
            self.bot.store.engine,
            self.pack.name,
            cast(review.Reason, reason) or None,
            cast(Review, status) or None,
            places[-1] if places else None,
            PAGE + 1,
        )

    def _list(self, staff: Staff, reason: str, status: str, places: list[Any], picked: Key | None) -> Updates:
        found = self._find(reason, status, places)
        shown = [(_key(one), one, stand_in(one.heard, self.pack, _key(one))[0]) for one in found[:PAGE]]
        updates: Updates = {
            self.cards: view.show_cards(shown, picked, self.pack),
            self.newer: gr.update(visible=bool(places)),
            self.older: gr.update(visible=len(found) > PAGE),
            self.places: places,
            self.picked: picked,
            self.room: gr.update(elem_classes=["working"] if picked else []),
            self.why: gr.update(visible=False),
            **self.stop_explaining(),
        }
        finding = self._finding(picked) if picked else None
        if finding is None:
            return updates | {self.scene: view.NOTHING_PICKED, self.editor: gr.update(visible=False)}
        return updates | self._edit(staff, finding)

    def _finding(self, key: Key) -> review.Finding | None:
        conversation, _, turn = key.rpartition(":")
        return review.find_one(self.bot.store.engine, conversation, int(turn)) if turn.isdecimal() else None

    def _edit(self, staff: Staff, finding: review.Finding) -> Updates:
        scene = review.scene(self.bot.store.engine, finding.conversation_id, finding.turn)
        text, labels = stand_in(finding.heard, self.pack, _key(finding))
        intent = finding.heard.wishes[0] if finding.heard.wishes else OUT_OF_SCOPE
        action = ""
        made = finding.correction
        if made is not None and made.status != "dismissed":
            text, labels, intent = made.text, made.entities, made.intent or intent
            action = made.action or ""
        return {
            self.scene: view.show_scene(finding, scene, self.pack),
            self.editor: gr.update(visible=True),
            self.intent: gr.update(value=intent if intent in intents_of(self.pack) else None),
            self.text: mark(text, labels),
            self.action: gr.update(value=action),
            self.approve: gr.update(visible=staff.supervises),
            self.why: gr.update(visible=True),
        }


def intents_of_pack(bot: Chatbot) -> list[tuple[str, str]]:
    described = [(f"{name} – {intent.description}", name) for name, intent in bot.pack.intents.items()]
    return [*described, ("out of scope", OUT_OF_SCOPE)]


def actions_of_pack(bot: Chatbot) -> list[tuple[str, str]]:
    return [(str(action), str(action)) for action in action_set(bot.pack)]


def _key(finding: review.Finding) -> Key:
    return f"{finding.conversation_id}:{finding.turn}"
