"""The library page in a real Chromium over a real server and index."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from filelock import FileLock

from rag.answer import Answerer
from rag.index import Index
from rag.overlap import OverlapReader
from rag.settings import Settings
from rag.types import Block, Document
from tests.axe import serious
from tests.encoder import HashingEncoder

CHROMIUM = Path("/usr/bin/chromium")
FLAGS = "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking".split()
FLAGS += "--disable-component-update --disable-sync".split()
NOTE = "# Harbour rules\n\nThe crane may lift 40 tonnes. The night watch begins at ten.\n"
PAYLOAD = '<img src=x onerror="window.hacked=1">'

if not CHROMIUM.exists() and "browser" not in os.environ.get("REQUIRE", ""):
    pytest.skip("needs Chromium (Debian package chromium)", allow_module_level=True)
pytestmark = [pytest.mark.browser, pytest.mark.filterwarnings("ignore::DeprecationWarning")]  # pandas in gradio

Visit = Callable[..., Any]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("library")


@pytest.fixture(scope="module")
def address(folder: Path) -> Iterator[str]:
    from rag.web.portal import Server, create_app, listen

    encoder = HashingEncoder()
    index = Index.open(folder, create=True, encoder=encoder)
    text = "The bridge closes at ten."
    index.put(
        [
            Document(f"d/{n}.txt", text, f"Rule {n} {PAYLOAD}", collection=name, blocks=(Block("paragraph", 0, 25),))
            for n in range(120)
            for name in ("policies" if n else f"odd {PAYLOAD}",)
        ]
    )
    settings = Settings(index=str(folder), requests_per_minute=0, upload_bytes=300_000, threshold=0.0)
    listener = listen(Settings(port=0))
    server = Server(create_app(Answerer(index, OverlapReader(encoder), settings), settings))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    server.should_exit = True
    thread.join()
    listener.close()
    index.close()


@pytest.fixture
def visit(address: str) -> Iterator[Visit]:
    from playwright.sync_api import sync_playwright

    noise: list[str] = []
    requested: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=FLAGS)

        def open_page(width: int = 1024, height: int = 800, scheme: str = "light") -> Any:
            context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme)  # type: ignore[arg-type]
            context.set_default_timeout(30_000)
            page = context.new_page()
            page.noise = noise  # type: ignore[attr-defined]
            page.on("console", lambda message: noise.append(message.text))
            page.on("pageerror", lambda error: noise.append(str(error)))
            page.on("request", lambda request: requested.append(request.url))
            page.goto(address + "/library")
            page.wait_for_selector("details")
            return page

        yield open_page
        browser.close()
    assert noise == []
    assert {urlsplit(url).hostname for url in requested} == {"127.0.0.1"}


def empty(page: Any) -> None:
    """Remove every upload there is, one after another."""
    for row in reversed(page.locator(".upload").all()):
        row.locator("button").first.click()
        if row.locator(".sure").count():
            row.locator(".danger").click()
        row.wait_for(state="detached")


def shot(page: Any, name: str) -> None:
    if os.environ.get("SHOTS"):
        page.screenshot(path=f"{os.environ['SHOTS']}/{name}.png")


def test_collections_show_their_documents_a_page_at_a_time(visit: Visit) -> None:
    page = visit()
    assert page.locator("summary").all_text_contents() == [f"odd {PAYLOAD}1 document", "policies119 documents"]
    page.locator("summary").nth(1).click()
    page.wait_for_selector(".documents .name")
    assert page.locator(".documents .name").count() == 100
    assert page.locator(".documents .name").first.text_content() == f"Rule 1 {PAYLOAD}"
    page.get_by_role("button", name="Show more").click()
    page.wait_for_function("document.querySelectorAll('.documents .name').length === 119")
    assert page.evaluate("window.hacked") is None
    assert page.locator("h2", has_text="Files that were skipped").is_hidden()
    shot(page, "library-documents")


@pytest.mark.parametrize(("width", "scheme"), [(390, "dark"), (1440, "light")])
def test_titles_are_searched_and_open_the_document(visit: Visit, width: int, scheme: str) -> None:
    page = visit(width, 900, scheme)
    page.get_by_label("Search the titles").fill("rule 11")
    page.wait_for_function("document.querySelectorAll('.documents .name').length === 11")  # 11 and 110 to 119
    assert page.locator(".collections").is_hidden()
    title = page.locator(".documents .name").first
    title.focus()
    page.keyboard.press("Enter")
    page.wait_for_selector(".pane .state.exact")
    assert page.locator(".pane h2").text_content() == title.text_content()
    assert page.locator(".canonical").text_content() == "The bridge closes at ten."
    assert page.locator(".pane .state").text_content() == "The text as it is searched"
    shot(page, f"library-open-{width}")
    page.keyboard.press("Escape")
    assert title.evaluate("(node) => document.activeElement === node")
    page.get_by_label("Search the titles").fill("no such rule")
    page.get_by_text("No title has these words.").wait_for()
    page.get_by_label("Search the titles").fill("")
    page.locator(".collections").wait_for()
    assert page.evaluate("window.hacked") is None


@pytest.mark.parametrize(("width", "scheme"), [(390, "dark"), (1920, "light")])
def test_a_file_is_uploaded_asked_and_removed(visit: Visit, tmp_path: Path, width: int, scheme: str) -> None:
    page = visit(width, 900, scheme)
    name = f"rules {PAYLOAD.replace('/', '')}.md"
    page.set_input_files("input[multiple]", {"name": name, "mimeType": "text/markdown", "buffer": NOTE.encode()})
    row = page.locator(".upload")
    row.locator(".state.done").wait_for()
    assert row.locator(".name").text_content() == name
    page.locator("summary", has_text="uploads1 document").wait_for()
    shot(page, f"library-{width}")
    assert serious(page) == []
    asked = page.evaluate(
        """async () => (await fetch("v1/ask", {method: "POST", headers: {"content-type": "application/json"},
        body: JSON.stringify({question: "How much may the crane lift?"})})).json()"""
    )
    assert "40 tonnes" in asked["citations"][0]["quote"]
    with page.expect_download() as saved:
        row.get_by_role("link", name="Original").click()
    assert Path(saved.value.path()).read_text() == NOTE
    row.get_by_role("button", name="Remove").click()
    assert row.locator(".sure").text_content().startswith("Remove? Saved answers keep its quotes, marked as gone.")
    assert serious(page) == []
    shot(page, f"library-remove-{width}")
    row.get_by_role("button", name="Keep").click()
    assert row.locator(".sure").count() == 0
    page.keyboard.press("Enter")  # the button has the focus again
    row.locator(".danger").click()
    page.wait_for_function("document.querySelectorAll('.upload').length === 0")
    page.wait_for_function("document.querySelectorAll('summary').length === 2")
    assert page.evaluate("window.hacked") is None


def test_what_is_too_large_empty_or_damaged_is_said(visit: Visit) -> None:
    page = visit()
    files = [
        {"name": "large.txt", "mimeType": "text/plain", "buffer": b"x" * 300_001},
        {"name": "empty.txt", "mimeType": "text/plain", "buffer": b""},
        {"name": "broken.pdf", "mimeType": "application/pdf", "buffer": b"%PDF-1.7\n\0garbage"},
    ]
    page.set_input_files("input[multiple]", files)
    page.wait_for_function("document.querySelectorAll('.state.failed, .state.refused').length === 3")
    told = {
        row.locator(".name").text_content(): row.locator(".told").text_content()
        for row in page.locator(".upload").all()
    }
    assert told["large.txt"] == "A file may have 300 kB."
    assert told["empty.txt"] == "The file is empty."
    assert "broken.pdf" in told["broken.pdf"]
    shot(page, "library-refused")
    empty(page)


def test_a_folder_is_dropped_and_an_upload_is_cancelled(visit: Visit, tmp_path: Path) -> None:
    page = visit()
    (tmp_path / "plan/sub").mkdir(parents=True)
    for place in ("plan/a.md", "plan/sub/b.md", "plan/.hidden.md"):
        (tmp_path / place).write_text(NOTE)
    page.set_input_files("input[webkitdirectory]", str(tmp_path / "plan"))
    page.wait_for_function("document.querySelectorAll('.state.done').length === 2")
    assert sorted(page.locator(".upload .name").all_text_contents()) == ["plan/a.md", "plan/sub/b.md"]
    page.route("**/v1/documents?name=*", lambda route: None)  # never answered
    page.set_input_files("input[multiple]", {"name": "slow.md", "mimeType": "text/markdown", "buffer": NOTE.encode()})
    row = page.locator(".upload", has_text="slow.md")
    row.get_by_role("button", name="Cancel slow.md").click()
    row.wait_for(state="detached")
    page.unroute("**/v1/documents?name=*")
    empty(page)


def upload(page: Any, *names: str) -> None:
    """Upload notes and wait until the page shows them as indexed."""
    page.set_input_files(
        "input[multiple]", [{"name": name, "mimeType": "text/markdown", "buffer": NOTE.encode()} for name in names]
    )
    for name in names:
        page.locator(".upload", has_text=name).locator(".state.done").wait_for()


def test_an_overtaken_list_neither_brings_back_nor_takes_away(visit: Visit) -> None:
    page = visit()
    upload(page, "a.md", "b.md")
    held: list[Any] = []

    def hold(route: Any) -> None:
        held.append((route, route.fetch()))

    page.route("**/v1/uploads", hold, times=1)
    page.get_by_role("button", name="Remove a.md").click()
    page.locator(".danger").click()
    page.locator(".upload", has_text="a.md").wait_for(state="detached")
    while not held:  # the list after that removal: b.md alone
        page.wait_for_function("true")
    upload(page, "c.md")
    page.get_by_role("button", name="Remove b.md").click()
    page.locator(".danger").click()
    page.locator(".upload", has_text="b.md").wait_for(state="detached")
    route, answer = held[0]
    with page.expect_response(lambda response: response.request == route.request) as came:
        route.fulfill(response=answer)
    came.value.finished()
    page.evaluate("fetch('v1/uploads').then((answer) => answer.json())")  # answered after it
    assert page.locator(".upload .name").all_text_contents() == ["c.md"]
    empty(page)


def test_what_cannot_be_removed_stays_and_the_page_says_so_until_the_next_action(visit: Visit, folder: Path) -> None:
    page = visit()
    upload(page, "kept.md")
    with FileLock(folder / "lock"):  # as another process that writes
        page.set_input_files("input[multiple]", {"name": "later.md", "mimeType": "text/plain", "buffer": NOTE.encode()})
        page.locator(".upload", has_text="later.md").locator(".state.indexing").wait_for()
        page.get_by_role("button", name="Remove kept.md").click()
        page.locator(".danger").click()
        page.locator(".notice", has_text="kept.md was not removed").wait_for()
        for _ in range(2):  # the page looks again while later.md waits
            with page.expect_response("**/v1/uploads") as came:
                pass
            came.value.finished()
        assert page.locator(".notice").is_visible()
        assert page.locator(".upload", has_text="kept.md").count() == 1
    page.locator(".upload", has_text="later.md").locator(".state.done").wait_for()
    page.get_by_role("button", name="Remove kept.md").click()
    page.locator(".danger").click()
    page.locator(".upload", has_text="kept.md").wait_for(state="detached")
    assert page.locator(".notice").is_hidden()
    empty(page)
    assert [line for line in page.noise if "503" not in line] == []
    page.noise.clear()  # Chromium itself reports the 503


def test_the_quote_is_marked_on_the_page_of_an_uploaded_pdf(visit: Visit, address: str) -> None:
    from tests.papers import pdf
    from tests.test_load_formats import paged

    page = visit()
    page.set_input_files("input[multiple]", {"name": "quay.pdf", "mimeType": "", "buffer": pdf(paged(3))})
    row = page.locator(".upload").first
    row.locator(".state.done").wait_for()
    page.goto(address)
    page.fill("#question", "What must be booked with the harbour office?")
    page.keyboard.press("Enter")
    page.locator(".turn .cite", has_text="Parental leave").first.click()
    page.locator(".paper-switch").click()
    marks = page.locator(".sheet .on-paper")
    marks.first.wait_for()
    sheet = page.locator(".sheet img").bounding_box()
    for mark in (one.bounding_box() for one in marks.all()):
        assert sheet["x"] < mark["x"] < mark["x"] + mark["width"] < sheet["x"] + sheet["width"]
        assert 0.005 < mark["height"] / sheet["height"] < 0.03  # a printed line
    shot(page, "upload-page")
    page.goto(address + "/library")
    page.locator(".upload").first.wait_for()
    empty(page)
