"""The chat page: Gradio's Blocks hold it, `static/` builds the nodes from JSON. Door: gradio."""

from __future__ import annotations

import asyncio
import functools
import os
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"  # read when gradio is imported

import gradio as gr
from fastapi import FastAPI

from rag.readable import Readable
from rag.settings import Settings
from rag.terms import STOP
from rag.types import Filters
from rag.web.identity import require
from rag.web.pages import embedding
from rag.web.words import WORDS

if TYPE_CHECKING:
    from rag.answer import Answerer

STATIC = Path(__file__).with_name("static")
WAITING = 64  # pages that may wait for their welcome
EXAMPLES = 3
LONGEST = 90  # characters of an example
TRIED = 12  # documents that are looked at for examples
HEADINGS = 3  # headings of one document that are tried
GENERIC = frozenset(
    "actions agenda annex apologies appendix background chapter closing conclusion contact contents decisions"
    " definitions details further general information introduction matters meeting minutes next notes opening other"
    " overview part purpose references remarks scope section summary terms".split()
)  # words that say nothing of a section

# The templates hold nothing of ours or of the documents: our modules build the nodes from `props` as data. Questions go
# to `conversations.py`, not through events of Gradio: all events of a page share one stream there, which the server may
# close in the moment in which a further event relies on it, and then that one's answer is lost.
CONVERSATION = 'import(new URL("ui/chat.js", document.baseURI)).then((chat) => chat.mount(element, props, watch));'
SOURCE = 'import(new URL("ui/source.js", document.baseURI)).then((source) => source.mount(element, props));'
HEAD = '<link rel="stylesheet" href="ui/chat.css"><meta name="color-scheme" content="light dark">'
SANS = ("system-ui", "-apple-system", "Segoe UI", "Roboto", "Noto Sans", "sans-serif")
MONO = ("ui-monospace", "SFMono-Regular", "Menlo", "Consolas", "monospace")


def mount(app: FastAPI, answerer: Answerer, settings: Settings) -> None:
    """Put the chat page at `/` of `app`. Newcomers see `settings.examples`; without them headings are offered.

    `app.state.release()` lets go of the connection that each open page holds, so that a server can end.
    """

    def build() -> None:
        gr.mount_gradio_app(
            app,
            page(answerer, settings),
            "/",
            app_kwargs={"docs_url": None, "redoc_url": None, "openapi_url": None},
            footer_links=[],
            run_history=False,
            show_error=False,
            max_file_size="1kb",  # the page uploads nothing
            mcp_server=False,
            enable_monitoring=False,
            ssr_mode=False,
            pwa=False,
            favicon_path=str(STATIC / "icon.svg"),
            theme=gr.themes.Base(font=SANS, font_mono=MONO),
            head=HEAD + embedding(settings.portal_origins),
        )

    async def build_in_a_loop() -> None:
        build()

    try:
        asyncio.get_running_loop()
    except RuntimeError:  # without one Gradio makes four of its own and closes none
        asyncio.run(build_in_a_loop())
    else:
        build()
    app.state.release = app.routes[-1].app.stop_event.set  # type: ignore[attr-defined]


def page(answerer: Answerer, settings: Settings) -> gr.Blocks:
    """The page: the conversation with its question box, and the source beside it."""

    @functools.lru_cache(maxsize=64)
    def suggested(version: str, groups: tuple[str, ...] | None) -> list[str]:
        return list(settings.examples[:EXAMPLES]) or _examples(answerer, groups)

    def welcome(request: gr.Request) -> Iterator[dict[str, Any]]:
        who = require(request, "ask")
        groups = who.groups
        held = Counter(info.collection for info in Readable(answerer.index, groups).documents())
        shown = {"documents": held.total(), "collections": sorted(held), "session": who.session}
        if not settings.examples:
            yield {**shown, "examples": []}  # finding some takes a moment
        yield {**shown, "examples": suggested(answerer.index.version, groups)}

    with gr.Blocks(title=settings.title, analytics_enabled=False, fill_width=True, fill_height=True) as blocks:
        plain: dict[str, Any] = {
            "html_template": "",
            "apply_default_css": False,
            "words": WORDS,
            "title": settings.title,
        }
        conversation = gr.HTML(js_on_load=CONVERSATION, elem_id="conversation", **plain)
        gr.HTML(js_on_load=SOURCE, elem_id="source", **plain)

        quiet: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
        blocks.load(welcome, outputs=conversation, **quiet)
    return blocks.queue(max_size=WAITING, api_open=False)


def _examples(answerer: Answerer, groups: tuple[str, ...] | None = None) -> list[str]:
    """Questions for a newcomer, made of headings whose own section answers them, from documents all over the index."""
    held = list(Readable(answerer.index, groups).documents())
    found: list[str] = []
    for info in held[:: max(1, len(held) // TRIED)][:TRIED]:
        sections = answerer.index.document(info.id).sections if len(found) < EXAMPLES else ()
        for section in [section for section in sections if len(section.path) > 1 and _telling(section.path[-1])][
            :HEADINGS
        ]:
            question = WORDS["example"].format(title=info.title, heading=section.path[-1])
            if len(question) > LONGEST:
                continue
            cited = answerer.ask(question, filters=Filters(groups=groups)).citations[:1]
            if any(c.document_id == info.id and section.start <= c.start < section.end for c in cited):
                found.append(question)
                break
    return found[:EXAMPLES]


def _telling(heading: str) -> bool:
    """True for a heading that says what its section is about: two to six words, no number before them, no table's
    head, no heading that any document may have, and no question."""
    words = re.findall(r"[^\W\d_]+", heading)
    telling = [word for word in words if word.lower() not in GENERIC and word.lower() not in STOP]
    return (
        2 <= len(words) <= 6 and bool(telling) and heading[0].isalpha() and " | " not in heading and "?" not in heading
    )
