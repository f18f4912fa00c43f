"""The chat in a real Chromium over a real server: it shows the documents' own text, and nothing else happens."""

from __future__ import annotations

import dataclasses
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, get_args
from urllib.parse import urlsplit

import pytest

from rag.settings import Settings
from rag.types import Reason
from tests.axe import serious
from tests.fakes import HANDBOOK, LONG, MEMO, PAYLOAD, SCRIPT, FakeAnswerer

CHROMIUM = Path("/usr/bin/chromium")
FLAGS = (
    "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync"
).split()
PATIENCE = 30_000  # ms
EXAMPLES = tuple(SCRIPT)[:3]
# The text between the beginning of the first and the end of the last mark, as the browser itself counts it.
MARKED = """(root) => {
  const marks = document.querySelectorAll(root + " mark"), range = document.createRange();
  range.setStartBefore(marks[0]);
  range.setEndAfter(marks[marks.length - 1]);
  return range.toString();
}"""

if not CHROMIUM.exists() and "browser" not in os.environ.get("REQUIRE", ""):
    pytest.skip("needs Chromium (Debian package chromium)", allow_module_level=True)
pytestmark = [pytest.mark.browser, pytest.mark.filterwarnings("ignore::DeprecationWarning")]  # pandas in gradio

Visit = Callable[..., Any]


@contextmanager
def serving(answerer: FakeAnswerer, folder: Path, port: int = 0) -> Iterator[tuple[str, Callable[[], None]]]:
    """(address, stop) of a real server; port 0 is a free one."""
    from rag.web.portal import Server, create_app, listen

    listener = listen(Settings(port=port))
    server = Server(create_app(answerer, Settings(examples=EXAMPLES, index=str(folder))))  # type: ignore[arg-type]
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()

    def stop() -> None:
        server.should_exit = True
        thread.join()
        listener.close()

    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}", stop
    finally:
        stop()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, FakeAnswerer]]:
    answerer = FakeAnswerer()
    with serving(answerer, tmp_path_factory.mktemp("index")) as (address, _):
        yield address, answerer


@pytest.fixture
def answerer(server: tuple[str, FakeAnswerer]) -> Iterator[FakeAnswerer]:
    """The answerer behind the pages, as new."""
    fake = server[1]
    fake.asked.clear()
    yield fake
    fake.gate.set()
    fake.index.held = {d.id: d for d in fake.documents}


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def visit(chromium: Any, server: tuple[str, FakeAnswerer], answerer: FakeAnswerer) -> Iterator[Visit]:
    """Open the chat in a new window. Afterwards the console must be clean and no request have left for elsewhere."""
    noise: list[str] = []
    requested: list[str] = []
    contexts = []

    def open_page(width: int = 1440, height: int = 900, scheme: str = "light", address: str = server[0]) -> Any:
        context = chromium.new_context(viewport={"width": width, "height": height}, color_scheme=scheme)
        context.set_default_timeout(PATIENCE)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: noise.append(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: noise.append(f"error: {error}"))
        page.on("request", lambda request: requested.append(request.url))
        page.noise = noise
        page.goto(address)
        page.wait_for_selector(".welcome button")
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert noise == []
    hosts = {urlsplit(url).hostname for url in requested if not url.startswith(("data:", "blob:"))}
    assert hosts == {"127.0.0.1"}


def ask(page: Any, question: str) -> Any:
    """Type the question, press Enter and wait; the turn as a locator."""
    before = page.locator(".turn").count()
    page.fill("#question", question)
    page.keyboard.press("Enter")
    turn = page.locator(".turn").nth(before)
    turn.locator(".pending").wait_for(state="detached")
    turn.locator(".result > *").first.wait_for()
    return turn


def opened(page: Any) -> str:
    """What the source pane says after it has drawn."""
    page.wait_for_selector(".state:not(.loading)")
    return page.text_content(".state")


# ---- answers


def test_an_answer_is_a_quote_with_the_short_answer_marked(visit: Visit) -> None:
    turn = ask(visit(), "How long is parental leave?")
    quote = turn.locator(".leading blockquote")
    assert quote.text_content() == SCRIPT["How long is parental leave?"][0][0][1]
    assert quote.locator("mark.answer").all_text_contents() == ["26 weeks"]
    assert turn.locator(".supporting blockquote").count() == 1
    assert turn.locator(".number").all_text_contents() == ["1", "2"]
    cited = turn.locator(".cite").first
    assert cited.locator(".title").text_content() == "Harbour Library staff handbook"
    assert cited.locator(".rest").text_content() == "Parental leave · p. 2 · 4 May 2024"
    assert "Harbour Library staff handbook, Parental leave, p. 2, 4 May 2024" in cited.get_attribute("aria-label")


