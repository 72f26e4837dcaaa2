"""Events to the addresses that asked for them: signed, and tried again until they are taken."""

import hashlib
import hmac
import json
import logging
import threading
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import httpx
from sqlalchemy import Engine

from chatbot.metrics import OUTBOX
from chatbot.portal import Portal, Webhook
from storage.faults import StorageError
from storage.outbox import Parcel, count_parcels, delivered, due_parcels, put_off
from storage.records import Event

SIGNATURE = "X-Chatbot-Signature"
"""`t=SECONDS,v1=HEX`, where HEX is the HMAC-SHA256 of `SECONDS.BODY` under the webhook's secret."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class DeliveryConfig:
    timeout_seconds: float = 10
    first_pause_seconds: float = 2
    longest_pause_seconds: float = 3600
    give_up_after: timedelta = timedelta(days=3)
    look_seconds: float = 2
    """How often the outbox is looked at when nothing wakes the thread."""


def sign(body: bytes, secret: str, seconds: int) -> str:
    digest = hmac.new(secret.encode(), f"{seconds}.".encode() + body, hashlib.sha256).hexdigest()
    return f"t={seconds},v1={digest}"


class Delivery:
    """Takes events from the outbox to their webhooks, in a thread of its own."""

    def __init__(self, engine: Engine, portal: Portal, config: DeliveryConfig | None = None) -> None:
        self._engine, self._webhooks = engine, portal.webhooks
        self._config = config or DeliveryConfig()
        self._woken, self._stopped = threading.Event(), threading.Event()

    def wake(self, event: Event) -> None:
        self._woken.set()

    def run(self) -> None:
        """Deliver until `stop`."""
        with httpx.Client(timeout=self._config.timeout_seconds, follow_redirects=False) as client:
            while not self._stopped.is_set():
                self._woken.clear()
                try:
                    busy = self.deliver_due(client)
                    OUTBOX.set(count_parcels(self._engine))
                except StorageError as error:
                    logger.warning("webhook events cannot be looked for: %s", error)
                    busy = False
                if not busy:
                    self._woken.wait(self._config.look_seconds)

    def stop(self) -> None:
        self._stopped.set()
        self._woken.set()

    def deliver_due(self, client: httpx.Client) -> bool:
        """Try once what is due now, in the order in which it happened; whether there was anything."""
        parcels = due_parcels(self._engine, datetime.now(UTC))
        for parcel in parcels:
            webhook = self._webhooks.get(parcel.webhook)
            if webhook is None or not _wants(webhook, parcel.event):
                delivered(self._engine, parcel.id)
            elif problem := self._post(client, webhook, parcel.event):
                self._put_off(parcel, problem)
            else:
                delivered(self._engine, parcel.id)
        return bool(parcels)

    def _post(self, client: httpx.Client, webhook: Webhook, event: Event) -> str | None:
        """What went wrong; None where the webhook took the event."""
        body = json.dumps(
            {
                "id": event.id,
                "event": event.kind,
                "at": event.at.isoformat(),
                "conversation_id": event.conversation_id,
                "data": dict(event.details),
            },
            ensure_ascii=False,
        ).encode()
        headers = {
            "Content-Type": "application/json",
            SIGNATURE: sign(body, webhook.secret.get_secret_value(), int(time.time())),
        }
        try:
            answer = client.post(webhook.url, content=body, headers=headers)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            return type(error).__name__
        return None if answer.is_success else f"status {answer.status_code}"

    def _put_off(self, parcel: Parcel, problem: str) -> None:
        now, config = datetime.now(UTC), self._config
        pause = min(config.first_pause_seconds * 2**parcel.attempts, config.longest_pause_seconds)
        again = now + timedelta(seconds=pause)
        if now - parcel.created_at > config.give_up_after:
            logger.error("webhook %s never took event %s (%s)", parcel.webhook, parcel.event.id, problem)
            put_off(self._engine, parcel.id, None)
            return
        logger.warning("webhook %s did not take event %s (%s)", parcel.webhook, parcel.event.id, problem)
        put_off(self._engine, parcel.id, again)


def _wants(webhook: Webhook, event: Event) -> bool:
    return not webhook.events or event.kind in webhook.events
