"""Markdown → canonical text. The door of markdown_it and yaml.

CommonMark with tables, strikethrough, footnotes and YAML front matter is rendered to HTML and written as HTML is, so
that raw HTML inside Markdown, which may begin in one block and end in another, means what it means in a browser.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from io import StringIO
from typing import Any

import yaml
from markdown_it import MarkdownIt
from markdown_it.common.utils import escapeHtml
from markdown_it.rules_block import StateBlock
from markdown_it.rules_core import StateCore
from markdown_it.rules_inline import StateInline
from markdown_it.token import Token

from rag.errors import LoadError
from rag.load.build import Builder, File, Loaded, document, iso_date
from rag.load.decode import text_of
from rag.load.html import feed, parse
from rag.load.writer import Writer

_DEEPEST = 100  # nested lists and quotes; the parser is recursive
_PIECE = 500_000  # characters that are parsed at once: a syntax tree takes a hundred times their memory
_BRACKETS = 2_000  # in one paragraph; the parser's time grows with the square of them
_FRONT = re.compile(r"---[ \t]*\n(.*?\n)?(?:---|\.\.\.)[ \t]*(?:\n|\Z)", re.DOTALL)
_FIELD = re.compile(r"^(title|date|collection|groups|author|lang|language):[ \t]*(\S.*?)[ \t]*$", re.MULTILINE)
_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})")
_NOTE = re.compile(r"\[\^([^\]\s]+)\]:[ \t]+(?=\S)")
_NOTE_MARK = re.compile(r"\[\^[^\]\s]+\]")
_RAW_TAG = re.compile(r"<(title|textarea|style|xmp|iframe|noembed|noframes|script|plaintext)\b", re.IGNORECASE)


def read(file: File) -> Loaded:
    """One document. Raises LoadError when the file is no text or shows none, or on front matter that would open it
    to readers whom it means to keep out."""
    text, notes = text_of(file)
    fields, body, remarks = _front_matter(text, file.id)
    builder = Builder()
    writer = Writer(builder)
    env: dict[str, Any] = {}
    left_out = Counter[str]()
    for piece in _pieces(body):
        tokens = _MARKDOWN.parse(piece, env)
        if any(token.level >= _DEEPEST - 1 for token in tokens):
            remarks.append(f"nested more than {_DEEPEST} deep; what lies deeper is left out")
        left_out += feed(writer, parse(_MARKDOWN.renderer.render(tokens, _MARKDOWN.options, env), file.id))
    if remarks and not builder.blocks:
        raise LoadError(f"{file.id}: {remarks[-1]}, and nothing else is there; repair the file")
    made = document(
        file,
        "markdown/1",
        builder.text,
        blocks=tuple(builder.blocks),
        sections=builder.sections(),
        title=fields.get("title") or (builder.headings[0][1] if builder.headings else ""),
        date=iso_date(fields.get("date") or ""),
        collection=fields.get("collection") or "",
        groups=fields.get("groups") or (),
        author=fields.get("author"),
        language=fields.get("language"),
    )
    return Loaded((made,), (*notes, *dict.fromkeys(remarks)), left_out)


def _front_matter(text: str, name: str) -> tuple[dict[str, Any], str, list[str]]:
    """Its title, date, collection, groups, author and language; the text after it; remarks. Values are strings, but the
    groups, and perhaps the author, lists of them."""
    found = _FRONT.match(text)
    if not found:
        return {}, text, []
    remarks = []
    source = found[1] or ""
    try:
        values = yaml.load(source, Loader=yaml.BaseLoader)  # strings, lists and mappings only: `1.10` stays as written
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        line = getattr(getattr(error, "problem_mark", None), "line", 0) + 2
        values = dict(_FIELD.findall(source))
        remarks.append(f"line {line}: the front matter is not YAML; put values that hold a colon in quotes")
        if "groups" in values:
            raise LoadError(f"{name}: {remarks[0]}, since it limits who may read the file") from None
    if not isinstance(values, dict):
        return ({}, text, []) if values else ({}, text[found.end() :], [])  # a rule, text, a rule
    fields: dict[str, Any] = {}
    for key in ("title", "date", "collection"):
        value = values.get(key) or ""
        if not isinstance(value, str) or (key == "date" and value and not iso_date(value)):
            remarks.append(f"front matter: {key} {str(value)[:40]!r} is not {_MEANT[key]} and is ignored")
        else:
            fields[key] = value
    fields["author"] = values.get("author") or values.get("authors")
    language = values.get("lang") or values.get("language")
    fields["language"] = language if isinstance(language, str) else ""
    groups = values.get("groups") or []
    groups = [groups] if isinstance(groups, str) else groups
    if not isinstance(groups, list) or not all(isinstance(group, str) and group for group in groups):
        raise LoadError(
            f"{name}: front matter: groups is not a list of names; correct it, since it limits who may read"
        )
    fields["groups"] = tuple(groups)
    return fields, text[found.end() :], remarks


_MEANT = {"title": "text", "date": "YYYY-MM-DD", "collection": "a name"}


def _pieces(text: str) -> Iterator[str]:
    """The text, cut into pieces of about _PIECE characters before lines where nothing can be going on.

    Such a line follows a blank one, outside fenced code, and begins with a heading's mark or a letter.
    """
    if len(text) <= _PIECE:
        yield text
        return
    piece: list[str] = []
    size, fence, blank = 0, "", False
    for line in StringIO(text):
        if size >= _PIECE and blank and not fence and (line[0] == "#" or line[0].isalpha()):
            yield "".join(piece)
            piece, size = [], 0
        piece.append(line)
        size += len(line)
        blank = not line.strip()
        if mark := _FENCE.match(line):
            if not fence:
                fence = mark[1]
            elif mark[1].startswith(fence) and not line.strip().strip(fence[0]):
                fence = ""
    yield "".join(piece)


class _Markdown(MarkdownIt):
    def validateLink(self, url: str) -> bool:
        return True  # only a link's words are kept, so no address is dangerous


def _footnote(state: StateBlock, begin: int, end: int, silent: bool) -> bool:
    """`[^1]: words` is a paragraph of its own, without the mark, up to a blank line or the next footnote."""
    if state.is_code_block(begin):
        return False
    found = _NOTE.match(state.src, state.bMarks[begin] + state.tShift[begin], state.eMarks[begin])
    if not found or silent:
        return bool(found)
    last = begin + 1
    while last < end and not state.isEmpty(last) and state.sCount[last] >= state.blkIndent:
        if _NOTE.match(state.src, state.bMarks[last] + state.tShift[last], state.eMarks[last]):
            break
        last += 1
    state.line = last
    state.env.setdefault("footnotes", set()).add(found[1])
    state.push("paragraph_open", "p", 1).map = [begin, last]
    words = state.push("inline", "", 0)
    words.content = state.getLines(begin, last, state.blkIndent, False).strip()[len(found[0]) :]
    words.map, words.children = [begin, last], []
    state.push("paragraph_close", "p", -1)
    return True


def _footnote_mark(state: StateInline, silent: bool) -> bool:
    """`[^1]` in running text is a mark, no word."""
    found = _NOTE_MARK.match(state.src, state.pos, state.posMax)
    if not found or found[0][2:-1] not in state.env.get("footnotes", ()):
        return False
    state.pos = found.end()
    return True


def _spare(state: StateCore) -> None:
    """Paragraphs that would cost the parser minutes stay as they are written."""
    for token in state.tokens:
        if token.type == "inline" and token.content.count("[") > _BRACKETS:
            token.type = "text"


def _code_inline(renderer: Any, tokens: Sequence[Token], index: int, options: Any, env: Any) -> str:
    return f'<code style="white-space:pre">{escapeHtml(tokens[index].content)}</code>'


def _html_inline(renderer: Any, tokens: Sequence[Token], index: int, options: Any, env: Any) -> str:
    """Raw HTML; but a lone <title> in a sentence is meant as a word, and must not swallow the rest of the document."""
    content = tokens[index].content
    if found := _RAW_TAG.match(content):
        closing = f"</{found[1]}".lower()
        if not any(later.content.lower().startswith(closing) for later in tokens[index + 1 :]):
            return escapeHtml(content)
    return content


def _make() -> MarkdownIt:
    markdown = _Markdown("commonmark", {"maxNesting": _DEEPEST}).enable(["table", "strikethrough"])
    markdown.block.ruler.before("reference", "footnote", _footnote, {"alt": ["paragraph", "reference", "blockquote"]})
    markdown.inline.ruler.before("link", "footnote_mark", _footnote_mark)
    markdown.core.ruler.before("inline", "spare", _spare)
    markdown.add_render_rule("code_inline", _code_inline)
    markdown.add_render_rule("html_inline", _html_inline)
    return markdown


_MARKDOWN = _make()