def test_an_answer_that_is_the_whole_quote_is_marked_without_shouting(visit: Visit) -> None:
    marks = ask(visit(), "What are the lending rules for novels?").locator("blockquote mark.answer.whole")
    assert marks.all_text_contents() == ["Novels", "4 weeks", "3"]
    assert marks.first.evaluate("(node) => getComputedStyle(node).fontWeight") == "400"


@pytest.mark.parametrize("width", [390, 1440])
def test_a_row_is_shown_under_the_heads_of_its_columns_and_is_the_quote_still(visit: Visit, width: int) -> None:
    page = visit(width)
    turn = ask(page, "Is a chart lent for 10 days?")
    page.keyboard.press("Escape")
    table = turn.locator(".leading blockquote table")
    assert table.locator("th").all_text_contents() == ["Item", "Loan period", "Renewals"]
    assert table.locator("tbody").text_content() == "Charts of the estuary | 3 days | none"
    assert table.locator("mark.answer").all_text_contents() == ["3 days"]
    assert turn.locator(".claim").text_content() == "Your question says 10 days; the quote says 3 days."
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    copies = []
    for n in range(3):
        page.evaluate("navigator.clipboard.writeText('')")
        turn.locator(".take").nth(n).click()
        page.wait_for_function("navigator.clipboard.readText().then((text) => text !== '')")
        copies.append(page.evaluate("navigator.clipboard.readText()"))
    assert copies[0].startswith("“Charts of the estuary | 3 days | none”\n— ")
    assert copies[1].startswith(
        "> | Item | Loan period | Renewals |\n> |---|---|---|\n> | Charts of the estuary | 3 days |"
    )
    assert "<th>Item</th>" in copies[2]
    assert "<td>3 days</td>" in copies[2]
    turn.locator(".done").get_by_text("Copied").wait_for()
    assert page.locator(".done:not(:empty)").count() == 1
    shot(page, f"row-{width}")


def shot(page: Any, name: str) -> None:
    if os.environ.get("SHOTS"):
        page.screenshot(path=f"{os.environ['SHOTS']}/{name}.png")


def test_confidence_is_a_word_and_its_meaning_appears_on_hover(visit: Visit) -> None:
    turn = ask(visit(), "How long is parental leave?")
    level, note = turn.locator(".level"), turn.locator(".note")
    assert level.text_content() == "Very likely right"
    assert not note.is_visible()
    level.hover()
    note.wait_for(state="visible")
    assert "about 93 in 100 should be right" in note.text_content()
    assert level.get_attribute("aria-describedby") == note.get_attribute("id")


def test_citations_open_at_exactly_their_characters(visit: Visit) -> None:
    page = visit()
    for question, items in SCRIPT.items():
        turn = ask(page, question)
        for number, (_, quote, short) in enumerate(cited for item in items for cited in item):
            turn.locator(".cite").nth(number).click()
            assert opened(page).startswith("Verbatim: characters "), question
            assert page.evaluate(MARKED, "#source") == quote
            assert "".join(page.locator("#source mark.answer").all_text_contents()) == short
            assert page.locator("#source mark").first.bounding_box()["y"] < 900
            assert turn.locator(".cite").nth(number).get_attribute("aria-current") == "true"
            assert page.locator("[aria-current]").count() == 1


def test_answers_that_differ_stand_apart_with_their_dates(visit: Visit) -> None:
    page = visit()
    turn = ask(page, "What is the daily meal allowance?")
    assert "The documents differ" in turn.locator(".conflict").text_content()
    cards = turn.locator(".cards.apart .card")
    assert cards.locator(".short").all_text_contents() == ["46 euros", "38 euros"]
    assert cards.locator(".dates").all_text_contents() == ["1 January 2025", "1 January 2022"]
    left, right = (cards.nth(n).bounding_box() for n in (0, 1))
    assert left["y"] == right["y"]
    assert left["x"] + left["width"] < right["x"]
    assert turn.locator(".level").text_content() == "First answer: very likely right"
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    turn.locator(".take").first.click()
    turn.locator(".done").get_by_text("Copied").wait_for()
    said = (
        "The documents differ: “The daily allowance for meals is 38 euros.” (Travel rules 2022, Meals, 1 January 2022)."
    )
    assert page.evaluate("navigator.clipboard.readText()").split("\n")[2] == said
    shot(page, "differ")


def test_silence_says_why_and_shows_what_is_near_as_no_answer(visit: Visit, answerer: FakeAnswerer) -> None:
    page = visit()
    turn = ask(page, "Who owns the moon?")
    assert turn.locator(".headline").text_content() == "No answer found"
    assert "no sentence was found that answers" in turn.locator(".silence").text_content()
    assert "not an answer" in turn.locator(".nearest h3").text_content()
    assert turn.locator(".nearest li").count() == 3
    assert turn.locator("mark, blockquote, .sure").count() == 0
    shot(page, "silence")
    turn.locator(".nearest .excerpt").nth(0).click()
    assert opened(page).startswith("Not an answer: characters ")
    turn.locator(".nearest .cite").nth(1).focus()
    page.keyboard.press("Enter")
    page.wait_for_function("document.querySelector('.count').textContent === '2 of 3'")
    assert opened(page).startswith("Not an answer: characters ")
    assert page.evaluate(MARKED, "#source").startswith("The first person in switches off the alarm")
    assert page.locator("#source mark.near").count() == 1


