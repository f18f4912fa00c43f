"""HTML → canonical text: what a reader sees. The door of selectolax; `rag.load.writer` walks the trees it makes."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from types import MappingProxyType

from selectolax.lexbor import LexborHTMLParser, LexborNode, SelectolaxError

from rag.errors import LoadError
from rag.load.build import Builder, File, Loaded, document, iso_date
from rag.load.decode import text_of
from rag.load.furniture import enough, furniture
from rag.load.writer import HIDDEN, UNSEEN_STYLE, Writer

_FEW = 20  # characters that are left out without a word
_SHEET, _RULES = 100_000, 500  # characters of <style> and rules that are looked at
DISGUISED = "text too small to read, or white on white"
_STYLED = 5_000  # elements with a style of their own that are looked at
_WHITE = re.compile(
    r"(?:^|;)\s*color\s*:\s*(?:white|#fff(?:fff)?|rgb\(\s*255\s*[, ]\s*255\s*[, ]\s*255\s*\))\s*(?:!|;|$)",
    re.IGNORECASE,
)
_TINY = re.compile(
    r"(?:^|;)\s*font-size\s*:\s*(?:0+(?:\.0+)?(?:px|pt|r?em|%)?|(?:0?\.\d+|1(?:\.\d+)?)(?:px|pt))\s*(?:!|;|$)",
    re.IGNORECASE,
)
_COMMENT = re.compile(r"/\*.*?(?:\*/|\Z)", re.DOTALL)
_AT_RULE = re.compile(r"@[^@{};]*(?:;|\{(?:[^{}]*\{[^{}]*\})*[^{}]*\})")
_DATES = (
    *('meta[property="article:published_time" i]', 'meta[name="date" i]', 'meta[name="dc.date" i]'),
    *('meta[name="dcterms.date" i]', 'meta[name="dc.date.issued" i]', 'meta[itemprop="datePublished" i]'),
)
_AUTHORS = ('meta[name="author" i]', 'meta[name="dc.creator" i]', 'meta[name="dcterms.creator" i]')
_LANGUAGES = ('meta[http-equiv="content-language" i]', 'meta[name="dc.language" i]')
_DEEPEST = 20_000  # elements open at once; the parser's time grows with the square of it
_REBUILT = 1_000_000  # elements that the parser would have to repeat for formatting tags that are never closed
_TAG = re.compile(r"<(/?)([a-z][a-z0-9]*)\b", re.IGNORECASE)
_FORMATTING = frozenset("b big code em font i s small strike strong tt u".split())
_CLOSES_ITSELF = frozenset(
    "area base br col dd dt embed hr img input li link meta optgroup option p param path source tbody td tfoot th "
    "thead tr track wbr".split()
)
_XML_EMPTY = re.compile(
    r"<((?!(?:area|base|br|col|embed|hr|img|input|link|meta|source|track|wbr)\b)[a-z][\w:.-]*)([^<>]*)/>"
)


def read(file: File) -> Loaded:
    """One document: the page's text without its navigation. LoadError: no text, none seen, or nested without end."""
    text, notes = text_of(file)
    xhtml = text.lstrip().startswith("<?xml") or file.id.lower().endswith(".xhtml")
    tree = parse(closed(text) if xhtml else text, file.id)
    builder, left_out = _written(tree, furniture(tree))
    removed = sum(count for kind, count in left_out.items() if kind not in (HIDDEN, DISGUISED))
    if removed and (not builder.blocks or not enough(len(builder.text), removed, tree)):
        builder, left_out = _written(tree, {})
    title = tree.css_first("head title")
    headings = sorted(builder.headings, key=lambda heading: heading[0] > 1)  # the first <h1>, else the first of any
    made = document(
        file,
        "html/3",
        builder.text,
        blocks=tuple(builder.blocks),
        sections=builder.sections(),
        title=(title.text() if title else "").strip() or (headings[0][1] if headings else ""),
        date=_date(tree),
        author=[node.attributes.get("content") or "" for node in _first(tree, _AUTHORS)],
        language=_language(tree),
    )
    if left_out[DISGUISED] > _FEW:
        notes = (*notes, f"{left_out[DISGUISED]} characters of {DISGUISED} left out")
    return Loaded((made,), notes, +left_out)


def _written(tree: LexborHTMLParser, unseen: dict[int, str]) -> tuple[Builder, Counter[str]]:
    """The text without these elements, and the characters that are left out, by kind."""
    builder = Builder()
    return builder, feed(Writer(builder), tree, unseen)


