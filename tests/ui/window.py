"""What a test does in a window with the chat page."""

from playwright.sync_api import Locator, Page, expect

GREETING = "Hello, I am Marlow. How can I help you today?"


def visit(page: Page, url: str) -> Page:
    page.goto(url)
    expect(said_by("bot", page).first).to_have_text(GREETING)
    return page


def said_by(role: str, page: Page) -> Locator:
    """The messages of the "bot" or the "user"."""
    return page.locator(f"#chat [data-testid={role}]")


def send(page: Page, text: str) -> None:
    page.get_by_label("Your message").fill(text)
    page.get_by_role("button", name="Send", exact=True).click()


def expect_reply(page: Page, text: str) -> None:
    """Waits until the reply that ends with the message `text` is complete."""
    expect(said_by("bot", page).last).to_have_text(text)
    expect(page.locator("#chat.typing")).to_have_count(0)


def suggestion(page: Page, label: str) -> Locator:
    return page.locator("#suggestions").get_by_role("button", name=label, exact=True)
