"""reStructuredText → canonical text, rendered to HTML and written as HTML is. The door of docutils.

Nothing outside of the file is read: neither files nor addresses nor a configuration. Roles and directives that docutils
does not know (Sphinx has many) keep their words.
"""

from __future__ import annotations

import io
import re
from collections.abc import Mapping, Sequence
from typing import Any

from docutils import nodes, utils
from docutils.core import publish_doctree, publish_from_doctree
from docutils.parsers.rst import Directive, directives, roles
from docutils.parsers.rst.languages import en

from rag.load.build import Builder, File, Loaded, document, iso_date, paragraphs
from rag.load.decode import text_of
from rag.load.html import feed, parse
from rag.load.writer import Writer

_LINE = 10_000  # characters of a line; docutils refuses longer ones, and what a substitution grows to
_NAMES = 200  # of directives and roles that docutils does not know, in one file
_DIRECTIVE = re.compile(r"^[ \t]*\.\.[ \t]+(?:\|[^|\n]{1,200}\|[ \t]+)?([a-z][\w.+:-]{0,60})::(?=\s|$)", re.MULTILINE)
_ROLE = re.compile(r":([a-z][\w.+:-]{0,60}):`|`:([a-z][\w.+:-]{0,60}):", re.IGNORECASE)
_TARGET = re.compile(r"(.*\S)\s*<[^<>]*>", re.DOTALL)
_LIST = re.compile(r'<ol class="(lower|upper)(alpha|roman)')
_SILENT = frozenset(
    "toctree index only highlight currentmodule module literalinclude tabularcolumns sectionauthor codeauthor "
    "default-domain program graphviz".split()
)
_SETTINGS = {
    "_disable_config": True,
    "embed_stylesheet": False,
    "file_insertion_enabled": False,
    "halt_level": 5,
    "input_encoding": "unicode",
    "line_length_limit": _LINE,
    "math_output": "LaTeX",
    "output_encoding": "unicode",
    "raw_enabled": False,
    "report_level": 2,
    "smart_quotes": False,
    "stylesheet_path": "",
    "syntax_highlight": "none",
    "trim_footnote_reference_space": True,
}


def read(file: File) -> Loaded:
    """One document. Raises LoadError when the file is no text or shows none."""
    text, notes = text_of(file)
    if max(map(len, text.split("\n"))) > _LINE:
        notes = (*notes, f"a line of more than {_LINE} characters; the file is read as plain text")
        return Loaded((document(file, "text/1", text, blocks=paragraphs(text)),), notes)
    _know(text)
    settings = {**_SETTINGS, "warning_stream": io.StringIO()}
    tree = publish_doctree(text, settings_overrides=settings)
    problems = _cleared(tree)
    page = publish_from_doctree(tree, writer="html5", settings_overrides=settings)
    builder = Builder()
    feed(Writer(builder), parse(_LIST.sub(_figured, page), file.id))
    made = document(
        file,
        "rst/1",
        builder.text,
        blocks=tuple(builder.blocks),
        sections=builder.sections(),
        title=str(tree.get("title") or "") or (builder.headings[0][1] if builder.headings else ""),
        date=next((iso_date(node.astext()) for node in tree.findall(nodes.date)), None),
        author=[node.astext() for node in tree.findall(nodes.author)],
    )
    return Loaded((made,), (*notes, *problems))


def _cleared(tree: nodes.document) -> list[str]:
    """Take out what is no text of the author: messages, marks of footnotes, the contents. What was wrong, in a line."""
    wrong: list[tuple[int, str]] = []
    for message in list(tree.findall(nodes.system_message)):
        said, level = message.children[0].astext() if message.children else "", message["level"]
        if level > 2 or "disabled" in said:
            wrong.append((message.get("line", 0), " ".join(said.split())[:100]))
        title = [part.astext().split("\n")[0] for part in message.findall(nodes.literal_block)]
        kept = [nodes.paragraph("", title[0])] if title and "title" in said.lower() else []
        if message.parent is not None:
            message.parent.replace(message, kept)
    for node in [*tree.findall(nodes.footnote_reference), *tree.findall(nodes.label), *tree.findall(nodes.topic)]:
        if not isinstance(node, nodes.topic) or "contents" in node["classes"]:
            node.parent.remove(node)
    for section in [part for part in tree.findall(nodes.section) if "system-messages" in part["classes"]]:
        section.parent.remove(section)
    if not wrong:
        return []
    line, said = wrong[0]
    return [f"parts that break its rules or lie in other files: {len(wrong)}, the first in line {line}: {said}"]


def _figured(found: re.Match[str]) -> str:
    """A list of letters or Roman numbers, with a mark that the writer knows."""
    kind = {"alpha": "Letter", "roman": "Roman"}[found[2]]
    return f'<ol data-figures="{found[1]}{kind}" class="{found[1]}{found[2]}'


def _know(text: str) -> None:
    """Enter the directives and roles of a text that docutils does not know."""
    for name in sorted(set(_DIRECTIVE.findall(text)) - set(en.directives))[:_NAMES]:
        directives.register_directive(name, _Kept)
    found = {(before or after).lower() for before, after in _ROLE.findall(text)}
    for name in sorted(found - set(en.roles))[:_NAMES]:
        roles.register_local_role(name, _words)


class _Options(dict[str, Any]):
    """Every option is allowed, and none means anything."""

    def __missing__(self, name: str) -> Any:
        return lambda value: value


class _Kept(Directive):
    """An unknown directive: its argument is a paragraph, its content is read like the text around it."""

    optional_arguments = 1
    final_argument_whitespace = True
    has_content = True
    option_spec = _Options(name=directives.unchanged)

    def run(self) -> list[nodes.Node]:
        if self.name in _SILENT:
            return []
        holder = nodes.container()
        if self.arguments:
            holder += nodes.paragraph("", self.arguments[0])
        self.state.nested_parse(self.content, self.content_offset, holder)
        return holder.children


def _words(
    name: str,
    rawtext: str,
    text: str,
    lineno: int,
    inliner: Any,
    options: Mapping[str, Any] | None = None,
    content: Sequence[str] | None = None,
) -> tuple[list[nodes.Node], list[nodes.Node]]:
    """An unknown role: its words without the target behind them."""
    plain = utils.unescape(text)
    named = _TARGET.fullmatch(plain)
    shown = named[1] if named else plain.rsplit(".", 1)[-1] if plain.startswith("~") else plain.removeprefix("!")
    return [nodes.inline(rawtext, shown)], []
