"""A tree of HTML → canonical text: the one place where structure becomes text.

Markdown is rendered to HTML and goes through here too. The nodes are selectolax's, which `rag.load.html` makes.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from rag.load.build import Builder
from rag.load.numbering import figure
from rag.types import BlockKind

_BLOCKS = frozenset(
    "address article aside blockquote body caption center dd details dialog dir div dl dt fieldset figcaption "
    "figure footer form frameset h1 h2 h3 h4 h5 h6 header hgroup hr html legend li listing main menu nav ol optgroup p "
    "plaintext pre search section summary table tbody td tfoot th thead tr ul xmp".split()
)
_CODE = frozenset(("pre", "listing", "xmp", "plaintext"))
_HEADINGS = frozenset(("h1", "h2", "h3", "h4", "h5", "h6"))
_STRONG = frozenset(("b", "strong", "th", "thead"))
_UNSEEN = frozenset(
    "annotation annotation-xml area audio base canvas col colgroup datalist embed head iframe link meta noembed "
    "noframes noscript object param rp script select source style svg template title track video".split()
)
_VERBATIM_STYLE = re.compile(r"\bwhite-space\s*:\s*pre", re.IGNORECASE)
_WHITE = re.compile(r"[ \t\n\f\r]+")
_NUMBER = re.compile(r"\s*([+-]?\d{1,9})(?!\d)", re.ASCII)
_LAYOUT = "table, h1, h2, h3, h4, h5, h6"  # a table that holds these arranges a page; it is no table of data
_INDENT = 16  # characters before a nested item, at most
HIDDEN = "hidden text"
UNSEEN_STYLE = re.compile(r"\b(?:display\s*:\s*none|visibility\s*:\s*hidden)\b", re.IGNORECASE)


class _List:
    """A list being written: what its next item begins with."""

    def __init__(self, node: Any, outer: _List | None) -> None:
        self.ordered = node.tag == "ol"
        self.figures = node.attributes.get("data-figures") or ""  # as `figure` names them
        self.number = _number(node.attributes.get("start"), 1)
        self.step = -1 if "reversed" in node.attributes else 1
        self.indent: str = (outer.indent + "  ")[:_INDENT] if outer else ""
        self.group: object = outer.group if outer else self

    def marker(self, item: Any) -> str:
        if not self.ordered:
            return self.indent + "- "
        number = _number(item.attributes.get("value"), self.number)
        self.number = number + self.step
        return f"{self.indent}{figure(number, self.figures)}. "


class _Table:
    """A table being written: its header, where its body begins, and the row at hand."""

    def __init__(self) -> None:
        self.cells: list[str] = []
        self.header = ""
        self.body: tuple[int, int] | None = None
        self.strong = True  # every word of the row is bold


class _Context(NamedTuple):
    """What holds for the text inside an element."""

    kind: BlockKind = "paragraph"
    level: int = 0
    verbatim: bool = False
    strong: bool = False
    items: _List | None = None
    table: _Table | None = None
    cell: bool = False


def _number(value: str | None, default: int) -> int:
    found = _NUMBER.match(value or "")
    return int(found[1]) if found else default


class Writer:
    """Walks trees, without recursion, and writes what is seen to a Builder."""

    def __init__(self, builder: Builder) -> None:
        self._builder = builder
        self._words: list[str] = []  # of the block at hand
        self._last = ""  # its last character
        self._marker = ""  # of the list item that has no text yet

    def feed(self, body: Any, unseen: Mapping[int, str] = MappingProxyType({})) -> list[tuple[str, Any]]:
        """Write the tree below `body`, one piece of a longer text or all of it, without the `unseen`: mem_id → kind.

        Kind and element of what was left out.
        """
        passed: list[tuple[str, Any]] = []
        stack: list[tuple[Any, _Context, bool]] = [(body, _Context(), False)]
        while stack:
            node, context, leaving = stack.pop()
            tag = node.tag or ""
            if leaving:
                self._leave(tag, context)
                continue
            if node is not body and (following := node.next):
                stack.append((following, context, False))
            if tag == "-text":
                self._text(node.text_content or "", context)
            elif tag == "br":
                self._break(context)
            elif tag[:1] in ("", "-", "!") or tag in _UNSEEN:
                continue
            elif node is not body and (node.mem_id in unseen or not _shown(node)):
                passed.append((unseen.get(node.mem_id, HIDDEN), node))
            elif tag == "img":
                self._text(node.attributes.get("alt") or "", context._replace(verbatim=False))
            else:
                inner = self._enter(node, tag, context)
                if tag in _BLOCKS:
                    stack.append((node, inner, True))
                if child := node.first_child:
                    stack.append((child, inner, False))
        self._flush(_Context())
        return passed

    def _enter(self, node: Any, tag: str, context: _Context) -> _Context:
        if tag in _BLOCKS:
            self._boundary(context)
        if _VERBATIM_STYLE.search(node.attributes.get("style") or ""):
            context = context._replace(verbatim=True)
        if tag in _STRONG:
            context = context._replace(strong=True)
        if context.cell:
            return context
        if tag in _CODE:
            return context._replace(kind="code", verbatim=True)
        if tag in _HEADINGS:
            return context._replace(kind="heading", level=int(tag[1]))
        if tag in ("ul", "ol", "menu", "dir"):
            return context._replace(items=_List(node, context.items))
        if tag == "li":
            self._marker = context.items.marker(node) if context.items else "- "
        elif tag == "table":
            return context._replace(table=None if _is_layout(node) else _Table())
        elif context.table and tag == "tr":
            context.table.cells, context.table.strong = [], True
        elif context.table and tag in ("td", "th"):
            return context._replace(cell=True, kind="row", verbatim=False)
        return context

    def _leave(self, tag: str, context: _Context) -> None:
        table = context.table
        if table and context.cell and context.kind == "row" and tag in ("td", "th"):
            table.cells.append("".join(self._words).strip())
            self._words, self._last = [], ""
            return
        if tag in _CODE and not context.cell:
            self._flush(context)
        self._boundary(context)
        if table and tag == "tr":
            self._row(table, context)
        elif table and tag == "table" and table.header and table.body:
            self._builder.section(table.header, *table.body)
        elif tag == "li":
            self._marker = ""

    def _row(self, table: _Table, context: _Context) -> None:
        if not any(table.cells):
            return
        row = " | ".join(table.cells)
        block = self._builder.write("row", row, marker=self._marker, group=table)
        self._marker = ""
        if table.strong and not table.body:
            table.header = row
        else:
            table.body = (table.body[0] if table.body else block.start, block.end)

    def _text(self, text: str, context: _Context) -> None:
        if context.verbatim:
            text = text.replace("\n", " ") if context.cell else text
        else:
            text = _WHITE.sub(" ", text)
            if text.startswith(" ") and self._last in ("", " ", "\n"):
                text = text[1:]
        if text:
            self._words.append(text)
            self._last = text[-1]
            if context.cell and context.table and not context.strong and text.strip():
                context.table.strong = False

    def _break(self, context: _Context) -> None:
        """A line end; two of them part paragraphs."""
        if context.cell or context.kind == "heading":
            self._text(" ", context._replace(verbatim=False))
        elif context.kind == "code":
            self._text("\n", context)
        elif self._last == "\n":
            self._flush(context)
        elif self._words:
            self._words = [*self._words[:-1], self._words[-1].rstrip(" "), "\n"]
            self._last = "\n"

    def _boundary(self, context: _Context) -> None:
        """The edge of a block: it ends the words at hand, but inside a cell and inside code it only parts them."""
        if context.cell:
            self._text(" ", context)
        elif context.kind == "code":
            self._text("\n" if self._words and self._last != "\n" else "", context)
        else:
            self._flush(context)

    def _flush(self, context: _Context) -> None:
        words, self._words, self._last = "".join(self._words), [], ""
        if context.kind == "code":
            if words.strip():
                self._builder.code(words)
                self._marker = ""
            return
        if words := words.strip():
            marker, self._marker = self._marker, ""
            group = context.items.group if context.items and marker else None
            kind: BlockKind = "item" if marker and context.kind == "paragraph" else context.kind
            self._builder.write(kind, words, marker=marker, group=group, level=context.level)


def _shown(node: Any) -> bool:
    attributes = node.attributes
    return not attributes or not (
        "hidden" in attributes
        or (attributes.get("aria-hidden") or "").strip().lower() == "true"
        or UNSEEN_STYLE.search(attributes.get("style") or "")
    )


def _is_layout(table: Any) -> bool:
    """Whether a table arranges a page. (`css_first` looks at the node itself too, so its children are asked.)"""
    if table.attributes.get("role") in ("presentation", "none"):
        return True
    return any(child.css_first(_LAYOUT) is not None for child in table.iter())