def test_every_reason_has_its_words(visit: Visit, answerer: FakeAnswerer) -> None:
    headlines = {
        "empty_index": "There are no documents yet",
        "filtered": "Nothing left to search",
        "no_passage": "No answer found",
        "no_span": "No answer found",
        "low_confidence": "No sure answer",
    }
    assert set(headlines) == set(get_args(Reason))
    answerer.reasons = {reason: reason for reason in headlines}  # type: ignore[misc]
    page = visit()
    shown = {reason: ask(page, reason).locator(".headline").text_content() for reason in headlines}
    assert shown == headlines
    assert len(set(page.locator(".silence").all_text_contents())) == len(headlines)


# ---- taking it along


@pytest.mark.parametrize(("width", "height"), [(390, 844), (1024, 768), (1920, 1080)])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_quote_is_copied_with_its_source(visit: Visit, width: int, height: int, scheme: str) -> None:
    page = visit(width, height, scheme)
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])

    def copied(turn: Any, n: int) -> str:
        take = turn.locator(".leading .take").nth(n)
        page.evaluate("navigator.clipboard.writeText('')")
        take.focus()
        page.keyboard.press("Enter")
        page.wait_for_function("navigator.clipboard.readText().then((text) => text !== '')")
        return page.evaluate("navigator.clipboard.readText()")

    turn = ask(page, "How long is parental leave?")
    where = "Harbour Library staff handbook, Parental leave, p. 2, 4 May 2024"
    assert copied(turn, 0) == f"“{SCRIPT['How long is parental leave?'][0][0][1]}”\n— {where}"
    page.wait_for_function("document.querySelector('[role=status].unseen').textContent === 'Copied with its source.'")
    assert turn.locator(".take").first.get_attribute("aria-label") == "Copy quote 1 with its source as text"
    turn = ask(page, "What did the visitor write?")
    assert "<img" not in copied(turn, 1).replace("\\<img", "")
    assert copied(turn, 1).startswith("> A visitor wrote \\<img src=x")
    assert "<img" not in copied(turn, 2)
    assert "<script" not in copied(turn, 2)
    page.evaluate("(html) => { window.parsed = new DOMParser().parseFromString(html, 'text/html'); }", copied(turn, 2))
    quote = SCRIPT["What did the visitor write?"][0][0][1]
    assert page.evaluate("parsed.querySelector('blockquote').textContent") == quote
    if os.environ.get("SHOTS"):
        page.screenshot(path=f"{os.environ['SHOTS']}/copy-{width}-{scheme}.png")


# ---- the source


def test_a_long_document_comes_in_a_window_that_can_grow(visit: Visit) -> None:
    page = visit()
    ask(page, "What happened on day 15000?")
    assert opened(page).startswith("Verbatim")
    shown = page.text_content(".canonical")
    assert len(shown) < 14_000 < len(LONG.text)
    top = page.locator("#source mark").first.bounding_box()["y"]
    page.evaluate("document.querySelector('.pane .earlier, .pane .more').scrollIntoView()")
    height = page.evaluate("document.querySelector('.pane .text').scrollHeight")
    mark = page.locator("#source mark").first
    before = mark.bounding_box()["y"]
    page.locator(".more").first.click()
    page.wait_for_function(f"document.querySelector('.pane .text').scrollHeight > {height}")
    assert abs(mark.bounding_box()["y"] - before) < 2  # the reader's place does not move
    assert page.evaluate(MARKED, "#source") == SCRIPT["What happened on day 15000?"][0][0][1]
    assert len(page.text_content(".canonical")) > len(shown) + 10_000
    assert 0 < top < 900


def test_previous_and_next_walk_through_the_citations(visit: Visit) -> None:
    page = visit()
    ask(page, "How long is parental leave?")
    opened(page)
    assert page.text_content(".count") == "1 of 2"
    page.click(".next")
    page.wait_for_function("document.querySelector('.pane h2').textContent === 'Memo on leave'")
    opened(page)
    assert page.text_content(".count") == "2 of 2"
    assert page.get_attribute(".next", "aria-disabled") == "true"
    assert page.evaluate(MARKED, "#source").startswith("To all teams")
    page.click(".next", force=True)  # it leads nowhere now
    assert page.text_content(".count") == "2 of 2"
    page.click(".previous")
    page.wait_for_function("document.querySelector('.count').textContent === '1 of 2'")
    page.click(".close")
    assert not page.is_visible(".pane")


