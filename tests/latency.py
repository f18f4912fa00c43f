"""From Enter to the first evidence and to the complete answer on screen, in Chromium, and what the page adds.

`python -m tests.latency --index index/sample --questions samples/questions/report.jsonl --count 100` (idle machine)
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

from rag.answer import Answerer
from tests.pictures import served
from tests.test_browser import CHROMIUM, FLAGS

# Milliseconds from Enter to the first evidence and to the answer, as painted: a frame is awaited after each.
TIMED = """(question) => new Promise((done) => {
  const box = document.querySelector("#question"), before = document.querySelectorAll(".turn").length;
  box.value = question;
  const began = performance.now();
  let first = null;
  const watching = new MutationObserver(() => {
    const turn = document.querySelectorAll(".turn")[before];
    const complete = turn?.querySelector(".card, .silence, .problem");
    if (!first && (complete || turn?.querySelector(".first .excerpt")))
      requestAnimationFrame(() => { first ??= performance.now() - began; });
    if (complete) {
      watching.disconnect();
      requestAnimationFrame(() => setTimeout(() => done([first, performance.now() - began])));
    }
  });
  watching.observe(document.querySelector(".turns"), { childList: true, subtree: true });
  box.dispatchEvent(new KeyboardEvent("keydown", { key: "Enter", bubbles: true }));
})"""
ENGINE = """fetch(`chat/conversations/${location.hash.split("/")[1]}`).then((r) => r.json())
  .then(({ turns }) => turns.at(-1).answer?.timings_ms.total)"""


def main() -> None:
    """Ask, and print a table."""
    parser = argparse.ArgumentParser(prog="python -m tests.latency", description=__doc__)
    parser.add_argument("--index", default="index/sample")
    parser.add_argument("--questions", default="samples/questions/report.jsonl", type=Path)
    parser.add_argument("--count", default=100, type=int)
    args = parser.parse_args()
    from playwright.sync_api import sync_playwright

    rows = [json.loads(line) for line in args.questions.read_text("utf-8").splitlines()]
    asked = [rows[n % len(rows)]["question"] for n in range(args.count)]
    engine = Answerer.open(args.index)
    engine.ask(asked[0])  # warm
    measured: list[tuple[float, float, float]] = []
    with (
        tempfile.TemporaryDirectory() as folder,
        served(engine, folder, requests_per_minute=0) as address,
        sync_playwright() as playwright,
    ):
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=FLAGS)
        page = browser.new_page(viewport={"width": 1440, "height": 900})
        page.goto(address)
        page.wait_for_selector(".welcome h2")
        for question in asked:
            page.click("[aria-label='New conversation']")
            first, complete = page.evaluate(TIMED, question)
            measured.append((first, complete, complete - float(page.evaluate(ENGINE) or complete)))
        browser.close()
    _, passages = engine.index.store.count()
    print(f"{len(measured)} questions at {passages} passages, ms\n\n| | p50 | p95 |\n|---|---|---|")
    for name, column in zip(
        ("first evidence", "complete answer", "added to the engine"), _columns(measured), strict=True
    ):
        print(f"| {name} | {_at(column, 0.5):.0f} | {_at(column, 0.95):.0f} |")


def _columns(rows: list[tuple[float, float, float]]) -> list[list[float]]:
    return [sorted(column) for column in zip(*rows, strict=True)]


def _at(ordered: list[Any], share: float) -> float:
    return float(ordered[min(len(ordered) - 1, int(share * len(ordered)))])


if __name__ == "__main__":
    main()
