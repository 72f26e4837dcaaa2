"""The customer's chat page. What it shows is read from the store, so a reload or a restart loses nothing."""

import logging
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from html import escape
from typing import Any, Literal, cast
from uuid import UUID, uuid4, uuid5

import gradio as gr

from chatbot.access import Access, Caller, Session
from chatbot.bot import LONGEST_MESSAGE, BadMessage, Chatbot
from chatbot.rates import TooMany
from chatbot.streams import split_words
from storage.api_keys import digest
from storage.conversations import UnknownConversation
from storage.faults import StorageError
from storage.masking import mask
from storage.records import Message

STARTERS = (
    "What's my balance?",
    "I lost my card",
    "How long do transfers take?",
    "Send $50 to another account",
)
PERSON = "I would like to talk to a person"
SORRY = (
    "Something went wrong on our side, and your message was not answered. Please send it again in a moment."
)
UNREACHABLE = "We cannot reach your conversation right now. Please reload the page in a moment."
ANIMATION_SECONDS = 0.4
"""In which the whole reply of a turn appears, whatever its length."""
FRAMES = 10
FEEDBACK = {1: "Like", -1: "Dislike", 0: None}
RATINGS: dict[Any, Literal[-1, 0, 1]] = {True: 1, False: -1}
"""What gr.LikeData says of a thumb → rating. It says "" of one that was taken back."""
VISITORS_AT_ONCE = 16
POLL_SECONDS = 0.7
"""How often the page looks for news while a colleague has the conversation, or is waited for."""
LONGEST_INPUT = 2 * LONGEST_MESSAGE
"""More than the bot takes, so that it can say so; less than what the server reads of one request."""
SESSION = "async () => [await (await import('/session.js')).session()]"
"""The session that this browser had, from its own storage or from the page that holds this one in a frame."""
KEEP = "async (session) => (await import('/session.js')).keep(session)"

TYPING = {"role": "assistant", "content": "…"}

Updates = dict[Any, Any]
"""Component → its new value."""

logger = logging.getLogger(__name__)


def build_page(bot: Chatbot, access: Access) -> gr.Blocks:
    """The chat page of `bot`, alone or in a site's frame."""
    return ChatPage(bot, access).blocks