def test_a_quote_that_is_not_there_is_said_aloud(visit: Visit, answerer: FakeAnswerer) -> None:
    page = visit(390, 844)
    turn = ask(page, "How long is parental leave?")
    shifted = "x" + HANDBOOK.text[:-1]  # one place off, under the same revision: a damaged index
    answerer.index.held[HANDBOOK.id] = dataclasses.replace(HANDBOOK, text=shifted)
    turn.locator(".cite").first.click()
    assert "are not the quote" in opened(page)
    assert page.locator(".state.problem").is_visible()
    assert page.locator(".canonical.unproved").count() == 1


def test_a_document_that_changed_or_went_is_said(visit: Visit, answerer: FakeAnswerer) -> None:
    page = visit(390, 844)
    turn = ask(page, "How long is parental leave?")
    grown = HANDBOOK.text + "\n\nOne more line."
    answerer.index.held[HANDBOOK.id] = dataclasses.replace(HANDBOOK, text=grown, revision="")
    turn.locator(".cite").first.click()
    said = opened(page)
    assert said.startswith("Verbatim")
    assert "has changed since the answer" in said
    page.keyboard.press("Escape")
    del answerer.index.held[MEMO.id]
    turn.locator(".cite").nth(1).click()
    assert "is not in the index" in opened(page)
    assert page.locator("#source mark").count() == 0
    assert [line for line in page.noise if "404" not in line] == []
    page.noise.clear()  # Chromium itself reports the 404


# ---- by keyboard, in two tabs, and when something goes wrong


def test_the_keyboard_alone_is_enough(visit: Visit) -> None:
    page = visit(scheme="dark")

    def focus_on(selector: str, key: str) -> None:
        for _ in range(30):
            if page.evaluate("(wanted) => document.activeElement.matches(wanted)", selector):
                return
            page.keyboard.press(key)
        raise AssertionError(f"{selector} cannot be reached with {key}")

    focus_on("#question", "Tab")
    page.keyboard.type("How long is parental leave?")
    page.keyboard.press("Enter")
    page.wait_for_selector(".cite")
    focus_on(".supporting .cite", "Shift+Tab")
    focus_on(".leading .cite", "Shift+Tab")
    page.keyboard.press("Enter")
    opened(page)
    assert page.evaluate("document.activeElement.matches('.pane')")
    focus_on(".pane .next", "Tab")
    page.keyboard.press("Enter")
    page.wait_for_function("document.querySelector('.pane h2').textContent === 'Memo on leave'")
    opened(page)
    assert page.evaluate(MARKED, "#source").startswith("To all teams")
    page.keyboard.press("Escape")
    assert not page.is_visible(".pane")
    assert page.evaluate("document.activeElement.matches('.supporting .cite')")
    focus_on("#question", "Tab")
    page.keyboard.type("Two")
    page.keyboard.press("Shift+Enter")
    page.keyboard.type("lines")
    assert page.input_value("#question") == "Two\nlines"
    assert page.locator(".turn").count() == 1


def test_history_filters_and_feedback_by_keyboard_alone(visit: Visit) -> None:
    page = visit(1024, 768, "dark")

    def focus_on(selector: str, key: str = "Tab") -> None:
        for _ in range(40):
            if page.evaluate("(wanted) => document.activeElement.matches(wanted)", selector):
                return
            page.keyboard.press(key)
        raise AssertionError(f"{selector} cannot be reached with {key}")

    page.keyboard.type("When is brûlée sold?")
    page.keyboard.press("Enter")
    page.wait_for_selector(".cite")
    focus_on(".bad", "Shift+Tab")
    page.keyboard.press("Enter")
    focus_on(".complaint textarea")
    page.keyboard.type("At six")
    focus_on(".complaint button[type=submit]")
    page.keyboard.press("Enter")
    page.wait_for_selector(".bad[aria-pressed=true]")
    focus_on(".filter")
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.name") == "collection"
    page.keyboard.type("handbook")
    focus_on(".limits button")
    page.keyboard.press("Enter")
    assert page.locator(".chip").all_text_contents() == ["In handbook ×"]
    page.keyboard.press("Enter")
    page.keyboard.press("Escape")
    assert not page.is_visible(".limits")
    assert page.evaluate("document.activeElement.matches('.filter')")
    focus_on("[aria-label='Conversations']", "Shift+Tab")
    page.keyboard.press("Enter")
    page.wait_for_selector(".saved a")
    assert page.evaluate("document.activeElement.type") == "search"
    focus_on(".saved a")
    page.keyboard.press("Escape")
    assert page.evaluate("document.activeElement.ariaLabel") == "Conversations"
    assert not page.is_visible(".drawer")


def test_an_example_asks_itself(visit: Visit, answerer: FakeAnswerer) -> None:
    page = visit()
    assert page.locator(".welcome li").all_text_contents() == list(EXAMPLES)
    assert "6 documents" in page.text_content(".welcome")
    page.locator(".welcome button").first.click()
    page.wait_for_selector(".leading blockquote")
    assert answerer.asked == [(EXAMPLES[0], ())]
    assert not page.is_visible(".welcome")


