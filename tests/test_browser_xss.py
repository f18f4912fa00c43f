"""Two hundred payloads everywhere a document or a person can put a text, in a real Chromium: only ever text."""

from __future__ import annotations

import json
import os
import threading
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rag.settings import Settings
from tests.fakes import FakeAnswerer, Said, document
from tests.payloads import payloads

CHROMIUM = Path("/usr/bin/chromium")
FLAGS = "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking".split()
FLAGS += "--disable-component-update --disable-sync".split()
PAYLOADS = payloads("http://hacked.invalid")
TOGETHER = 20  # payloads in one document and one answer
GROUPS = [PAYLOADS[n : n + TOGETHER] for n in range(0, len(PAYLOADS), TOGETHER)]

if not CHROMIUM.exists() and "browser" not in os.environ.get("REQUIRE", ""):
    pytest.skip("needs Chromium (Debian package chromium)", allow_module_level=True)
pytestmark = [
    pytest.mark.browser,
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # pandas in gradio
]


def _answerer() -> FakeAnswerer:
    """Documents whose id, title, headings, collection and text are payloads, and answers that quote all of them."""
    import dataclasses

    documents, script = [], {}
    for group in GROUPS:
        made = document(
            f"odd/{group[0]}.txt", group[1], [("#", group[1]), ("##", group[2]), *(("p", one) for one in group)]
        )
        made = dataclasses.replace(made, collection=group[3], source=f"javascript:{group[4]}")
        documents.append(made)
        items: list[tuple[Said, ...]] = [((made, one, one[-9:]),) for one in group]
        script[group[5]] = tuple(items)
    return FakeAnswerer(documents, script)


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    from rag.web.portal import Server, create_app, listen

    settings = Settings(index=str(tmp_path_factory.mktemp("index")), title=PAYLOADS[6], examples=PAYLOADS[5:6])
    listener = listen(Settings(port=0))
    server = Server(create_app(_answerer(), settings))  # type: ignore[arg-type]
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    server.should_exit = True
    thread.join()
    listener.close()


@pytest.fixture
def page(address: str) -> Iterator[Any]:
    """A page; afterwards no script of a payload ran, no dialog or window opened, and no request left for elsewhere."""
    from playwright.sync_api import sync_playwright

    requested: list[str] = []
    odd: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=FLAGS)
        context = browser.new_context(viewport={"width": 1440, "height": 900})
        context.set_default_timeout(60_000)
        page = context.new_page()
        context.on("request", lambda request: requested.append(request.url))
        page.on("dialog", lambda dialog: odd.append(dialog.message) or dialog.dismiss())  # type: ignore[func-returns-value]
        page.on("popup", lambda popup: odd.append(popup.url))
        yield page
        page.wait_for_timeout(300)
        assert page.evaluate("window.hacked") is None
        assert page.title() != "hacked"
        assert page.evaluate("document.querySelectorAll('iframe, object, embed, base[href*=hacked]').length") == 0
        browser.close()
    assert odd == []
    assert [url for url in requested if not url.startswith((address + "/", "data:", "blob:", "file:"))] == []


def test_the_chat_the_source_and_what_is_kept_show_them_as_text(page: Any, address: str, tmp_path: Path) -> None:
    page.goto(address)
    page.wait_for_selector(".welcome button")
    for number, group in enumerate(GROUPS):
        page.fill("#question", group[5])
        page.keyboard.press("Enter")
        turn = page.locator(".turn").nth(number)
        turn.locator("blockquote").nth(TOGETHER - 1).wait_for()
        assert turn.locator(".asked").text_content() == group[5]
        assert tuple(turn.locator(".card blockquote").all_text_contents()) == group
        assert turn.locator(".cite .title").first.text_content() == group[1]
        turn.locator(".cite").nth(7).click()
        page.wait_for_function(
            "(quote) => [...document.querySelectorAll('#source mark')].map((m) => m.textContent).join('') === quote",
            arg=group[7],
        )
        assert page.locator("#source a[href^='javascript'], #source a[href^='data']").count() == 0

    def call(path: str, body: Any = None) -> Any:
        sent = json.dumps(body).encode() if body is not None else None
        request = urllib.request.Request(address + path, sent, {"content-type": "application/json"})
        with urllib.request.urlopen(request, timeout=30) as response:
            return response.read()

    (talk,) = json.loads(call("/chat/conversations"))["conversations"]
    turns = json.loads(call(f"/chat/conversations/{talk['id']}"))["turns"]
    for turn, group in zip(turns, GROUPS, strict=True):
        for comment in group:
            call(f"/chat/turns/{turn['id']}/feedback", {"good": False, "reason": "wrong", "comment": comment})
    call(f"/chat/conversations/{talk['id']}", {"title": PAYLOADS[8][:200]})
    page.goto(f"{address}/#conversation/{talk['id']}")
    page.wait_for_selector("#question")
    page.wait_for_timeout(1_000)
    saved = tmp_path / "conversation.html"
    saved.write_bytes(call(f"/chat/conversations/{talk['id']}/export?form=html"))
    page.goto(saved.as_uri())
    shown = page.locator("body").text_content()
    assert all(" ".join(one.split()) in " ".join(shown.split()) for one in PAYLOADS)


def test_the_library_shows_them_as_text(page: Any, address: str) -> None:
    page.goto(f"{address}/library")
    page.wait_for_selector("summary")
    assert page.locator("summary span:first-child").all_text_contents() == sorted(group[3] for group in GROUPS)
    for summary in page.locator("summary").all():
        summary.click()
    page.wait_for_function(f"document.querySelectorAll('.documents .name').length === {len(GROUPS)}")
    assert sorted(page.locator(".documents .name").all_text_contents()) == sorted(group[1] for group in GROUPS)


def test_the_web_component_shows_them_as_text(page: Any, address: str) -> None:
    page.goto(f"{address}/library")  # any page of this origin: what is tested is what the component draws
    page.evaluate("import('/ui/widget.js').then(() => document.body.append(document.createElement('pullquote-chat')))")
    chat = page.locator("pullquote-chat")
    for group in GROUPS:
        chat.locator("input[name=question]").fill(group[5])
        chat.locator("input[name=question]").press("Enter")
        chat.locator(".turn").first.locator("figure").nth(TOGETHER - 1).wait_for()
        assert chat.locator(".turn").first.locator("h3").text_content() == group[5]
        assert tuple(chat.locator(".turn").first.locator("blockquote").all_text_contents()) == group
    assert (
        page.evaluate("document.querySelector('pullquote-chat').shadowRoot.querySelectorAll('img,script').length") == 0
    )


def test_the_evaluation_report_shows_them_as_text(page: Any, address: str, tmp_path: Path) -> None:
    from rag.evaluate import run
    from tests.evaluate_fake import HOSTILE, fake

    rows = [
        {"id": f"{n} {one}", "question": one, "answers": [one], "tags": [one], "gold": [
            {"document_id": HOSTILE.id, "quote": "🔥🔥"}]}
        for n, one in enumerate(PAYLOADS)
    ]  # fmt: skip
    path = tmp_path / "questions.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)), "utf-8")
    run(path, fake(), out=tmp_path)
    page.goto((tmp_path / "report.html").as_uri())
    page.wait_for_selector(".item")
    shown = page.locator("body").text_content()
    assert all(one in shown for one in PAYLOADS[::10])
