"""A conversation to take along: Markdown, JSON with W3C selectors, or a page to print. What could run is escaped."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

from rag.web.words import WORDS

Form = Literal["markdown", "json", "html"]
MEDIA: dict[Form, tuple[str, str]] = {
    "markdown": ("text/markdown", "md"),
    "json": ("application/json", "json"),
    "html": ("text/html", "html"),
}
_MARKS = re.compile(r"([\\`*_{}\[\]()<>#+!|~&=-])")
_NUMBERED = re.compile(r"^(\s*\d+)([.)])", re.M)
_STYLE = """
body { font: 11pt/1.5 Georgia, serif; max-width: 42rem; margin: 2rem auto; padding: 0 1rem; color: #221f1b; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.1rem; margin: 2rem 0 .5rem; white-space: pre-wrap; }
blockquote { margin: .75rem 0 .25rem; padding-left: 1rem; border-left: 3px solid #86303d; white-space: pre-wrap; }
p, figcaption { overflow-wrap: anywhere; } figure { margin: 0; break-inside: avoid; }
table { border-collapse: collapse; white-space: normal; } th, td { padding: .2rem 1rem .2rem 0; text-align: start; }
th { border-bottom: 1px solid #5c564d; font: .85rem/1.4 system-ui, sans-serif; }
figcaption, .note { color: #5c564d; font: .85rem/1.4 system-ui, sans-serif; }
"""


def export(title: str, turns: Sequence[Mapping[str, Any]], form: Form) -> str:
    """A conversation's turns, as `rag.web.shown` gives them, in one of the forms."""
    if form == "json":
        return json.dumps({"title": title, "turns": [_selected(turn) for turn in turns]}, ensure_ascii=False, indent=1)
    return _markdown(title, turns) if form == "markdown" else _page(title, turns)


def where(citation: Mapping[str, Any]) -> str:
    """Where a quote stands, in one line."""
    section = [part for part in citation["section"] if part != citation["title"]]
    pages = citation["pages"]
    page = "" if not pages else WORDS["page"].format(page=pages[0])
    if pages and pages[0] != pages[1]:
        page = WORDS["pages"].format(first=pages[0], last=pages[1])
    parts = (citation["title"] or citation["document_id"], " › ".join(section), page, citation["date"])
    return ", ".join(part for part in parts if part) or WORDS["withheld"]


def _said(turn: Mapping[str, Any]) -> str:
    """One line instead of an answer."""
    answer = turn["answer"]
    if answer:
        return (
            "" if answer["answers"] else " ".join(f"{part.rstrip('.')}." for part in WORDS["silence"][answer["reason"]])
        )
    return str(turn["problem"] or WORDS["stopped" if turn["state"] == "stopped" else "unanswered"])


def _notes(turn: Mapping[str, Any]) -> list[str]:
    """What is said above the quotes."""
    answer = turn["answer"] or {"conflict": False, "answers": ()}
    differ = f"{WORDS['conflict']}. {WORDS['conflict_note']}" if answer["conflict"] else ""
    claims = {WORDS["claim"].format(**item["claim"]): None for item in answer["answers"] if item["claim"]}
    return [note for note in (_searched(turn), _said(turn), differ, *claims) if note]


def table(citation: Mapping[str, Any]) -> tuple[list[str], list[list[str]]] | None:
    """The heads of the columns and the cells of a quote that is rows of a table; None for any other.

    The loaders part cells by " | " and keep the head row as the innermost section.
    """
    heads = citation["section"][-1].split(" | ") if citation["section"] else []
    rows = [line.split(" | ") for line in citation["quote"].split("\n")]
    if len(heads) < 2 or heads in rows or any(len(row) != len(heads) for row in rows):
        return None
    return heads, rows


def _searched(turn: Mapping[str, Any]) -> str:
    answer = turn["answer"]
    differs = answer and answer["query"] != turn["question"]
    return WORDS["query"].format(query=answer["query"]) if differs else ""


def _selected(turn: Mapping[str, Any]) -> dict[str, Any]:
    """A turn whose citations carry the selectors of the W3C Web Annotation Data Model (positions in code points)."""
    answer = turn["answer"]
    if not answer:
        return dict(turn)
    cited = [
        {
            **citation,
            "selector": [
                {"type": "TextPositionSelector", "start": citation["start"], "end": citation["end"]},
                {
                    "type": "TextQuoteSelector",
                    "exact": citation["quote"],
                    "prefix": citation["prefix"],
                    "suffix": citation["suffix"],
                },
            ],
        }
        for citation in answer["citations"]
    ]
    return {**turn, "answer": {**answer, "citations": cited}}


def marked(text: str) -> str:
    """Text as Markdown that shows exactly these characters."""
    return _NUMBERED.sub(r"\1\\\2", _MARKS.sub(r"\\\1", text))


def _markdown(title: str, turns: Sequence[Mapping[str, Any]]) -> str:
    lines = [f"# {marked(' '.join(title.split()))}", ""]
    for turn in turns:
        lines += [f"## {marked(' '.join(turn['question'].split()))}", ""]
        lines += [f"*{marked(note)}*\n" for note in _notes(turn)]
        for citation in _quoted(turn):
            lines += [f"> {line}".rstrip() for line in _quote_lines(citation)]
            lines += [">", f"> — {marked(where(citation))}", ""]
    return "\n".join(lines)


def _page(title: str, turns: Sequence[Mapping[str, Any]]) -> str:
    """A page of its own, without script."""
    body = [f"<h1>{html.escape(title)}</h1>"]
    for turn in turns:
        body.append(f'<h2 dir="auto">{html.escape(turn["question"])}</h2>')
        body += [f'<p class="note" dir="auto">{html.escape(note)}</p>' for note in _notes(turn)]
        body += [
            f'<figure><blockquote dir="auto">{_quote_html(citation)}</blockquote>'
            f"<figcaption>{html.escape(where(citation))}</figcaption></figure>"
            for citation in _quoted(turn)
        ]
    head = f'<meta charset="utf-8"><title>{html.escape(title)}</title><style>{_STYLE}</style>'
    return f'<!doctype html><html lang="en"><head>{head}</head><body>{"".join(body)}</body></html>'


def _quote_lines(citation: Mapping[str, Any]) -> list[str]:
    """The quote as lines of Markdown; rows as a table with its heads."""
    rows = table(citation)
    if not rows:
        return marked(citation["quote"]).split("\n")
    lines = [" | ".join(marked(cell) for cell in row) for row in (rows[0], *rows[1])]
    return [f"| {line} |" for line in (lines[0], " | ".join(["---"] * len(rows[0])), *lines[1:])]


def _quote_html(citation: Mapping[str, Any]) -> str:
    """The quote as HTML; rows as a table with its heads."""
    rows = table(citation)
    if not rows:
        return html.escape(citation["quote"])
    heads = "".join(f'<th scope="col">{html.escape(head)}</th>' for head in rows[0])
    body = "".join("<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>" for row in rows[1])
    return f"<table><thead><tr>{heads}</tr></thead><tbody>{body}</tbody></table>"


def _quoted(turn: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    return (citation for citation in (turn["answer"] or {"citations": ()})["citations"] if citation["quote"])
