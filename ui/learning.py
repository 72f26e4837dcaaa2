"""The learning page: retrain, read the report, promote, roll back."""

import logging
from collections.abc import Callable
from html import escape
from typing import Any, Literal, cast

import gradio as gr

from chatbot.bot import Chatbot
from chatbot.learning import Kind, Learning
from chatbot.policies import let_serve
from dialog_policy.policy import PolicyError
from storage.faults import StorageError
from storage.policies import PolicyVersion, read_policies, rollback
from ui import learning_view as view
from ui.staff_page import show_header, who

TICK_SECONDS = 2.0
"""How often the page looks how a job goes."""
PLACES = [
    ("Live, for everybody", "live"),
    ("Canary, for a tenth of the new conversations", "canary"),
    ("Shadow, which only logs", "shadow"),
]
CANARY_SHARE = 0.1

Updates = dict[Any, Any]

logger = logging.getLogger(__name__)


class LearningPage:
    """The components of the page, and what happens when somebody touches them."""

    def __init__(self, bot: Chatbot, learning: Learning) -> None:
        self.bot, self.pack, self.learning = bot, bot.pack, learning
        self.business = bot.pack.domain.business
        self.blocks = gr.Blocks(title=f"Learning – {self.business}", analytics_enabled=False)
        self.blocks.queue(api_open=False)
        with self.blocks:
            self.shown = gr.State(None)
            self.timer = gr.Timer(TICK_SECONDS)
            self.header = gr.HTML(elem_id="top")
            with gr.Column(elem_id="learning"):
                with gr.Row(elem_classes=["acts"]):
                    self.policy = gr.Button("Retrain the policy", variant="primary", elem_classes=["act"])
                    self.nlu = gr.Button("Retrain the NLU", elem_classes=["act"])
                    self.cancel = gr.Button("Cancel", elem_classes=["act"], visible=False)
                self.running = gr.HTML()
                self.ended = gr.HTML()
                self.versions = gr.HTML()
                with gr.Row(elem_id="promotion"):
                    self.version = gr.Dropdown([], label="Version", elem_id="version")
                    self.place = gr.Dropdown(PLACES, value="live", label="Serves as", elem_id="place")
                    self.why = gr.Textbox(label="Why", max_length=300, elem_id="reason")
                self.force = gr.Checkbox(
                    label="Also where the judge did not find it better", container=False, elem_id="force"
                )
                with gr.Row(elem_classes=["acts"]):
                    self.promote = gr.Button("Promote", variant="primary", elem_classes=["act"])
                    self.back = gr.Button("Roll back the last promotion", elem_classes=["act"])
            self._connect()

    def _connect(self) -> None:
        parts = [self.running, self.ended, self.versions, self.version, self.cancel, self.policy, self.nlu]
        everything = [*parts, self.shown, self.force, self.why]
        quiet: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
        self.blocks.load(self.load, None, [self.header, *everything], **quiet)
        self.timer.tick(self.tick, self.shown, everything, **quiet)
        self.policy.click(self._starting("policy"), None, everything, **quiet)
        self.nlu.click(self._starting("nlu"), None, everything, **quiet)
        self.cancel.click(self.do_cancel, None, everything, **quiet)
        form = [self.version, self.place, self.why, self.force]
        self.promote.click(self.do_promote, form, everything, **quiet)
        self.back.click(self.do_roll_back, self.why, everything, **quiet)

    def load(self, request: gr.Request) -> Updates:
        header = show_header(self.business, "/learning", who(request), request)
        return {self.header: header} | self._show()

    def tick(self, shown: object) -> Updates:
        try:
            return dict(gr.skip()) if self._moment() == shown else self._show()
        except StorageError as error:
            logger.warning("the learning page could not look for news: %s", error)
            return dict(gr.skip())

    def do_cancel(self, request: gr.Request) -> Updates:
        def cancel() -> None:
            for job in self.learning.jobs(last=1):
                self.learning.cancel(job.id, who(request))

        return self._do(cancel)

    def do_promote(self, version: str, place: str, reason: str, force: bool, request: gr.Request) -> Updates:
        to = cast(Literal["live", "canary", "shadow"], place)
        actor, share = who(request).actor, CANARY_SHARE if place == "canary" else 0.0
        engine = self.bot.store.engine
        return self._do(
            lambda: let_serve(engine, self.pack, version or "", actor, to, share, reason, force=force)
        )

    def do_roll_back(self, reason: str, request: gr.Request) -> Updates:
        actor = who(request).actor
        return self._do(lambda: rollback(self.bot.store.engine, self.pack.name, actor, reason))

    def _starting(self, kind: Kind) -> Callable[[gr.Request], Updates]:
        def start(request: gr.Request) -> Updates:
            return self._do(lambda: self.learning.start(kind, who(request)))

        return start

    def _do(self, act: Callable[[], object]) -> Updates:
        try:
            act()
        except (StorageError, PolicyError, OSError) as error:
            gr.Warning(escape(str(error)), title="Not done")
            return self._show()
        return self._show() | {self.force: False, self.why: ""}

    def _versions(self) -> tuple[PolicyVersion, ...]:
        return read_policies(self.bot.store.engine, self.pack.name)

    def _moment(self) -> object:
        """The same as long as the page need not change."""
        jobs = [[job.id, job.status, len(job.steps)] for job in self.learning.jobs()]
        return [jobs, [[one.version, view.status_of(one)] for one in self._versions()]]

    def _show(self) -> Updates:
        jobs, versions = self.learning.jobs(), self._versions()
        running = next((job for job in jobs if job.status == "running"), None)
        waiting = [one.version for one in reversed(versions) if one.status != "live"]
        return {
            self.running: view.show_running(running),
            self.ended: view.show_jobs(jobs, self.learning),
            self.versions: view.show_versions(versions),
            self.version: gr.update(choices=waiting, value=next(iter(waiting), None)),
            self.cancel: gr.update(visible=running is not None),
            self.policy: gr.update(interactive=running is None),
            self.nlu: gr.update(interactive=running is None),
            self.shown: self._moment(),
        }
