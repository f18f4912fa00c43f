"""The report: one HTML page with the figures, the plots and the questions. Works offline; its text is inert."""

from __future__ import annotations

import base64
import hashlib
import heapq
import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from rag.evaluate.datasets import Problem, read_rows
from rag.evaluate.names import HEADLINES, METRICS
from rag.evaluate.score import FAILURES

MOST = 2000  # questions in the page

_INERT = str.maketrans({"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"})


def write_report(results: Path, summary: Mapping[str, Any], page: Path, most: int = MOST) -> None:
    """Write the page from results.jsonl and the summary's dictionary. Memory holds the questions shown, no others."""
    seen: Counter[str | None] = Counter()

    def ranked() -> Iterator[tuple[int, int, dict[str, Any]]]:
        """Rows with a rank that takes the kinds of failure in turn, and one right answer in four turns."""
        for item in read_rows(results):
            if not isinstance(item, Problem):
                line, row = item
                seen[row["failure"]] += 1
                yield seen[row["failure"]] * (1 if row["failure"] else 4), line, row

    kept = heapq.nsmallest(most, ranked(), key=lambda item: item[:2])
    shown = [row for _, _, row in sorted(kept, key=lambda item: (item[2]["failure"] is None, item[1]))]
    data = {
        "summary": summary,
        "rows": shown,
        "names": {name: metric._asdict() for name, metric in METRICS.items()},
        "headlines": HEADLINES,
        "failures": FAILURES,
    }
    page.write_text(render(data), "utf-8")


def render(data: Mapping[str, Any]) -> str:
    """The page as text. Script and style are allowed by their hashes only; `data` is JSON that no parser can leave."""
    template = Path(__file__).with_name("report.html").read_text("utf-8")
    script, style = (_hash(template, tag) for tag in ("script", "style"))
    policy = f"default-src 'none'; script-src {script}; style-src {style}; base-uri 'none'; form-action 'none'"
    text = json.dumps(data, ensure_ascii=False).translate(_INERT).encode("utf-8", "backslashreplace").decode()
    return template.replace("{{policy}}", policy).replace("{{data}}", text)


def _hash(template: str, tag: str) -> str:
    """The CSP source of the one element `tag` that holds code."""
    found = re.search(rf"<{tag}>(.*?)</{tag}>", template, re.DOTALL)
    assert found, f"report.html has no <{tag}>"
    return f"'sha256-{base64.b64encode(hashlib.sha256(found[1].encode()).digest()).decode()}'"
