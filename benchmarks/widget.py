"""What the widget costs the page that embeds it, and how soon the chat is there, in headless Chromium.

    python -m benchmarks.widget [--runs 15] [--out FILE]

The page stands on another origin than the bot. `load_ms` is the page's own load event, with and without the
script tag; `click_to_chat_ms` the time from the click on the bubble until the text box takes a message, once
the page was idle and where the click came at once.
"""

import argparse
import functools
import shutil
import statistics
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from tempfile import TemporaryDirectory

from playwright.sync_api import Browser, Page, sync_playwright

from benchmarks.server import running_server, write

WIDGET = Path(__file__).parents[1] / "ui" / "widget" / "widget.js"
PORTAL = "sites:\n  shop:\n    origins: [{origin}]\n"
PAGE = "<!doctype html><html lang=en><title>shop</title><body><h1>Shop</h1>{tag}</body></html>"
TAG = '<script src="{bot}/widget.js" data-site="shop"></script>'
LOADED = "performance.getEntriesByType('navigation')[0].loadEventEnd"
IDLE_SECONDS = 4


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--runs", type=int, default=15)
    arguments.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".json"))
    options = arguments.parse_args()
    with TemporaryDirectory() as name, _site(Path(name)) as origin:
        folder = Path(name)
        (folder / "portal.yaml").write_text(PORTAL.format(origin=origin), encoding="utf-8")
        with running_server(folder, CHATBOT_PORTAL=str(folder / "portal.yaml")) as server:
            (folder / "without.html").write_text(PAGE.format(tag=""), encoding="utf-8")
            (folder / "with.html").write_text(PAGE.format(tag=TAG.format(bot=server.url)), encoding="utf-8")
            with sync_playwright() as playwright:
                browser = playwright.chromium.launch(
                    executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-gpu"]
                )
                figures = measure(browser, origin, options.runs)
                browser.close()
    write(options.out, {"script_bytes": WIDGET.stat().st_size, **figures})


def measure(browser: Browser, origin: str, runs: int) -> dict[str, float]:
    without, with_tag, idle, at_once = [], [], [], []
    for _ in range(runs + 1):  # the first warms up
        without.append(_load(browser, f"{origin}/without.html"))
        with_tag.append(_load(browser, f"{origin}/with.html"))
        idle.append(_click(browser, f"{origin}/with.html", IDLE_SECONDS))
        at_once.append(_click(browser, f"{origin}/with.html", 0))
    return {
        "runs": runs,
        "load_ms": round(statistics.median(without[1:]), 1),
        "load_with_widget_ms": round(statistics.median(with_tag[1:]), 1),
        "click_to_chat_ms": round(statistics.median(idle[1:])),
        "click_to_chat_max_ms": round(max(idle[1:])),
        "click_at_once_to_chat_ms": round(statistics.median(at_once[1:])),
    }


def _load(browser: Browser, url: str) -> float:
    with _new_page(browser) as page:
        page.goto(url)
        page.wait_for_function(f"{LOADED} > 0")
        return float(page.evaluate(LOADED))


def _click(browser: Browser, url: str, wait: float) -> float:
    with _new_page(browser) as page:
        page.goto(url)
        time.sleep(wait)
        start = time.perf_counter()
        page.locator("deskmoe-chat .bubble").click()
        box = page.frame_locator("deskmoe-chat iframe").get_by_label("Your message")
        box.wait_for()
        page.frame_locator("deskmoe-chat iframe").locator("#chat [data-testid=bot]").wait_for()
        return 1000 * (time.perf_counter() - start)


@contextmanager
def _new_page(browser: Browser) -> Iterator[Page]:
    context = browser.new_context()
    yield context.new_page()
    context.close()


@contextmanager
def _site(folder: Path) -> Iterator[str]:
    handler = functools.partial(_Quiet, directory=str(folder))
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://localhost:{server.server_port}"
    server.shutdown()
    server.server_close()


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        pass


if __name__ == "__main__":
    main()