def test_a_follow_up_carries_the_conversation_until_a_new_one(visit: Visit, answerer: FakeAnswerer) -> None:
    page = visit()
    ask(page, "How long is parental leave?")
    ask(page, "And for sailors?")
    page.click("[aria-label='New conversation']")
    assert page.is_visible(".welcome")
    assert page.locator(".turn").count() == 0
    ask(page, "Who owns the moon?")
    histories = [[(turn.role, turn.content) for turn in history] for _, history in answerer.asked]
    assert histories == [[], [("user", "How long is parental leave?"), ("assistant", "26 weeks")], []]


def test_two_visitors_are_answered_at_once(visit: Visit, answerer: FakeAnswerer) -> None:
    answerer.gate.clear()
    pages = [visit(), visit()]
    for page in pages:
        page.fill("#question", "How long is parental leave?")
        page.keyboard.press("Enter")
    deadline = time.monotonic() + 20
    while len(answerer.asked) < 2 and time.monotonic() < deadline:
        pages[0].wait_for_timeout(50)
    assert len(answerer.asked) == 2  # both are being read while neither is answered
    answerer.gate.set()
    for page in pages:
        page.wait_for_selector(".leading blockquote")


def test_a_question_can_be_stopped(visit: Visit, answerer: FakeAnswerer) -> None:
    page = visit()
    answerer.gate.clear()
    page.fill("#question", "How long is parental leave?")
    page.click(".send")
    page.wait_for_selector(".pending")
    assert page.text_content(".send") == "Stop"
    while not answerer.asked:
        page.wait_for_timeout(20)
    page.click(".send")
    assert "Stopped" in page.text_content(".turn")
    assert page.text_content(".send") == "Ask"
    answerer.gate.set()
    ask(page, "What is the daily meal allowance?")
    assert "Stopped" in page.locator(".turn").first.text_content()
    assert page.locator(".turn").first.locator("blockquote").count() == 0
    page.locator(".again").click()
    page.locator(".turn").nth(2).locator(".leading blockquote").wait_for()
    assert answerer.asked[-1][0] == "How long is parental leave?"


def test_a_failure_is_one_friendly_line(visit: Visit, caplog: pytest.LogCaptureFixture) -> None:
    page = visit()
    turn = ask(page, "break")
    assert turn.locator(".problem").text_content().startswith("Something went wrong while answering")
    assert "secret" not in page.content()
    assert "secret: /etc/passwd" in caplog.text  # the log has it
    turn = ask(page, "long " * 500)
    assert "the question has 2499 characters; at most 2000 are read" in turn.locator(".problem").text_content()
    page.fill("#question", "   ")
    page.keyboard.press("Enter")
    assert page.locator(".turn").count() == 2
    assert ask(page, "How long is parental leave?").locator(".leading blockquote").count() == 1


def test_a_question_of_fifty_pasted_lines_is_asked_whole_and_fits_the_page(visit: Visit, tmp_path: Path) -> None:
    page = visit(390, 844)
    pasted = "\n".join(f"line {n} of what a colleague wrote" for n in range(50))
    turn = ask(page, pasted)
    assert turn.locator(".asked").text_content() == pasted
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert turn.locator(".asked").bounding_box()["height"] < 200  # it scrolls: the answer stays in sight
    page.screenshot(path=os.environ.get("SHOTS", str(tmp_path)) + "/pasted.png")
    assert ask(page, "How long is parental leave?").locator(".leading blockquote").count() == 1


def test_a_server_that_went_away_is_said_and_the_page_recovers(visit: Visit, tmp_path: Path) -> None:
    with serving(FakeAnswerer(), tmp_path) as (address, stop):
        page = visit(390, 844, address=address)
        turn = ask(page, "How long is parental leave?")
        stop()
        turn.locator(".cite").first.click()
        assert opened(page).startswith("The document could not be fetched")
        page.keyboard.press("Escape")
        page.fill("#question", "Who owns the moon?")
        page.keyboard.press("Enter")
        page.wait_for_selector(".turn:last-child .problem")
        assert "could not be answered just now" in page.text_content(".turn:last-child .problem")
        assert page.text_content(".send") == "Ask"
    with serving(again := FakeAnswerer(), tmp_path, urlsplit(address).port or 0):
        page.locator(".again").click()
        page.wait_for_selector(".turn:last-child .silence")
        assert [turn.content for turn in again.asked[-1][1]] == ["How long is parental leave?", "26 weeks"]
    page.noise.clear()  # Chromium itself reports the refused connections


# ---- what is kept


EMPTIED = """async () => {
  const { conversations } = await (await fetch("chat/conversations")).json();
  for (const one of conversations) await fetch("chat/conversations/" + one.id, { method: "DELETE" });
}"""  # what other tests asked


