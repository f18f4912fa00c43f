"""The demo portal on another site, in a real Chromium: it frames the chat and asks; a page not listed may not."""

from __future__ import annotations

import functools
import http.server
import json
import os
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from rag.settings import Settings
from tests.fakes import SCRIPT, FakeAnswerer

CHROMIUM = Path("/usr/bin/chromium")
FLAGS = "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking".split()
FLAGS += "--disable-component-update --disable-sync".split()
PORTAL = Path(__file__).parent.parent / "samples/portal"
LEAVE = "How long is parental leave?"

if not CHROMIUM.exists() and "browser" not in os.environ.get("REQUIRE", ""):
    pytest.skip("needs Chromium (Debian package chromium)", allow_module_level=True)
pytestmark = [pytest.mark.browser, pytest.mark.filterwarnings("ignore::DeprecationWarning")]  # pandas in gradio


class _Pages(http.server.SimpleHTTPRequestHandler):
    """The portal's files, with the address of the app put in; every other path is a page that frames the app."""

    app, key, more = "", "", ""
    given: list[str]

    def do_GET(self) -> None:
        file = PORTAL / self.path.strip("/")
        if self.path == "/":
            file = PORTAL / "index.html"
        if file.is_file():
            text = file.read_text("utf-8").replace("http://127.0.0.1:7860", self.app)
            body = text.replace("<pullquote-chat", f"<pullquote-chat{self.more}").encode()
            kind = {".html": "text/html", ".js": "text/javascript", ".css": "text/css"}[file.suffix]
        else:
            body, kind = f'<!doctype html><title>x</title><iframe src="{self.app}/"></iframe>'.encode(), "text/html"
        self.send_response(200)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self) -> None:
        """The portal's own server: it asks for a ticket with its key, for the user that it knows."""
        asked = urllib.request.Request(
            f"{self.app}/v1/tickets", json.dumps({"user": "ann", "groups": ["staff"]}).encode(),
            {"authorization": f"Bearer {self.key}", "content-type": "application/json"},
        )  # fmt: skip
        with urllib.request.urlopen(asked, timeout=30) as response:
            ticket = json.load(response)["ticket"]
        self.given.append(ticket)
        body = json.dumps({"ticket": ticket}).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


@contextmanager
def pages() -> Iterator[tuple[int, type[_Pages]]]:
    """(port, handler) of a web server with another site's pages."""
    handler = type("Pages", (_Pages,), {})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(handler))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server.server_port, handler
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str, str]]:
    """(app, portal, stranger): the addresses of the app, of a page that is listed and of one that is not."""
    from rag.web.portal import Server, create_app, listen

    with pages() as (own, portal), pages() as (other, stranger):
        listener = listen(Settings(port=0))
        app = f"http://127.0.0.1:{listener.getsockname()[1]}"
        portal.app = stranger.app = app
        settings = Settings(index=str(tmp_path_factory.mktemp("index")), portal_origins=(f"http://localhost:{own}",))
        server = Server(create_app(FakeAnswerer(), settings))  # type: ignore[arg-type]
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        yield app, f"http://localhost:{own}", f"http://localhost:{other}"
        server.should_exit = True
        thread.join()
        listener.close()


@contextmanager
def serving(index: Path, **chosen: Any) -> Iterator[tuple[str, Settings]]:
    """(address, settings) of an app that runs with these settings."""
    from rag.web.portal import Server, create_app, listen

    with listen(Settings(port=0)) as listener:
        app = f"http://127.0.0.1:{listener.getsockname()[1]}"
        settings = Settings(index=str(index), public_url=app, session_secret="s" * 32, **chosen)
        server = Server(create_app(FakeAnswerer(), settings))  # type: ignore[arg-type]
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            yield app, settings
        finally:
            server.should_exit = True
            thread.join()


@pytest.fixture
def page() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=FLAGS)
        context = browser.new_context(viewport={"width": 1280, "height": 900})
        context.set_default_timeout(30_000)
        page = context.new_page()
        page.noise = []  # type: ignore[attr-defined]
        page.on("console", lambda message: page.noise.append(message.text))  # type: ignore[attr-defined]
        page.on("pageerror", lambda error: page.noise.append(str(error)))  # type: ignore[attr-defined]
        yield page
        browser.close()


