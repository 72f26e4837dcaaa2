"""How soon the first words of a reply come that the generator words: from the server, and on the page.

    python -m benchmarks.first_words [--messages 60] [--page 20] [--reply moe|template] [--out FILE]

The shipped server runs as a process of its own. Each conversation begins with another sentence of the pack's
customers who want something done, which the bot answers with a question; replies that the generator did not
word (by the server's own count) are left out, but with --reply template. `server` is from sending the
message over HTTP to the first event with words of the reply and to the end of the stream, `page` from the
Enter key in headless Chromium to the first frame that shows words of the reply and to that with all of it.
"""

import argparse
import os
import random
import re
import shutil
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx
from playwright.sync_api import Browser, expect, sync_playwright

from benchmarks.server import running_server, write
from chatbot.settings import Settings
from domains.loader import load_pack
from nlu.sentences import load_pack_examples

WARM_UP = 3
COUNTER = re.compile(r'^chatbot_wordings_total\{.*made_by="moe"\} (\S+)', re.MULTILINE)
WATCH = """() => {
    const chat = document.querySelector("#chat");
    const replies = () => [...chat.querySelectorAll("[data-testid=bot]")].map(e => e.innerText.trim());
    const before = replies().length;
    window.times = {};
    addEventListener("keydown", () => { times.pressed ??= performance.now(); }, {capture: true});
    const look = () => {
        const text = replies()[before] ?? "";
        if (text !== "" && text !== "…") {
            times.first ??= performance.now() - times.pressed;
            if (text !== times.text) { times.text = text; times.last = performance.now() - times.pressed; }
        }
        requestAnimationFrame(look);
    };
    requestAnimationFrame(look);
}"""
"""Looks at every frame, so that what is noted stood there when it was drawn."""
STILL_MS = 700
"""For which a reply does not change any more once it is whole."""

Times = tuple[float, float]
"""Milliseconds to the first words and to the last."""


def openings(count: int) -> list[str]:
    """Different sentences of customers who want a task done."""
    pack, rng = load_pack(Settings().domain), random.Random(0)
    wishes = {
        e.text for e in load_pack_examples(pack, rng) if e.intents and {*e.intents} <= pack.tasks.keys()
    }
    return rng.sample(sorted(wishes), count)


def over_http(client: httpx.Client, text: str) -> Times:
    path = f"/v1/conversations/{client.post('/v1/conversations').json()['id']}/messages"
    first, start = 0.0, time.perf_counter()
    with client.stream("POST", path, json={"text": text}, headers={"accept": "text/event-stream"}) as reply:
        reply.raise_for_status()
        for line in reply.iter_lines():
            if line == "event: token" and not first:
                first = time.perf_counter()
    return 1000 * (first - start), 1000 * (time.perf_counter() - start)


def on_page(browser: Browser, url: str, text: str) -> Times:
    context = browser.new_context()
    page = context.new_page()
    page.goto(url)
    expect(page.locator("#chat [data-testid=bot]")).to_have_count(1)
    box = page.get_by_label("Your message")
    box.fill(text)
    page.evaluate(WATCH)
    box.press("Enter")
    page.wait_for_function(
        "still => times.last !== undefined && performance.now() - times.pressed - times.last > still",
        arg=STILL_MS,
    )
    times: dict[str, Any] = page.evaluate("times")
    context.close()
    return times["first"], times["last"]


def measure(
    take: Callable[[str], Times], texts: Sequence[str], worded: Callable[[], float] | None
) -> dict[str, float]:
    firsts, lasts = [], []
    for number, text in enumerate(texts):
        before = worded() if worded else -1
        first, last = take(text)
        if number >= WARM_UP and (worded is None or worded() > before):
            firsts.append(first)
            lasts.append(last)
    return {
        "replies": len(firsts),
        "first_words_p50_ms": round(statistics.median(firsts)),
        "first_words_p95_ms": round(statistics.quantiles(firsts, n=20)[-1]),
        "whole_p50_ms": round(statistics.median(lasts)),
        "whole_p95_ms": round(statistics.quantiles(lasts, n=20)[-1]),
    }


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    arguments.add_argument("--messages", type=int, default=60)
    arguments.add_argument("--page", type=int, default=20)
    arguments.add_argument("--reply", choices=["moe", "template"], default="moe")
    arguments.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".json"))
    options = arguments.parse_args()
    texts = openings(2 * WARM_UP + options.messages + options.page)
    split = WARM_UP + options.messages
    with (
        TemporaryDirectory() as folder,
        running_server(Path(folder), CHATBOT_REPLY=options.reply) as server,
        httpx.Client(base_url=server.url, timeout=30) as client,
        sync_playwright() as playwright,
    ):

        def worded() -> float:
            return sum(map(float, COUNTER.findall(client.get("/metrics").text)))

        count = worded if options.reply == "moe" else None
        figures = {"server": measure(lambda text: over_http(client, text), texts[:split], count)}
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-gpu"]
        )
        figures["page"] = measure(lambda text: on_page(browser, server.url, text), texts[split:], count)
        browser.close()
    load = [round(average, 1) for average in os.getloadavg()]
    write(options.out, {"reply": options.reply, **figures, "load": load})


if __name__ == "__main__":
    main()
