"""The risk–coverage curves of some runs as one SVG picture, for a page of docs; it follows light and dark."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path

from rag.errors import BadInput, NotFound
from rag.evaluate.runner import SUMMARY

Curve = Sequence[tuple[float, float]]  # (share answered, share wrong among those), surest first
WIDTH, PLOT, LEFT, RIGHT, BOTTOM, LINE = 720, 320, 58, 24, 52, 20
NOISE = 0.01  # of the questions: among fewer, one wrong answer makes a peak
_COLOURS = (("#2a5fb0", "#86b0f2"), ("#b3392b", "#f0897c"), ("#21794b", "#6cc494"), ("#8a6100", "#e0b64d"))
_STYLE = (
    "text{font:13px system-ui,sans-serif;fill:#66635c}.line{fill:none;stroke-width:2.2;stroke-linejoin:round}"
    ".grid{stroke:#e3e0d8}.axis{stroke:#8d897f}.name{font-weight:600}.page{fill:#fff}"
)
_DARK = "text{fill:#a9a69c}.grid{stroke:#34332e}.axis{stroke:#807d74}.page{fill:#1f1f1c}"


def curves_of(folders: Sequence[str]) -> dict[str, Curve]:
    """NAME=FOLDER, or a folder that gives its own name, → the curve in its summary.json.

    Raises NotFound without a summary, and BadInput when one has no curve or there are more than four.
    """
    if len(folders) > len(_COLOURS):
        raise BadInput(f"{len(folders)} curves are too many to tell apart; at most {len(_COLOURS)} are drawn")
    found: dict[str, Curve] = {}
    for given in folders:
        name, _, folder = given.rpartition("=")
        file = Path(folder, SUMMARY)
        try:
            points = json.loads(file.read_text("utf-8"))["curves"]["risk_coverage"]
        except OSError:
            raise NotFound(f"{file}: no such file; name the --out folder of a run") from None
        except (ValueError, KeyError, TypeError):
            raise BadInput(f"{file}: not the summary of a run") from None
        if not points:
            raise BadInput(f"{file}: the run answered nothing, or had no confidences, so there is no curve")
        curve = [(point["coverage"], point["risk"]) for point in points]
        found[name or Path(folder).name] = [point for point in curve if point[0] >= NOISE] or curve
    return found


def picture(curves: Mapping[str, Curve]) -> str:
    """The SVG: share wrong against share answered, one line a curve, their names above."""
    most = max(risk for curve in curves.values() for _, risk in curve)
    step = next(s for s in (0.02, 0.05, 0.1, 0.2, 0.25) if s * 5 >= most or s == 0.25)
    top = step * max(1, -int(-most // step))
    head = LINE * (len(curves) + 2)  # where the plot begins
    foot, height = head + PLOT, head + PLOT + BOTTOM

    def x(coverage: float) -> float:
        return round(LEFT + coverage * (WIDTH - LEFT - RIGHT), 1)

    def y(risk: float) -> float:
        return round(foot - risk / top * PLOT, 1)

    parts = [f'<rect class="page" width="{WIDTH}" height="{height}" rx="8"/>']
    for i in range(round(top / step) + 1):
        at, kind = y(i * step), "grid" if i else "axis"
        parts.append(f'<line class="{kind}" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{at}" y2="{at}"/>')
        parts.append(f'<text x="{LEFT - 8}" y="{at + 4}" text-anchor="end">{100 * i * step:.0f} %</text>')
    parts += [
        f'<text x="{x(share)}" y="{foot + 20}" text-anchor="middle">{100 * share:.0f} %</text>'
        for share in (0, 0.25, 0.5, 0.75, 1)
    ]
    middle = (LEFT + WIDTH - RIGHT) / 2
    parts.append(f'<text x="{middle}" y="{height - 10}" text-anchor="middle">questions answered, surest first</text>')
    parts.append(f'<text x="{LEFT}" y="{head - 10}">wrong among the answered</text>')
    for i, (name, curve) in enumerate(curves.items()):
        points = " ".join(f"{x(coverage)},{y(risk)}" for coverage, risk in curve)
        parts.append(f'<polyline class="line c{i}" points="{points}"/>')
        at = LINE * (i + 1)
        end = f"{100 * curve[-1][1]:.1f} % wrong when {100 * curve[-1][0]:.0f} % are answered"
        parts.append(f'<line class="line c{i}" x1="{LEFT}" x2="{LEFT + 24}" y1="{at - 4}" y2="{at - 4}"/>')
        parts.append(f'<text x="{LEFT + 34}" y="{at}"><tspan class="name">{escape(name)}</tspan>: {end}</text>')
    light, dark = ("".join(f".c{i}{{stroke:{pair[k]}}}" for i, pair in enumerate(_COLOURS)) for k in (0, 1))
    style = f"{_STYLE}{light}@media(prefers-color-scheme:dark){{{_DARK}{dark}}}"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img"'
        f' aria-label="Risk against coverage"><style>{style}</style>{"".join(parts)}</svg>\n'
    )
