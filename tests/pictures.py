"""The pictures of docs/, taken of the sample handbook: `python -m tests.pictures --index index/sample --out docs`."""

from __future__ import annotations

import argparse
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rag.answer import Answerer
from rag.settings import Settings
from tests.test_browser import CHROMIUM, FLAGS, PATIENCE, ask

FIRST = "What exactly counts as a closed sailing?"
QUESTIONS = (FIRST, "How many days of leave can I carry over?", "On which day of the month do wages arrive?")
SILENT = "Who is allowed to use the photocopier?"


@contextmanager
def served(answerer: Any, folder: str, **more: Any) -> Iterator[str]:
    """The address of a real server over an engine; what visitors leave behind goes into `folder`."""
    from rag.web.portal import Server, create_app, listen

    listener = listen(Settings(port=0))
    server = Server(create_app(answerer, Settings(index=folder, **more)))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()
        listener.close()


def main() -> None:
    """Take them."""
    parser = argparse.ArgumentParser(prog="python -m tests.pictures", description=__doc__)
    parser.add_argument("--index", default="index/sample")
    parser.add_argument("--out", default="docs", type=Path)
    args = parser.parse_args()
    from playwright.sync_api import sync_playwright

    engine = Answerer.open(args.index)
    with (
        tempfile.TemporaryDirectory() as folder,
        served(engine, folder, examples=QUESTIONS) as address,
        sync_playwright() as playwright,
    ):
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=FLAGS)

        def page(width: int, height: int, scheme: str) -> Any:
            size: Any = {"width": width, "height": height}
            opened = browser.new_context(viewport=size, color_scheme=scheme, reduced_motion="reduce").new_page()
            opened.set_default_timeout(4 * PATIENCE)
            opened.goto(address)
            opened.wait_for_selector(".welcome button")
            return opened

        def taken(opened: Any, name: str) -> None:
            opened.wait_for_timeout(300)
            opened.screenshot(path=str(args.out / f"{name}.png"))

        wide = page(1440, 900, "light")
        taken(wide, "chat-welcome")
        ask(wide, FIRST)
        wide.wait_for_selector(".state:not(.loading)")
        taken(wide, "chat")
        ask(wide, SILENT)
        taken(wide, "chat-silence")
        for question in QUESTIONS[1:]:
            wide.click("[aria-label='New conversation']")
            ask(wide, question)
        wide.click("[aria-label='Conversations']")
        wide.wait_for_selector(".saved li")
        taken(wide, "chat-history")
        phone = page(390, 844, "dark")
        ask(phone, FIRST).locator(".bad").click()
        taken(phone, "chat-phone")
        browser.close()


if __name__ == "__main__":
    main()
