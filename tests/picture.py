"""A picture of a page, taken without network: `python -m tests.picture PAGE.html OUT.png [WIDTH HEIGHT]`."""

from __future__ import annotations

import sys
from pathlib import Path

from tests.test_evaluate_report import CHROMIUM, FLAGS


def take(page: Path, out: Path, width: int = 1280, height: int = 1000) -> None:
    """Write what a browser shows of the top of `page` to the PNG file `out`. The browser is offline."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        shown = browser.new_context(offline=True, viewport={"width": width, "height": height}).new_page()
        shown.goto(page.resolve().as_uri())
        shown.screenshot(path=out)
        browser.close()


if __name__ == "__main__":
    take(Path(sys.argv[1]), Path(sys.argv[2]), *map(int, sys.argv[3:]))
