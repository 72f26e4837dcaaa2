"""How long a page for staff takes to open in headless Chromium, until its content stands there."""

import shutil
import socket
import statistics
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn
from playwright.sync_api import Page, sync_playwright

from benchmarks.plain_bot import build_plain_bot
from storage.staff import add_staff
from ui.app import create_app_for

PASSWORD = "a password for the benchmark"
RUNS = 7


def open_pages(database: str) -> dict[str, float]:
    """Milliseconds, the median of several times; the first time is left out."""
    bot = build_plain_bot(database)
    add_staff(bot.store.engine, "ana", "Ana", "supervisor", PASSWORD, "a benchmark")
    with _serving(create_app_for(bot)) as url, sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-gpu"]
        )
        page = browser.new_page()
        page.goto(f"{url}/review")
        page.get_by_label("Account").fill("ana")
        page.get_by_label("Password").fill(PASSWORD)
        page.get_by_role("button", name="Sign in").click()
        page.get_by_role("button", name="Sign out").wait_for()
        figures = {
            "open_review_ms": _median(page, f"{url}/review/", "button.case"),
            "open_insights_ms": _median(page, f"{url}/insights/", ".tiles div"),
            "choose_90_days_ms": statistics.median(_choose_90_days(page, url) for _ in range(RUNS)),
        }
        browser.close()
    return {name: round(figure) for name, figure in figures.items()}


def _median(page: Page, url: str, content: str) -> float:
    times = []
    for _ in range(RUNS + 1):
        start = time.perf_counter()
        page.goto(url)
        page.locator(content).first.wait_for()
        times.append(1000 * (time.perf_counter() - start))
    return statistics.median(times[1:])


def _choose_90_days(page: Page, url: str) -> float:
    page.goto(f"{url}/insights/")
    tile = page.locator(".tiles div").first
    tile.wait_for()
    before = tile.inner_text()
    page.get_by_label("Period", exact=True).click()
    start = time.perf_counter()
    page.get_by_role("option", name="90 days").click()
    page.wait_for_function("before => document.querySelector('.tiles div')?.innerText !== before", arg=before)
    return 1000 * (time.perf_counter() - start)


@contextmanager
def _serving(app: object) -> Iterator[str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = uvicorn.Server(uvicorn.Config(app, port=port, log_level="error"))  # type: ignore[arg-type]
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.02)
    yield f"http://127.0.0.1:{port}"
    server.should_exit = server.force_exit = True
    thread.join(timeout=10)