class ChatPage:
    """The components of the page, and what happens when a customer touches them."""

    def __init__(self, bot: Chatbot, access: Access) -> None:
        self.bot, self.access = bot, access
        domain = bot.pack.domain
        self.blocks = gr.Blocks(title=f"{domain.business} – chat", analytics_enabled=False, fill_height=True)
        self.blocks.queue(api_open=False, default_concurrency_limit=VISITORS_AT_ONCE)
        with self.blocks:
            self.session = gr.Textbox(visible="hidden", elem_id="session", label="Session")
            self.nonce = gr.State(uuid4())
            self.seen = gr.State(0)
            self.timer = gr.Timer(POLL_SECONDS, active=False)
            with gr.Column(elem_id="card"):
                with gr.Row(elem_id="header"):
                    gr.HTML(_header(domain.business, domain.assistant), elem_id="brand")
                    self.person = gr.Button("Talk to a person", size="sm", elem_id="person")
                    self.renew = gr.Button("New conversation", size="sm", elem_id="new")
                self.chat = gr.Chatbot(
                    label=f"Conversation with {domain.assistant}",
                    show_label=False,
                    container=False,
                    scale=1,
                    height="100%",
                    elem_id="chat",
                    buttons=[],
                    layout="bubble",
                    render_markdown=False,
                    latex_delimiters=[],
                    group_consecutive_messages=False,
                    allow_tags=False,
                )
                self.suggestions = gr.Dataset(
                    components=["textbox"],
                    samples=[[""]],
                    sample_labels=[""],
                    samples_per_page=20,
                    show_label=False,
                    label="Suggestions",
                    container=False,
                    visible=False,
                    elem_id="suggestions",
                )
                self.box = gr.Textbox(
                    label="Your message",
                    placeholder="Type your message…",
                    show_label=False,
                    container=False,
                    lines=1,
                    max_lines=5,
                    max_length=LONGEST_INPUT,
                    submit_btn="Send",
                    elem_id="box",
                    html_attributes=gr.InputHTMLAttributes(autocomplete="off", enterkeyhint="send"),
                )
                gr.HTML(
                    f"<p>{escape(domain.assistant)} is automated. Never send passwords or PINs.</p>",
                    elem_id="notice",
                )
            self._connect()

    def _connect(self) -> None:
        everything = [self.chat, self.suggestions, self.box, self.session, self.nonce]
        everything += [self.seen, self.timer]
        quiet: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
        self.blocks.load(self.load, self.session, everything, js=SESSION, **quiet)
        self.session.change(None, self.session, None, js=KEEP, **quiet)
        self.renew.click(self.start, None, everything, **quiet)
        # Also while a reply is still being shown: Gradio would let such a message drop without a word.
        sending = {**quiet, "trigger_mode": "multiple"}
        self.box.submit(self.send_typed, [self.box, self.session, self.nonce], everything, **sending)
        self.suggestions.select(self.send_pressed, [self.session, self.nonce], everything, **sending)
        self.person.click(self.send_wish_for_person, [self.session, self.nonce], everything, **sending)
        self.timer.tick(self.poll, [self.session, self.seen], everything, **quiet)
        self.chat.like(self.rate, self.session, None, **quiet)

    def load(self, session: str | None, request: gr.Request) -> Updates:
        """Show the conversation that this browser had, or start one."""
        try:
            opened, history = self._open(session, request)
        except TooMany as error:
            gr.Warning(str(error), title="Please wait")
            return dict(gr.skip())
        except Exception:
            logger.exception("the chat page could not be loaded")
            gr.Warning(UNREACHABLE, title="No connection")
            return dict(gr.skip())
        return self._show(opened, history) | {self.session: str(opened), self.nonce: uuid4()}

    def start(self, request: gr.Request) -> Updates:
        """Start a new conversation."""
        return self.load(None, request)

    def poll(self, session: str, seen: int) -> Updates:
        """What a colleague wrote meanwhile: nobody presses anything for that."""
        opened = Session.read(session)
        if opened is None:
            return dict(gr.skip())
        try:
            self.access.check(opened)
            if self.bot.store.progress(opened.conversation_id) == ("handed_over", seen):
                return dict(gr.skip())
            return self._show(opened, self.bot.store.history(opened.conversation_id))
        except StorageError as error:
            logger.warning("the chat page could not look for news: %s", error)
            return dict(gr.skip())

    def send_typed(
        self, text: str, session: str | None, nonce: UUID, request: gr.Request
    ) -> Iterator[Updates]:
        if not text or text.isspace():
            yield gr.skip()
            return
        yield from self._send(text, session, nonce, request, typed=True)

    def send_pressed(
        self, pressed: gr.SelectData, session: str | None, nonce: UUID, request: gr.Request
    ) -> Iterator[Updates]:
        yield from self._send(pressed.value[0], session, nonce, request)

    def send_wish_for_person(
        self, session: str | None, nonce: UUID, request: gr.Request
    ) -> Iterator[Updates]:
        yield from self._send(PERSON, session, nonce, request)

    def rate(self, thumb: gr.LikeData, session: str, request: gr.Request) -> None:
        """Store a thumb. Row i of the chat is message i of the history, as groups are off."""
        try:
            opened, history = self._open(session, request)
            message = history[cast(int, thumb.index)]
            if message.author == "agent":
                gr.Info("You can rate our colleague when the conversation is over.", title="Not yet")
                return
            self.bot.store.rate(opened.conversation_id, message.seq, RATINGS.get(thumb.liked, 0))
        except Exception:
            logger.exception("a rating could not be stored")
            gr.Warning("Your rating could not be saved.", title="Not saved")

    def _send(
        self, text: str, session: str | None, nonce: UUID, request: gr.Request, typed: bool = False
    ) -> Iterator[Updates]:
        """Show the customer's message, then the bot's. What was not accepted goes back into the text box.

        The message's id comes from the page's nonce and the text, and the nonce changes with each
        accepted message: a second click, or a second try after a failure, is known to be the same message.
        """
        unsent: Updates = {self.box: text if typed else gr.skip()}
        try:
            opened, history = self._open(session, request)
            unsent |= self._show(opened, history)
            text = text if typed else _text_behind(text, history)
            rows = [*_rows(history), {"role": "user", "content": escape(mask(text), quote=False)}]
            yield {
                self.chat: gr.update(value=[*rows, TYPING], elem_classes=["typing"]),
                self.suggestions: gr.update(visible=False),
                self.box: "" if typed else gr.skip(),
                self.session: str(opened),
            }
            replies = self.bot.reply(opened.conversation_id, text, str(uuid5(nonce, text)))
            for frame in range(1, FRAMES if replies else 1):
                revealed = _rows(_reveal(replies, frame / FRAMES))
                yield {self.chat: gr.update(value=[*rows, *revealed], elem_classes=[])}
                time.sleep(ANIMATION_SECONDS / FRAMES)
            shown = self._show(opened, self.bot.store.history(opened.conversation_id))
            yield shown | {self.nonce: uuid4()}
        except (BadMessage, TooMany) as error:
            gr.Warning(escape(str(error)), title="Not sent")
            yield unsent
        except Exception:
            logger.exception("a message could not be answered")
            gr.Warning(SORRY, title="Not sent")
            yield unsent

    def _open(self, session: str | None, request: gr.Request) -> tuple[Session, tuple[Message, ...]]:
        """The session with its history; a new one where the browser's is not known. Raises TooMany."""
        address = request.client.host
        opened = Session.read(session)
        if opened is not None:
            try:
                self.access.enter(opened.conversation_id, Caller(address, visitor=digest(opened.token)))
                return opened, self.bot.store.history(opened.conversation_id)
            except UnknownConversation:
                logger.info("a browser came with an unknown conversation")
        opened = self.access.start(Caller(address), request.query_params.get("site"))
        return opened, self.bot.store.history(opened.conversation_id)

    def _show(self, opened: Session, history: Sequence[Message]) -> Updates:
        labels = [button.label for button in history[-1].buttons]
        if not labels and all(message.author != "customer" for message in history):
            labels = list(STARTERS)
        feedback = [FEEDBACK[message.rating] for message in history if message.author != "customer"]
        return {
            self.chat: gr.update(value=_rows(history), feedback_value=feedback, elem_classes=[]),
            self.suggestions: gr.update(
                samples=[[label] for label in labels], sample_labels=labels, visible=bool(labels)
            ),
            self.seen: len(history),
            self.timer: gr.Timer(active=self.bot.store.status(opened.conversation_id) == "handed_over"),
        }