def test_history_is_found_renamed_opened_and_deleted(visit: Visit, answerer: FakeAnswerer) -> None:
    page = visit()
    page.evaluate(EMPTIED)
    ask(page, "How long may I keep a chart?")
    kept = page.url
    assert "#conversation/" in kept
    page.click("[aria-label='New conversation']")
    assert page.url.endswith("/")
    ask(page, "How deep is the water?")
    page.click("[aria-label='Conversations']")
    page.fill(".drawer input[type=search]", "keep a CHART")
    page.wait_for_function("document.querySelectorAll('.saved a').length === 1")
    page.click("[aria-label='Rename “How long may I keep a chart?”']")
    page.keyboard.type("Charts of the estuary")
    page.keyboard.press("Enter")
    page.wait_for_selector("[aria-label='Rename “Charts of the estuary”']")
    page.click(".saved a")
    page.locator(".asked", has_text="How long may I keep a chart?").wait_for()
    assert page.url == kept
    assert page.locator(".unchanged").text_content() == "The quoted source is unchanged."
    page.reload()
    page.locator(".leading blockquote", has_text="Charts of the estuary").wait_for()
    ask(page, "And for atlases?")
    assert [turn.content for turn in answerer.asked[-1][1]] == ["How long may I keep a chart?", "3 days"]
    page.click("[aria-label='Conversations']")
    page.click("[aria-label='Delete “Charts of the estuary”']")
    page.click(".danger")
    page.wait_for_selector(".welcome button")
    assert page.locator(".turn").count() == 0
    page.goto(kept)
    page.wait_for_selector(".about .problem")
    assert "nothing at this link" in page.text_content(".about")
    assert [line for line in page.noise if "404" not in line] == []
    page.noise.clear()  # Chromium itself reports the 404


def test_a_link_to_an_answer_says_what_became_of_its_sources(visit: Visit, answerer: FakeAnswerer) -> None:
    page = visit()
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    ask(page, "How long is parental leave?").locator(".link").click()
    page.wait_for_selector(".kept a")
    link = page.get_attribute(".kept a", "href")
    assert page.evaluate("navigator.clipboard.readText()") == link
    before = "🌊 New first line.\n\n" + HANDBOOK.text
    answerer.index.held[HANDBOOK.id] = dataclasses.replace(HANDBOOK, text=before, sections=(), pages=(), revision="")
    answerer.index.held[MEMO.id] = dataclasses.replace(MEMO, text=MEMO.text.replace("26", "30"), revision="")
    other = visit()
    other.goto(link)
    other.wait_for_selector(".leading .proof.moved")
    assert other.locator(".supporting .proof.changed ins").all_text_contents() == ["30"]
    other.locator(".leading .cite").click()
    assert opened(other).startswith("Verbatim")
    assert other.evaluate(MARKED, "#source") == SCRIPT["How long is parental leave?"][0][0][1]
    page.locator(".unshare").click()
    page.locator(".unshare").wait_for(state="hidden")


def test_a_reload_in_the_middle_loses_nothing(visit: Visit, answerer: FakeAnswerer) -> None:
    page = visit()
    answerer.gate.clear()
    page.fill("#question", "How long is parental leave?")
    page.keyboard.press("Enter")
    page.wait_for_function("location.hash.startsWith('#conversation/')")
    page.wait_for_selector(".first .excerpt")  # what is being read is there before the answer
    assert "not the answer yet" in page.text_content(".first h3")
    page.reload()
    page.wait_for_selector(".pending")
    assert page.text_content(".send") == "Stop"
    answerer.gate.set()
    page.wait_for_selector(".leading blockquote")
    assert len(answerer.asked) == 1
    assert page.text_content(".send") == "Ask"


def test_two_tabs_share_one_history_and_say_when_it_was_deleted(visit: Visit, answerer: FakeAnswerer) -> None:
    page = visit()
    ask(page, "How often does the bell ring?")
    other = visit()
    other.goto(page.url)
    other.wait_for_selector(".leading blockquote")
    other.click("[aria-label='Conversations']")
    other.click("[aria-label='Delete “How often does the bell ring?”']")
    other.click(".danger")
    other.wait_for_selector(".welcome button")
    turn = ask(page, "When is the bridge closed?")
    assert "does not exist any more" in turn.locator(".problem").text_content()
    turn.locator(".again").click()
    page.locator(".turn").nth(2).locator(".leading blockquote").wait_for()


def test_a_login_that_expired_is_said_and_the_question_is_kept(visit: Visit) -> None:
    page = visit()
    page.route("**/chat/ask", lambda route: route.fulfill(status=401, json={"detail": "sign in first"}))
    turn = ask(page, "How long is parental leave?")
    assert "You are not signed in any more" in turn.locator(".problem").text_content()
    page.unroute("**/chat/ask")
    page.reload()
    page.wait_for_selector(".welcome button")
    assert page.input_value("#question") == "How long is parental leave?"
    assert [line for line in page.noise if "401" not in line] == []
    page.noise.clear()  # Chromium itself reports the 401


