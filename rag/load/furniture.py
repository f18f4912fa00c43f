"""What of a saved page is the site's and not the text's: navigation, its heads and feet, asides, cookie notices.

Only the page's own marks count (elements, roles, and the names that authors give), each beside how much of it is links,
so that prose inside a badly chosen element stays.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

NAVIGATION, HEADS, ASIDES, COOKIES = "navigation", "heads and feet of the site", "asides", "cookie notices"
_NAVIGATION = "nav, [role=navigation i], [role=search i], [role=menubar i]"
_HEADS = ("header", "footer", "[role=banner i]", "[role=contentinfo i]")
_ASIDES = ("aside", "[role=complementary i]")
_MAIN = "main, article, [role=main i]"
_WITHIN = ("main", "article", "section", "[role=main i]")  # a head or foot in here is that of the text
_NAMED = re.compile(
    r"(?:(?:site|main|top|bottom|page|doc|global|primary|secondary|side|sphinx)[-_]?)?"
    r"(?:nav|navbar|navigation|nav[-_]?panel|menu|menubar|sidebar|breadcrumbs?|crumbs|"
    r"pagination|pager|related|header|footer|skip[-_]?(?:link|nav|to[-_](?:content|main)))",
    re.IGNORECASE,
)
_TURNING = re.compile(r"navheader|navfooter|docnav", re.IGNORECASE)  # DocBook's links to the pages before and after
_COOKIE = re.compile(
    r"cookie[-_]?(?:banner|consent|notice|bar|popup|overlay|dialog|modal|message|law)|(?:cookie[-_]?|gdpr[-_]?)consent|"
    r"onetrust-|cookiebot|didomi",
    re.IGNORECASE,
)
_COPYRIGHT = re.compile(r"©|\(c\)\s*\d{4}|\bcopyright\b|\ball rights reserved\b", re.IGNORECASE)
_PROSE, _LINE, _NOTICE = 300, 200, 1500  # characters
_BUDGET = 20_000_000  # characters that are weighed: a page of nested menus must end
_ENOUGH = 500  # characters of a marked main text that are one, however small beside the rest


def furniture(tree: Any) -> dict[int, str]:
    """What is not the page's text: the kind of each such element, by mem_id."""
    marked = bool(tree.css(_MAIN))
    inner = {node.mem_id for node in tree.css(_every(_WITHIN, (*_HEADS, *_ASIDES)))}
    found: dict[int, str] = {}
    budget = _BUDGET
    for kind, node in _candidates(tree):
        if node.mem_id in found or (node.mem_id in inner and kind in (HEADS, ASIDES)):
            continue
        text = " ".join(node.text().split())
        links = len(text) if node.tag == "a" else sum(len(" ".join(a.text().split())) for a in node.css("a[href]"))
        budget -= len(text)
        if budget < 0:
            break
        if kind != NAVIGATION and any(child.css_first(f"{_MAIN}, h1") for child in node.iter()):
            continue
        if _is(kind, node, text, links, len(text) - links, marked):
            found[node.mem_id] = NAVIGATION if kind == "" else kind
    return found


def enough(kept: int, removed: int, tree: Any) -> bool:
    """Whether what is left can be the text of the page; otherwise all of it is kept."""
    return kept * 3 >= removed or (kept >= _ENOUGH and bool(tree.css(_MAIN)))


def _candidates(tree: Any) -> Iterator[tuple[str, Any]]:
    """(kind, element), the sure kinds first; "" stands for what only has a name like that of navigation."""
    for kind, selector in ((NAVIGATION, _NAVIGATION), (HEADS, ", ".join(_HEADS)), (ASIDES, ", ".join(_ASIDES))):
        yield from ((kind, node) for node in tree.css(selector))
    for node in tree.css("body [class], body [id]"):
        names = f"{node.attributes.get('class') or ''} {node.attributes.get('id') or ''}"
        if _COOKIE.search(names):
            yield COOKIES, node
        elif any(_TURNING.fullmatch(name) for name in names.split()):
            yield NAVIGATION, node
        elif any(_NAMED.fullmatch(name) for name in names.split()):
            yield "", node


def _is(kind: str, node: Any, text: str, links: int, plain: int, marked: bool) -> bool:
    role = (node.attributes.get("role") or "").lower()
    if kind == NAVIGATION:
        return plain <= _PROSE or links > plain
    if kind == HEADS:
        top = node.tag == "header" or role == "banner"
        if links * 2 > plain or (plain < _PROSE and _COPYRIGHT.search(text)):
            return True
        return top and marked and plain < _LINE and node.css_first("h2, h3, h4, h5, h6") is None
    if kind == COOKIES:
        return len(text) < _NOTICE
    return links > plain and not role.startswith(("doc-", "note"))


def _every(outer: tuple[str, ...], inner: tuple[str, ...]) -> str:
    return ", ".join(f"{one} {other}" for one in outer for other in inner)