def test_the_web_component_answers_in_the_portal_s_own_page(page: Any, world: tuple[str, str, str]) -> None:
    app, portal, _ = world
    requested: list[str] = []
    page.on("request", lambda request: requested.append(request.url))
    page.goto(portal)
    chat = page.locator("aside pullquote-chat")
    chat.locator("input").fill(LEAVE)
    page.keyboard.press("Enter")
    chat.locator("figure").first.wait_for()
    assert chat.locator("blockquote").first.text_content() == SCRIPT[LEAVE][0][0][1]
    assert chat.locator("mark").first.text_content() == "26 weeks"
    assert chat.locator("figcaption").first.text_content() == (
        "Harbour Library staff handbook, Parental leave, p. 2, 4 May 2024"
    )
    chat.locator("input").fill("Who owns the moon?")
    page.keyboard.press("Enter")
    chat.locator(".turn", has_text="No answer found").wait_for()
    assert (
        page.evaluate("document.querySelector('aside pullquote-chat').shadowRoot.querySelectorAll('.turn').length") == 2
    )
    assert {url.split("/")[2] for url in requested if url.startswith("http")} == {app[7:], portal[7:]}
    assert page.noise == []


def test_the_frame_is_as_high_as_its_content_and_has_the_portal_s_theme(page: Any, world: tuple[str, str, str]) -> None:
    _, portal, _ = world
    page.goto(portal)
    whole = page.locator(".whole pullquote-chat")
    frame = whole.frame_locator("iframe")
    frame.locator("#question").fill(LEAVE)
    frame.locator("#question").press("Enter")
    frame.locator(".leading blockquote").wait_for()
    measured = "() => document.querySelector('.whole pullquote-chat').shadowRoot.querySelector('iframe').offsetHeight"
    page.wait_for_function(f"({measured})() !== 480")
    page.wait_for_timeout(1_000)
    first = page.evaluate(measured)
    page.wait_for_timeout(1_000)
    assert page.evaluate(measured) == first  # it does not creep
    for question in list(SCRIPT)[1:4]:
        frame.locator("#question").fill(question)
        frame.locator("#question").press("Enter")
        frame.locator(".turn", has_text=question).locator("blockquote").first.wait_for()
    page.wait_for_function(f"({measured})() > {first}")
    assert not frame.locator("body.dark").count()
    page.click("#theme")
    frame.locator("body.dark").wait_for()
    assert page.locator("aside pullquote-chat[data-dark]").count() == 1
    if os.environ.get("SHOTS"):
        page.click("#theme")
        page.locator("aside pullquote-chat input").fill(LEAVE)
        page.locator("aside pullquote-chat input").press("Enter")
        page.locator("aside pullquote-chat figure").first.wait_for()
        page.wait_for_timeout(500)
        page.evaluate("scrollTo(0, 0)")
        page.screenshot(path=f"{os.environ['SHOTS']}/portal.png")
    assert page.noise == []


def test_a_page_that_is_not_listed_frames_nothing_and_asks_nothing(page: Any, world: tuple[str, str, str]) -> None:
    app, portal, stranger = world
    page.goto(stranger + "/frame")
    page.wait_for_timeout(1_500)
    shown = [frame.url for frame in page.frames[1:]]
    assert shown in (["chrome-error://chromewebdata/"], [])  # the browser put its own page there
    assert any("frame-ancestors" in line for line in page.noise)
    page.goto(stranger)
    page.locator("aside pullquote-chat [role=alert]").wait_for()
    assert page.locator("aside pullquote-chat input").count() == 0
    status = page.evaluate(
        """(app) => fetch(app + "/v1/ask", {method: "POST", credentials: "include", body: '{"question": "x"}'})
        .then((response) => response.status, () => "blocked")""",
        app,
    )
    assert status == "blocked"
    page.goto(portal + "/frame")
    page.frame_locator("iframe").locator("#question").wait_for()  # the listed one may


