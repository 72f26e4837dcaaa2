"""/v1/conversations: start one, send messages, read, watch, rate, and say who the customer is."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Path, Query, Request, Response
from fastapi.responses import StreamingResponse

from chatbot.access import PATH, Access, Caller, keep
from chatbot.bodies import (
    ConversationBody,
    ConversationId,
    CustomerRequest,
    MessageRequest,
    MessagesBody,
    RatingRequest,
    StartedBody,
    message_bodies,
)
from chatbot.bot import UnknownCustomer
from chatbot.identity import read_identity
from chatbot.problems import problems
from chatbot.streams import EVENT_SCHEMA, EVENT_STREAM, HEADERS, LiveStreams, stream_reply
from chatbot.workers import Workers

ANYWHERE = (401, 403, 422, 429, 503)
LARGEST_SEQ = 2**31 - 1


def build_conversation_routes(access: Access, workers: Workers) -> APIRouter:
    router = APIRouter(prefix=PATH, tags=["conversations"])
    bot, streams = access.bot, LiveStreams(access.bot, workers)
    Who = Annotated[Caller, Depends(access)]  # noqa: N806 (a type)

    @router.post("", status_code=201, responses=problems(*ANYWHERE), response_model_exclude_none=True)
    async def start_conversation(caller: Who, request: Request, response: Response) -> StartedBody:
        """Start a conversation. The answer holds the greeting, and the token to go on with it."""
        site = access.portal.site_of(request.headers.get("origin"))
        session = await workers.run(access.start, caller, site)
        if caller.browser:
            keep(session, response, request)
        history = await workers.run(bot.store.history, session.conversation_id)
        return StartedBody(id=session.conversation_id, token=session.token, messages=message_bodies(history))

    @router.get("/{conversation_id}", responses=problems(404, *ANYWHERE), response_model_exclude_none=True)
    async def read_conversation(
        caller: Who,
        conversation_id: ConversationId,
        after: Annotated[
            int, Query(ge=0, le=LARGEST_SEQ, description="Number of the last known message.")
        ] = 0,
        limit: Annotated[
            int | None, Query(ge=1, le=500, description="Messages a page; all by default.")
        ] = None,
    ) -> ConversationBody:
        """The history of a conversation, from the beginning or page by page."""
        await workers.run(access.enter, conversation_id, caller)
        more = None if limit is None else limit + 1
        history = await workers.run(bot.store.history, conversation_id, after, more)
        status = await workers.run(bot.store.status, conversation_id)
        page = history[:limit]
        following = page[-1].seq if len(history) > len(page) else None
        return ConversationBody(
            id=conversation_id, status=status, messages=message_bodies(page), next=following
        )

    @router.post(
        "/{conversation_id}/messages",
        response_model=MessagesBody,
        response_model_exclude_none=True,
        responses=problems(400, 404, 408, 413, *ANYWHERE)
        | {200: {"description": "The bot's messages", "content": EVENT_STREAM}},
    )
    async def send_message(
        caller: Who,
        conversation_id: ConversationId,
        message: MessageRequest,
        accept: Annotated[str, Header()] = "",
    ) -> MessagesBody | StreamingResponse:
        """Send a customer's message and get the bot's; streamed where `Accept` is text/event-stream."""
        await workers.run(access.enter, conversation_id, caller)
        replies = message_bodies(
            await workers.run(bot.reply, conversation_id, message.text, message.client_message_id)
        )
        if "text/event-stream" not in accept:
            return MessagesBody(messages=replies)
        return StreamingResponse(stream_reply(replies), media_type="text/event-stream", headers=HEADERS)

    @router.get(
        "/{conversation_id}/events",
        response_class=StreamingResponse,
        responses=problems(404, *ANYWHERE)
        | {200: {"description": "Messages and changes of the status", "content": _LIVE}},
    )
    async def watch_conversation(
        caller: Who,
        conversation_id: ConversationId,
        after: Annotated[
            int | None, Query(ge=0, le=LARGEST_SEQ, description="Last known message; by default the newest.")
        ] = None,
        last_event_id: Annotated[str, Header(description="As a reconnecting browser sends it.")] = "",
    ) -> StreamingResponse:
        """Server-sent events of a conversation as it goes on, also with a person; the stream does not end."""
        await workers.run(access.enter, conversation_id, caller)
        streams.check_room()
        if last_event_id.isascii() and last_event_id.isdecimal():
            after = min(int(last_event_id[:10]), LARGEST_SEQ)
        elif after is None:
            after = (await workers.run(bot.store.progress, conversation_id))[1]
        stream = streams.watch(conversation_id, after)
        return StreamingResponse(stream, media_type="text/event-stream", headers=HEADERS)

    @router.put(
        "/{conversation_id}/customer", status_code=204, responses=problems(400, 404, 408, 409, 413, *ANYWHERE)
    )
    async def identify_customer(
        caller: Who, conversation_id: ConversationId, customer: CustomerRequest
    ) -> None:
        """Say who the customer is, with a token that the server of the embedding site signed."""
        owner = await workers.run(access.enter, conversation_id, caller)
        site = access.portal.sites.get(owner.site or "")
        if site is None:
            raise UnknownCustomer("The conversation began on no site that signs identities.")
        identity = read_identity(customer.token, site)
        await workers.run(bot.recognise, conversation_id, identity.customer)

    @router.post(
        "/{conversation_id}/messages/{seq}/rating",
        status_code=204,
        responses=problems(400, 404, 408, 413, *ANYWHERE),
    )
    async def rate_message(
        caller: Who,
        conversation_id: ConversationId,
        seq: Annotated[int, Path(ge=1, le=LARGEST_SEQ, examples=[3])],
        rating: RatingRequest,
    ) -> None:
        """Rate one of the bot's messages: 1 up, -1 down, 0 takes the rating back."""
        await workers.run(access.enter, conversation_id, caller)
        await workers.run(bot.store.rate, conversation_id, seq, rating.rating)

    return router


_LIVE: dict[str, Any] = {
    "text/event-stream": {
        "schema": EVENT_SCHEMA,
        "example": 'event: status\ndata: {"status": "open", "last": 3}\n\n'
        'id: 4\nevent: message\ndata: {"seq": 4, "author": "agent", "text": "Good morning"}\n\n',
    }
}
