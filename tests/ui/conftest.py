"""A real browser, and a server for it."""

import os
import shutil
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import pytest
import uvicorn
from fastapi import FastAPI
from playwright.sync_api import Browser, Page, Playwright, sync_playwright

from tests.stand_in_bot import StandInBot
from tests.ui.window import visit
from ui.app import create_app_for

CHROMIUM_OPTIONS = [
    "--no-sandbox",
    "--disable-background-networking",
    "--disable-gpu",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]
PATIENCE_MS = int(os.environ.get("TEST_PATIENCE_MS", "15000"))
"""How long a test waits for a page; a machine that is busy otherwise needs more."""


def chromium_path() -> str:
    """Skips the test where there is none."""
    chromium = shutil.which("chromium")
    if chromium is None:
        reason = "Debian's chromium is not installed: apt-get install chromium"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    return chromium


@pytest.fixture(scope="module")
def playwright_driver() -> Iterator[Playwright]:
    with sync_playwright() as playwright:
        yield playwright


@pytest.fixture(scope="module")
def browser(playwright_driver: Playwright) -> Iterator[Browser]:
    chromium = chromium_path()
    browser = playwright_driver.chromium.launch(
        executable_path=chromium, headless=True, args=CHROMIUM_OPTIONS
    )
    yield browser
    browser.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A page in a profile of its own, so with nothing stored."""
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    context.set_default_timeout(PATIENCE_MS)
    yield context.new_page()
    context.close()


@pytest.fixture
def serve() -> Iterator[Callable[[FastAPI], str]]:
    """Serves an application until the test ends; gives its URL."""
    with ExitStack() as servers:
        yield lambda app: servers.enter_context(running(app, free_port()))


@pytest.fixture
def bot() -> StandInBot:
    return StandInBot()


@pytest.fixture
def chat(bot: StandInBot, page: Page, serve: Callable[[FastAPI], str]) -> Page:
    """The page, open, with its greeting."""
    return visit(page, serve(create_app_for(bot)))


@contextmanager
def running(app: FastAPI, port: int) -> Iterator[str]:
    """Serves `app` on `port`, and stops at the end as when it is killed: no connection is waited for."""
    server = uvicorn.Server(uvicorn.Config(app, port=port, log_level="warning", timeout_graceful_shutdown=1))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    end = time.monotonic() + PATIENCE_MS / 1000
    while not server.started:
        if time.monotonic() > end or not thread.is_alive():
            raise RuntimeError(f"the server on port {port} did not start")
        time.sleep(0.02)
    yield f"http://127.0.0.1:{port}"
    server.should_exit = server.force_exit = True
    thread.join(timeout=10)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
