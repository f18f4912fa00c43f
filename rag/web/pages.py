"""The pages that are not the chat, as HTML around our own modules: the words go in as data, and nothing else does."""

from __future__ import annotations

import html
import json
from collections.abc import Collection, Mapping
from typing import Any

from rag.web.words import ENTER, LIBRARY, SIGN_OUT, SIGNED_OUT

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<meta name="color-scheme" content="light dark"><title>{title}</title>
<link rel="icon" href="ui/icon.svg"><link rel="stylesheet" href="ui/chat.css">
<link rel="stylesheet" href="ui/{name}.css">
<script type="module" src="ui/{name}.js"></script></head>
<body class="{name}" data-words="{words}"{more}></body></html>
"""


def library(title: str, session: bool = False, alone: bool = True) -> str:
    """The library page of the app called `title`; in a `session` it offers the sign-out. Where nobody signs in, no
    visitor is told from another: `alone` is False."""
    words = LIBRARY if alone else {**LIBRARY, "private": LIBRARY["open"]}
    return _page("library", f"{LIBRARY['title']} · {title}", words, " data-session" if session else "")


def sign_out(title: str, session: bool) -> str:
    """The page with the button that ends a session, or the word that there is none; without a style sheet, since a
    stranger sees it too."""
    button = f"<p>{html.escape(SIGNED_OUT)}</p>"
    if session:
        button = f'<form method="post"><button>{html.escape(SIGN_OUT)}</button></form>'
    head = f'<meta charset="utf-8"><meta name="color-scheme" content="light dark"><title>{html.escape(title)}</title>'
    body = f'{button} <a href="..">{html.escape(title)}</a>'
    return f'<!doctype html><html lang="en"><head>{head}</head><body>{body}</body></html>'


def enter(title: str) -> str:
    """The page of a portal's frame on which a ticket becomes a session; without a style sheet, as above."""
    head = f'<meta charset="utf-8"><meta name="color-scheme" content="light dark"><title>{html.escape(title)}</title>'
    words = html.escape(json.dumps(ENTER))
    script = '<script type="module" src="ui/enter.js"></script>'
    return f'<!doctype html><html lang="en"><head>{head}{script}</head><body data-words="{words}"></body></html>'


def embedding(origins: Collection[str]) -> str:
    """What the chat page has in its head, so that the pages of `origins` can frame it and talk to it."""
    listed = html.escape(" ".join(origins))
    return f'<meta name="pullquote-portals" content="{listed}"><script type="module" src="ui/embed.js"></script>'


def _page(name: str, title: str, words: Mapping[str, Any], more: str = "") -> str:
    return _PAGE.format(name=name, title=html.escape(title), words=html.escape(json.dumps(words)), more=more)