def closed(text: str) -> str:
    """XHTML as HTML: `<script/>` and `<div/>` are closed in the one, but not in the other."""
    return _XML_EMPTY.sub(r"<\1\2></\1>", text)


def parse(text: str, name: str) -> LexborHTMLParser:
    """The tree of an HTML text. Raises LoadError where it would cost the parser minutes or all memory."""
    depth: Counter[str] = Counter()
    deepest = repeats = open_now = 0
    for found in _TAG.finditer(text):
        closing, tag = found[1], found[2].lower()
        if tag in _CLOSES_ITSELF:
            repeats += sum(max(0, depth[formatting] - 3) for formatting in _FORMATTING) if open_now > 3 else 0
        elif not closing:
            depth[tag] += 1
            open_now += 1
            deepest = max(deepest, open_now)
        elif depth[tag]:
            depth[tag] -= 1
            open_now -= 1
    if deepest > _DEEPEST or repeats > _REBUILT:
        raise LoadError(f"{name}: too many tags are opened and never closed; repair the HTML or save it as text")
    return LexborHTMLParser(text)


def feed(writer: Writer, tree: LexborHTMLParser, unseen: Mapping[int, str] = MappingProxyType({})) -> Counter[str]:
    """Write what a reader sees of the tree, without the `unseen`. The characters that are left out, by kind."""
    left_out = Counter[str]()
    if tree.body:
        hidden = dict.fromkeys(_hidden_by_style(tree), HIDDEN) | dict.fromkeys(_disguised(tree), DISGUISED)
        for kind, node in writer.feed(tree.body, {**unseen, **hidden}):
            aside = Builder()
            Writer(aside).feed(node)
            left_out[kind] += len(aside.text)
    return left_out


def _disguised(tree: LexborHTMLParser) -> set[int]:
    """The elements whose own style makes their words tiny, or white where nothing colours a ground behind. One that
    holds elements with a style of their own is none: their words may be seen."""
    sheets = tree.css_first("link[rel~=stylesheet i]") or any("background" in s.text() for s in tree.css("style"))
    grounds = {node.mem_id for node in tree.css("[style*=background i], [bgcolor]")}
    found = set()
    for node in tree.css("[style], font[color]")[:_STYLED]:
        style = node.attributes.get("style") or ""
        white = _WHITE.search(style) or _WHITE.search(f"color:{node.attributes.get('color') or ''}")
        unseen = _TINY.search(style) or (white and not sheets and not _within(node, grounds))
        if unseen and not any(child.css_first("[style], [class], font") for child in node.iter()):
            found.add(node.mem_id)
    return found


def _within(node: LexborNode, others: set[int]) -> bool:
    """Whether the element or one around it is among `others`."""
    outer: LexborNode | None = node
    while outer:
        if outer.mem_id in others:
            return True
        outer = outer.parent
    return False


def _first(tree: LexborHTMLParser, selectors: Sequence[str]) -> list[LexborNode]:
    """The elements of the first selector that finds any."""
    return next(filter(None, (tree.css(selector) for selector in selectors)), [])


def _language(tree: LexborHTMLParser) -> str:
    """The language that the page declares for all of itself."""
    for node in (tree.root, tree.body):
        for name in ("lang", "xml:lang"):
            if node and (found := node.attributes.get(name)):
                return found
    return next((node.attributes.get("content") or "" for node in _first(tree, _LANGUAGES)), "")


def _date(tree: LexborHTMLParser) -> str | None:
    """The date of publication that the page declares; that of <time> only when the page names a single day."""
    for selector in _DATES:
        for node in tree.css(selector):
            if found := iso_date(node.attributes.get("content") or ""):
                return found
    days = {iso_date(node.attributes.get("datetime") or "") for node in tree.css("time[datetime]")} - {None}
    return days.pop() if len(days) == 1 else None


def _hidden_by_style(tree: LexborHTMLParser) -> set[int]:
    """The elements that the page's own <style> hides from every reader (not in print or on small screens only)."""
    sheet = "".join(node.text() for node in tree.css("style"))[:_SHEET]
    if not UNSEEN_STYLE.search(sheet):
        return set()
    found = set()
    for rule in _AT_RULE.sub("", _COMMENT.sub("", sheet)).split("}")[:_RULES]:
        selector, _, declarations = rule.partition("{")
        if UNSEEN_STYLE.search(declarations) and ":" not in selector:
            with suppress(SelectolaxError, ValueError):  # a selector that the engine does not know
                found |= {node.mem_id for node in tree.css(selector.strip())}
    return found