def _rows(messages: Sequence[Message]) -> list[dict[str, str]]:
    """Rows of gr.Chatbot, which renders HTML even where render_markdown is off: so it is escaped here."""
    return [
        {
            "role": "user" if message.author == "customer" else "assistant",
            "content": _signature(message) + escape(message.shown, quote=False),
        }
        for message in messages
    ]


def _signature(message: Message) -> str:
    """The name of the colleague who wrote it."""
    return f"<b>{escape(message.signed)}</b>\n" if message.signed else ""


def _reveal(messages: Sequence[Message], share: float) -> list[Message]:
    """The messages when `share` of their words has appeared; one word from the start, the last at the end."""
    words = [split_words(message.text) for message in messages]
    left = max(1, int(share * sum(map(len, words))))
    revealed = []
    for message, pieces in zip(messages, words, strict=True):
        if left > 0:
            revealed.append(replace(message, text="".join(pieces[:left])))
        left -= len(pieces)
    return revealed


def _text_behind(label: str, history: Sequence[Message]) -> str:
    """What pressing the suggestion `label` sends."""
    return {button.label: button.text for button in history[-1].buttons}.get(label, label)


def _header(business: str, assistant: str) -> str:
    return f"""
    <div class="monogram" aria-hidden="true">{escape(business[:1])}</div>
    <div>
      <h1>{escape(business)}</h1>
      <p>{escape(assistant)}, virtual assistant</p>
    </div>
    """
