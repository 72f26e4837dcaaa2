"""What is counted, for Prometheus. Nothing here names a customer or a conversation."""

from collections.abc import Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from chatbot.plan import Plan

REGISTRY = CollectorRegistry()
SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
FALLBACKS = ("rephrase", "decline", "clarify")
"""Actions by which the bot says that it did not understand, or cannot help."""

TURNS = Counter(
    "chatbot_turns", "Messages of customers that were taken, by who decided.", ["policy"], registry=REGISTRY
)
STAGES = Histogram(
    "chatbot_turn_stage_seconds", "Time of a turn by stage.", ["stage"], buckets=SECONDS, registry=REGISTRY
)
FALL_BACKS = Counter("chatbot_fallbacks", "Turns that ended in a fall-back.", ["action"], registry=REGISTRY)
HANDOFFS = Counter("chatbot_handoffs", "Conversations handed over to people.", registry=REGISTRY)
EXECUTIONS = Counter(
    "chatbot_executions", "Calls of the business system.", ["task", "outcome"], registry=REGISTRY
)
WORDINGS = Counter(
    "chatbot_wordings",
    "Replies of which the generator was to word a part, by who did and how that came.",
    ["made_by", "how"],
    registry=REGISTRY,
)
ERRORS = Counter("chatbot_errors", "Requests that failed for our reasons.", ["kind"], registry=REGISTRY)
REQUESTS = Histogram(
    "chatbot_request_seconds",
    "Time of HTTP requests.",
    ["method", "route", "status"],
    buckets=SECONDS,
    registry=REGISTRY,
)
AT_WORK = Gauge("chatbot_requests_at_work", "Requests that run or wait for a thread.", registry=REGISTRY)
WAITING = Gauge("chatbot_waiting_conversations", "Conversations that wait for a person.", registry=REGISTRY)
OUTBOX = Gauge("chatbot_webhook_events_waiting", "Events that webhooks have not taken.", registry=REGISTRY)

CONTENT_TYPE = CONTENT_TYPE_LATEST


def count_turn(plan: Plan, milliseconds: Mapping[str, float]) -> None:
    """Take in a turn that is written down."""
    TURNS.labels(plan.policy_version or "nobody").inc()
    for stage, elapsed in milliseconds.items():
        STAGES.labels(stage).observe(elapsed / 1000)
    kinds = [action.kind for action in plan.actions]
    for kind in FALLBACKS:
        if kind in kinds:
            FALL_BACKS.labels(kind).inc()
    if "handoff" in kinds:
        HANDOFFS.inc()
    for execution in plan.executions:
        EXECUTIONS.labels(execution.task, execution.outcome or "no_answer").inc()


def exposition() -> bytes:
    return generate_latest(REGISTRY)