def test_the_query_can_be_edited_and_limits_are_chips(visit: Visit, answerer: FakeAnswerer) -> None:
    page = visit()
    turn = ask(page, "How long is parental leave since March 2020?")
    assert page.locator(".chip").all_text_contents() == ["Since 1 March 2020 ×"]
    assert turn.locator(".searched").text_content() == "Searched for: How long is parental leave?"
    page.click(".filter")
    page.select_option(".limits select", "handbook")
    page.click(".limits button")
    assert page.locator(".chip").all_text_contents() == ["In handbook ×", "Since 1 March 2020 ×"]
    page.locator(".chip").nth(1).click()
    turn.locator(".edit").click()
    page.keyboard.press("ControlOrMeta+a")
    page.keyboard.type("What is new since March?")
    page.keyboard.press("Enter")
    page.wait_for_selector(".turn:last-child .silence")
    assert answerer.asked[-1] == ("What is new since March?", ())
    assert page.locator(".chip").all_text_contents() == ["In handbook ×"]
    assert "none of the documents" in page.text_content(".turn:last-child .missing")


def test_feedback_and_export(visit: Visit) -> None:
    page = visit()
    turn = ask(page, "How long is parental leave?")
    turn.locator(".bad").click()
    page.keyboard.press("ArrowDown")
    page.fill(".complaint textarea", "There is more")
    page.locator(".complaint button[type=submit]").click()
    page.wait_for_selector(".kept")
    page.reload()
    page.wait_for_selector(".bad[aria-pressed=true]")
    page.click(".take-along summary")
    with page.expect_download() as taken:
        page.click(".take-along [data-form=markdown]")
    assert Path(taken.value.path()).read_text("utf-8").startswith("# How long is parental leave?\n")
    with page.context.expect_page() as printable:
        page.click(".take-along [data-form=html]")
    assert printable.value.locator("blockquote").first.text_content() == SCRIPT["How long is parental leave?"][0][0][1]


# ---- safety and fit


def test_text_from_documents_stays_text(visit: Visit) -> None:
    page = visit()
    turn = ask(page, "What did the visitor write?")
    opened(page)
    assert turn.locator("mark.answer").text_content() == PAYLOAD
    assert page.text_content(".pane h2") == f"Signs {PAYLOAD}"
    assert PAYLOAD in page.text_content(".canonical")
    ask(page, PAYLOAD)
    assert page.locator(".asked").last.text_content() == PAYLOAD
    page.wait_for_timeout(300)
    assert page.evaluate("window.hacked") is None
    assert page.locator("#conversation img, #conversation script, #source img, #source script").count() == 0


def test_the_policy_stops_what_would_slip_through(visit: Visit) -> None:
    page = visit()
    page.evaluate("document.body.insertAdjacentHTML('beforeend', '<img src=\"data:,\" onerror=\"window.hacked = 1\">')")
    page.evaluate("""() => {
        const script = document.createElement("script");
        script.textContent = "window.hacked = 1";
        document.body.append(script);
    }""")
    page.wait_for_timeout(300)
    assert page.evaluate("window.hacked") is None
    assert any("Content Security Policy" in line for line in page.noise)
    page.noise.clear()


@pytest.mark.parametrize(("width", "height"), [(390, 844), (1024, 768), (1920, 1080)])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_leaves_the_window_sideways(visit: Visit, width: int, height: int, scheme: str) -> None:
    page = visit(width, height, scheme)

    def spill() -> list[str]:
        return page.evaluate("""() => [...document.querySelectorAll("#conversation *, #source *")].filter((node) => {
            const box = node.getBoundingClientRect();
            return box.width > 1 && (box.right > innerWidth + 1 || box.left < -1);
        }).map((node) => node.className)""") + (
            ["page"] if page.evaluate("document.documentElement.scrollWidth > innerWidth") else []
        )

    assert spill() == []
    for question in ("How long is parental leave?", "What is the daily meal allowance?", "What did the visitor write?"):
        turn = ask(page, question)
        turn.locator(".cite").first.click()
        assert opened(page).startswith("Verbatim")
        assert spill() == []
        mark = page.locator("#source mark").first.bounding_box()
        pane = page.locator(".pane .text").bounding_box()
        assert pane["y"] <= mark["y"] <= pane["y"] + pane["height"]
        cited = turn.locator(".cite").first.bounding_box()
        assert 0 <= cited["y"] <= (pane["y"] if width < 960 else height)  # the open citation stays in view
        page.keyboard.press("Escape")
    ask(page, "Who owns the moon? " + "w" * 300)
    assert spill() == []


