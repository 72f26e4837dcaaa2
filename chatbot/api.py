"""The HTTP interface: conversations, other programs' protocols, metrics, and whether the service is up."""

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import fastapi_offline
from fastapi import FastAPI, Response
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.responses import HTMLResponse
from fastapi.routing import APIRoute
from fastapi.staticfiles import StaticFiles

from chatbot import metrics
from chatbot.access import Access
from chatbot.bot import Chatbot
from chatbot.completions import build_completion_routes
from chatbot.conversation_routes import build_conversation_routes
from chatbot.logs import RequestLog
from chatbot.origins import ContentPolicy, OriginCheck
from chatbot.portal import Portal
from chatbot.problems import RETRY_AFTER, BodyLimit, Failsafe, answer_errors, problem, problems
from chatbot.rasa import build_rasa_routes
from chatbot.rates import RateConfig, Rates
from chatbot.recovery import recover
from chatbot.webhooks import Delivery
from chatbot.workers import Overloaded, Workers
from storage.api_keys import find_api_key
from storage.faults import StorageError

DOCUMENT_FILES = Path(fastapi_offline.__file__).parent / "static"
"""Swagger's own page, so that the documents need no other site."""


@dataclass(frozen=True)
class ApiConfig:
    body_limit: int = 64 * 1024
    body_seconds: float = 15
    portal: Portal = field(default_factory=Portal)
    rates: RateConfig = field(default_factory=RateConfig)
    open_api: bool = False
    demo: bool = True


def create_api(bot: Chatbot, config: ApiConfig | None = None) -> FastAPI:
    """The API of `bot`. What it does runs in `workers`; interrupted turns are finished from its start on.

    `app.state.access` is for pages beside it.
    """
    config = config or ApiConfig()
    business = bot.pack.domain.business
    workers = Workers()
    metrics.AT_WORK.set_function(lambda: workers.begun)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        stop = threading.Event()
        threading.Thread(target=recover, args=(bot, stop), name="recovery", daemon=True).start()
        delivery = _start_delivery(bot, config.portal) if config.portal.webhooks else None
        yield
        stop.set()
        await asyncio.to_thread(bot.close)
        if delivery is not None:
            delivery.stop()
        workers.close()

    app = FastAPI(
        title=f"{business} chatbot",
        summary=f"Conversations with {bot.pack.domain.assistant}, the virtual assistant of {business}.",
        version="1",
        docs_url=None,
        redoc_url=None,
        lifespan=lifespan,
        generate_unique_id_function=_operation_id,
    )
    app.add_middleware(BodyLimit, limit=config.body_limit, seconds=config.body_seconds)
    app.add_middleware(OriginCheck, allowed=config.portal.origins)
    app.add_middleware(ContentPolicy, portal=config.portal)
    app.add_middleware(Failsafe)
    app.add_middleware(RequestLog)  # the outermost
    answer_errors(app)
    access = Access(
        bot,
        workers,
        lambda text: find_api_key(bot.store.engine, text),
        lru_cache(maxsize=4096)(bot.store.token_of),
        config.portal,
        Rates(config.rates),
        config.open_api,
    )
    app.state.access = access
    app.include_router(build_conversation_routes(access, workers))
    app.include_router(build_completion_routes(access, workers))
    app.include_router(build_rasa_routes(access, workers))
    _add_health(app, bot, workers)
    _add_documents(app)
    return app


def _start_delivery(bot: Chatbot, portal: Portal) -> Delivery:
    delivery = Delivery(bot.store.engine, portal)
    bot.events.subscribe(delivery.wake)
    threading.Thread(target=delivery.run, name="webhooks", daemon=True).start()
    return delivery


def _add_health(app: FastAPI, bot: Chatbot, workers: Workers) -> None:
    @app.get("/healthz", tags=["health"])
    async def report_health() -> dict[str, str]:
        """The process lives."""
        return {"status": "ok"}

    @app.get("/readyz", tags=["health"], response_model=dict[str, str], responses=problems(503))
    async def report_readiness() -> dict[str, str] | Response:
        """The database answers, so that conversations can be served."""
        try:
            await workers.run(bot.store.ping)
        except (StorageError, Overloaded) as error:
            return problem(503, str(error), {"Retry-After": RETRY_AFTER})
        return {"status": "ready"}

    @app.get("/metrics", tags=["health"], response_class=Response, responses={200: _METRICS})
    async def report_metrics() -> Response:
        """What Prometheus reads."""
        try:
            metrics.WAITING.set(await workers.run(bot.store.count_waiting))
        except (StorageError, Overloaded):
            metrics.WAITING.set(float("nan"))
        return Response(metrics.exposition(), media_type=metrics.CONTENT_TYPE)


def _add_documents(app: FastAPI) -> None:
    app.mount("/docs/files", StaticFiles(directory=DOCUMENT_FILES), name="document-files")

    @app.get("/docs", include_in_schema=False)
    async def show_documents() -> HTMLResponse:
        return get_swagger_ui_html(
            openapi_url="openapi.json",
            title=app.title,
            swagger_js_url="docs/files/swagger-ui-bundle.js",
            swagger_css_url="docs/files/swagger-ui.css",
            swagger_favicon_url="docs/files/favicon.png",
        )


def _operation_id(route: APIRoute) -> str:
    return route.name


_METRICS = {
    "description": "Prometheus's text format",
    "content": {"text/plain": {"example": "chatbot_turns_total 17.0\n"}},
}