def test_only_the_page_that_frames_it_is_heard(page: Any, world: tuple[str, str, str]) -> None:
    app, portal, _ = world
    page.goto(portal)
    whole = page.locator(".whole pullquote-chat").frame_locator("iframe")
    whole.locator("#question").wait_for()
    page.wait_for_timeout(500)
    intruder = page.context.new_page()
    intruder.goto(app)  # top level: nobody frames it, so nobody is heard
    intruder.wait_for_selector("#question")
    intruder.evaluate("postMessage({pullquote: 'theme', value: 'dark'}, '*')")
    intruder.wait_for_timeout(300)
    assert intruder.locator("body.dark").count() == 0
    # The frame's own window posts to itself: the origin is not a portal's, the source is not the parent.
    page.frames[-1].evaluate("postMessage({pullquote: 'theme', value: 'dark'}, '*')")
    page.wait_for_timeout(300)
    assert whole.locator("body.dark").count() == 0
    # The portal's component hears no other frame.
    page.evaluate("postMessage({pullquote: 'height', value: 3000}, '*')")
    page.wait_for_timeout(300)
    height = "document.querySelector('.whole pullquote-chat').shadowRoot.querySelector('iframe').offsetHeight"
    assert page.evaluate(height) < 2_900


def test_who_signed_in_here_can_sign_out_in_the_chat_and_in_the_library(page: Any, tmp_path: Path) -> None:
    pytest.importorskip("authlib", reason="needs Authlib (the extra oidc)")
    from rag.web.session import Sessions

    given = {"login": ("oidc",), "oidc_issuer": "http://127.0.0.1:9", "oidc_client": "x", "oidc_secret": "x"}
    with serving(tmp_path, **given) as (app, settings):
        session = Sessions(settings)
        for path, name in (("/", "chat"), ("/library", "library")):
            page.context.add_cookies([{"name": session.name, "value": session.made({"sub": "ann"}), "url": app}])
            page.goto(app + path)
            button = page.get_by_role("button", name="Sign out")
            button.wait_for()
            if os.environ.get("SHOTS"):
                page.wait_for_timeout(500)
                page.screenshot(path=f"{os.environ['SHOTS']}/sign-out-{name}.png")
            button.click()
            page.get_by_text("You are signed out.").wait_for()
            assert page.request.get(app + "/v1/uploads").status == 401
    assert page.noise == []


def test_where_nobody_signs_in_nobody_is_offered_to_sign_out(page: Any, world: tuple[str, str, str]) -> None:
    app, _, _ = world
    page.goto(app)
    page.locator(".amount").wait_for()
    assert page.get_by_role("button", name="Sign out").count() == 0


def test_a_ticket_lets_the_portal_s_visitor_into_the_component_and_the_frame(page: Any, tmp_path: Path) -> None:
    from rag.keys import Keys

    _, secret = Keys(tmp_path / "keys.sqlite").add("portal", ("ticket",), ("staff",))
    with pages() as (port, portal):
        portal.key, portal.given, portal.more = secret, [], ' tickets="/pullquote-ticket"'
        origin = f"http://localhost:{port}"
        log = tmp_path / "requests.jsonl"
        chosen = {"login": ("keys", "tickets"), "portal_origins": (origin,), "request_log": str(log)}
        with serving(tmp_path, **chosen) as (app, _):
            portal.app = app
            seen: list[Any] = []
            page.on("request", lambda request: seen.append(request))
            page.goto(origin)
            chat = page.locator("aside pullquote-chat")
            chat.locator("input").fill(LEAVE)
            chat.locator("input").press("Enter")
            chat.locator("figure").first.wait_for()
            frame = page.locator(".whole pullquote-chat").frame_locator("iframe")
            frame.locator("#question").fill(LEAVE)
            frame.locator("#question").press("Enter")
            frame.locator(".leading blockquote").wait_for()
            if os.environ.get("SHOTS"):
                page.wait_for_timeout(500)
                page.screenshot(path=f"{os.environ['SHOTS']}/tickets.png")
            assert len(portal.given) == 2
            assert next(frame.url for frame in page.frames if frame.url.startswith(app)).split("#")[0] == f"{app}/"
            told = [request.url.split("#")[0] + json.dumps(request.all_headers()) for request in seen]
            told += [log.read_text("utf-8"), page.content()]
            assert not [ticket for ticket in portal.given if any(ticket in text for text in told)]
            (cookie,) = [cookie for cookie in page.context.cookies() if cookie["name"] == "pullquote_embed"]
            assert (cookie["httpOnly"], cookie["secure"], cookie["sameSite"]) == (True, True, "None")
            assert cookie["partitionKey"]
            assert page.goto(f"{app}/v1/widget").status == 401  # the cookie belongs to the frame in the portal
            page.goto(f"{app}/embed#{portal.given[0]}")  # not in a frame: a link that someone was sent
            page.get_by_role("alert").wait_for()
            assert page.url == f"{app}/embed"