@pytest.mark.parametrize(("width", "height"), [(390, 844), (1440, 900)])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious(visit: Visit, width: int, height: int, scheme: str) -> None:
    page = visit(width, height, scheme)
    assert serious(page) == []
    turn = ask(page, "What is the daily meal allowance since March 2020?")
    ask(page, "How long is parental leave?").locator(".bad").click()
    assert serious(page) == []
    page.locator(".leading .cite").last.click()
    opened(page)
    page.keyboard.press("Escape")
    page.click(".filter")
    assert serious(page) == []
    page.click("[aria-label='Conversations']")
    page.wait_for_selector(".saved a")
    assert serious(page) == []
    assert turn.count() == 1
    page.evaluate("document.querySelector('.conversation').append(new Image())")
    assert [name for name, _ in serious(page)] == ["image-alt"]  # it does look


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_is_easy_to_read_in_light_and_dark(visit: Visit, scheme: str) -> None:
    page = visit(scheme=scheme)
    turn = ask(page, "What is the daily meal allowance?")
    opened(page)
    assert turn.count() == 1
    ask(page, "Who owns the moon?")
    weak = page.evaluate("""() => {
        const rgb = (colour) => {
            const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
            canvas.fillStyle = colour;
            canvas.fillRect(0, 0, 1, 1);
            return [...canvas.getImageData(0, 0, 1, 1).data];
        };
        const light = ([r, g, b]) => [r, g, b].map((v) => v / 255)
            .map((v) => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
            .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
        const behind = (node) => {
            for (; node; node = node.parentElement) {
                const colour = rgb(getComputedStyle(node).backgroundColor);
                if (colour[3] > 200) return colour;
            }
            return [255, 255, 255];
        };
        const found = [];
        for (const node of document.querySelectorAll("#conversation *, #source *")) {
            if (![...node.childNodes].some((child) => child.nodeType === 3 && child.data.trim())) continue;
            if (node.closest("[aria-disabled=true], .unseen, .note, [hidden]")) continue;
            const [a, b] = [light(rgb(getComputedStyle(node).color)), light(behind(node))].sort((x, y) => y - x);
            const ratio = (a + 0.05) / (b + 0.05);
            if (ratio < 4.5) found.push([node.className, node.textContent.slice(0, 30), ratio]);
        }
        return found;
    }""")
    assert weak == []
    ground = page.evaluate("getComputedStyle(document.querySelector('.gradio-container')).backgroundColor")
    assert ground == ("rgb(250, 248, 243)" if scheme == "light" else "rgb(23, 22, 20)")
    page.click("[aria-label='Switch between light and dark']")
    other = page.evaluate("getComputedStyle(document.querySelector('.gradio-container')).backgroundColor")
    assert other != ground
    page.reload()
    page.wait_for_selector(".turn")
    kept = page.evaluate("getComputedStyle(document.querySelector('.gradio-container')).backgroundColor")
    assert kept == other


# ---- the printed page


def test_the_quote_is_marked_on_its_page_and_a_changed_file_keeps_its_text(visit: Visit, tmp_path: Path) -> None:
    from tests.papers import pdf
    from tests.test_load_formats import paged
    from tests.test_paper import QUOTE, answerer_over

    file = tmp_path / "quay.pdf"
    file.write_bytes(pdf(paged(3)))
    answerer = answerer_over(tmp_path, file.name)
    document = answerer.documents[0]
    question = "Who confirms it?"
    answerer.script = {question: (((document, QUOTE, "the harbour office"), (MEMO, MEMO.text[:40], "all teams")),)}
    with serving(answerer, tmp_path / "served") as (address, _):
        page = visit(address=address)
        turn = ask(page, question)
        turn.locator(".cite").first.click()
        assert opened(page).startswith("Verbatim")
        switch = page.locator(".paper-switch")
        assert switch.get_attribute("aria-pressed") == "false"
        switch.click()
        marks = page.locator(".sheet .on-paper")
        marks.first.wait_for()
        assert opened(page).startswith("The quote on its page")
        sheet = page.locator(".sheet img").bounding_box()
        pane = page.locator(".pane .text").bounding_box()
        assert marks.count() == 2
        for mark in (marks.nth(n).bounding_box() for n in range(2)):
            assert sheet["x"] < mark["x"] < mark["x"] + mark["width"] < sheet["x"] + sheet["width"]
            assert pane["y"] <= mark["y"] <= pane["y"] + pane["height"]
            assert 0.005 < mark["height"] / sheet["height"] < 0.03  # a printed line
        page.click("[aria-label='Next citation']")  # of a text: no page to show
        page.wait_for_selector(".canonical mark")
        assert not switch.is_visible()
        page.click("[aria-label='Previous citation']")
        marks.first.wait_for()  # the choice holds
        switch.click()
        page.wait_for_selector(".canonical mark")
        file.write_bytes(pdf(paged(2)))
        switch.click()
        page.wait_for_selector(".aside")
        assert "the file has changed since it was indexed; only its text is shown" in page.text_content(".state")
        assert page.locator(".canonical mark").first.text_content() in QUOTE
        assert page.locator(".sheet").count() == 0
        page.noise.clear()  # Chromium itself reports the refused request
