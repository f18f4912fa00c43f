"""Two runs side by side, and the gate that stops a change for the worse."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rag.errors import BadInput, NotFound
from rag.evaluate import intervals
from rag.evaluate.datasets import Problem, read_rows
from rag.evaluate.names import METRICS
from rag.evaluate.runner import RESULTS, SUMMARY
from rag.evaluate.summary import aligned, shown

BASELINE = "gate/1"
MARGIN = 0.02  # what a written baseline allows a share to fall
EXACT = ("fidelity",)  # metrics that may not fall at all
UNSTEADY = ("best_em", "best_f1", "aurc", "brier")  # not written to a baseline unless a person puts them there


@dataclass(frozen=True, slots=True)
class Change:
    """One metric in two runs over the same questions; `mcnemar` is a p for metrics that are yes or no, else None."""

    name: str
    n: int
    a: float
    b: float
    difference: intervals.Difference
    better: int
    worse: int
    mcnemar: float | None


@dataclass(frozen=True, slots=True)
class Turned:
    """A question that became right, or wrong."""

    id: str
    question: str
    before: str | None
    after: str | None


@dataclass(frozen=True, slots=True)
class Comparison:
    """What changed from run a to run b, over the questions that both have."""

    common: int
    only_a: int
    only_b: int
    changes: tuple[Change, ...]
    better: tuple[Turned, ...]
    worse: tuple[Turned, ...]

    def table(self, most: int = 20) -> str:
        """Plain aligned text: the metrics, then at most `most` questions each way."""
        rows = [("", "A", "B", "B − A", "95 %", "p", "better", "worse", "McNemar p")]
        for c in self.changes:
            d = c.difference
            rows.append((
                METRICS[c.name].label, shown(c.name, c.a), shown(c.name, c.b), _signed(c.name, d.mean),
                f"[{_signed(c.name, d.low)}, {_signed(c.name, d.high)}]", f"{d.p:.3f}", str(c.better), str(c.worse),
                "" if c.mcnemar is None else f"{c.mcnemar:.3g}",
            ))  # fmt: skip
        lines = [f"{self.common:,} questions in both, {self.only_a:,} only in A, {self.only_b:,} only in B", ""]
        lines += aligned(rows)
        for title, turned in (("better", self.better), ("worse", self.worse)):
            lines += ["", f"{title}: {len(turned):,} questions"]
            lines += [
                f"  {t.id}  {t.question[:90]}  ({t.before or 'right'} → {t.after or 'right'})" for t in turned[:most]
            ]
            if len(turned) > most:
                lines.append(f"  … and {len(turned) - most:,} more")
        return "\n".join(lines)


def _signed(name: str, value: float) -> str:
    text = shown(name, value)
    return text if text.startswith(("-", "–")) else f"+{text}"


def compare(a: str | Path, b: str | Path, seed: int = 0) -> Comparison:
    """Compare two folders that `run` wrote (or their results.jsonl), question by question."""
    left, right = _rows(Path(a)), _rows(Path(b))
    common = [name for name in left if name in right]
    if not common:
        raise BadInput(f"{a} and {b} have no question in common; compare two runs over the same questions")
    changes = []
    for metric in METRICS:
        pairs = [
            (left[name]["scores"][metric], right[name]["scores"][metric])
            for name in common
            if metric in left[name]["scores"] and metric in right[name]["scores"]
        ]
        if pairs:
            changes.append(_change(metric, pairs, seed))
    better = tuple(_turned(left[n], right[n]) for n in common if left[n]["failure"] and not right[n]["failure"])
    worse = tuple(_turned(left[n], right[n]) for n in common if right[n]["failure"] and not left[n]["failure"])
    return Comparison(len(common), len(left) - len(common), len(right) - len(common), tuple(changes), better, worse)


def _change(metric: str, pairs: list[tuple[float, float]], seed: int) -> Change:
    before, after = ([pair[side] for pair in pairs] for side in (0, 1))
    sign = 1 if METRICS[metric].higher else -1
    moved = [sign * (y - x) for x, y in pairs]
    better, worse = sum(m > 0 for m in moved), sum(m < 0 for m in moved)
    binary = {*before, *after} <= {0.0, 1.0}
    return Change(
        metric, len(pairs), sum(before) / len(pairs), sum(after) / len(pairs),
        intervals.paired_bootstrap(before, after, seed), better, worse,
        intervals.mcnemar(better, worse) if binary else None,
    )  # fmt: skip


def _turned(before: Mapping[str, Any], after: Mapping[str, Any]) -> Turned:
    return Turned(after["id"], after["question"], before["failure"], after["failure"])


def _rows(path: Path) -> dict[str, dict[str, Any]]:
    """Rows of a run by id, without their texts."""
    file = path / RESULTS if path.is_dir() else path
    if not file.is_file():
        raise NotFound(f"{file}: no such file; name a folder that `rag evaluate run --out` wrote")
    found = {}
    for item in read_rows(file):
        if isinstance(item, Problem):
            raise BadInput(f"{item}; run the evaluation again")
        row = item[1]
        if not {"id", "question", "scores", "failure"} <= row.keys():
            raise BadInput(f"{file}:{item[0]}: not a row of an evaluation; name a folder that `run --out` wrote")
        found[str(row["id"])] = {key: row[key] for key in ("id", "question", "scores", "failure")}
    return found


# ---- The gate -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Check:
    """One metric against its baseline: `passed` is False when it fell beyond the margin, or is not there."""

    name: str
    value: float | None
    baseline: float
    margin: float
    passed: bool


def gate(results: str | Path, baseline: str | Path) -> list[Check]:
    """Check a run against a baseline: {"metrics": {name: {"value", "margin", "higher_is_better"}}}.

    A name is a metric, or "stages.total.p95" and the like: a path into summary.json.
    """
    found, file = _summary(Path(results)), Path(baseline)
    checks = []
    for name, wanted in _json(file, "write one with --write-baseline").get("metrics", {}).items():
        try:
            value, margin, higher = wanted["value"], wanted["margin"], wanted.get("higher_is_better", True)
            floor = float(value) - float(margin) if higher else float(value) + float(margin)
        except (KeyError, TypeError, ValueError):
            raise BadInput(f"{file}: {name} needs a value and a margin, both numbers") from None
        got = _look_up(found, name)
        # a last digit that differs on another machine is no fall
        passed = got is not None and (got >= floor - 1e-9 if higher else got <= floor + 1e-9)
        checks.append(Check(name, got, float(value), float(margin), passed))
    if not checks:
        raise BadInput(f"{file}: no metric in it; write a baseline with --write-baseline")
    return checks


def checks_table(checks: list[Check]) -> str:
    """The checks as plain aligned text."""
    rows = [("", "value", "baseline", "margin", "")]
    for c in checks:
        value = "missing" if c.value is None else shown(c.name, c.value)
        rows.append((c.name, value, shown(c.name, c.baseline), shown(c.name, c.margin), "ok" if c.passed else "FELL"))
    return "\n".join(aligned(rows))


def write_baseline(results: str | Path, baseline: str | Path, margin: float = MARGIN) -> dict[str, Any]:
    """Make the baseline that this run just meets. A baseline that is there keeps its choice of metrics and margins."""
    found, file = _summary(Path(results)), Path(baseline)
    old = _json(file, "").get("metrics", {}) if file.is_file() else {}
    metrics = {}
    for name in old or [name for name in found["metrics"] if name not in UNSTEADY]:
        value = _look_up(found, name)
        if value is None:
            raise BadInput(f"{file}: {name} is not in this run; take it out of the baseline or run the right questions")
        higher = METRICS[name].higher if name in METRICS else False
        new = {"value": round(value, 6), "margin": 0.0 if name in EXACT else margin, "higher_is_better": higher}
        metrics[name] = {
            **new,
            **{key: old[name][key] for key in ("margin", "higher_is_better") if key in old.get(name, {})},
        }
    made = {"schema": BASELINE, "metrics": metrics}
    file.write_text(json.dumps(made, indent=1) + "\n", "utf-8")
    return made


def _look_up(summary: Mapping[str, Any], name: str) -> float | None:
    if name in summary["metrics"]:
        value = summary["metrics"][name]["value"]
    else:
        value = summary
        for key in name.split("."):
            value = value.get(key) if isinstance(value, Mapping) else None
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else None


def _summary(path: Path) -> dict[str, Any]:
    found = _json(path / SUMMARY if path.is_dir() else path, "run `rag evaluate run --out` first")
    if not isinstance(found.get("metrics"), Mapping):
        raise BadInput(f"{path}: not a summary of an evaluation; name a folder that `rag evaluate run --out` wrote")
    return found


def _json(file: Path, hint: str) -> dict[str, Any]:
    try:
        found = json.loads(file.read_text("utf-8"))
    except FileNotFoundError:
        raise NotFound(f"{file}: no such file; {hint}") from None
    except (OSError, ValueError) as error:
        raise BadInput(f"{file}: {error}; {hint or 'correct it or remove it'}") from None
    if not isinstance(found, dict):
        raise BadInput(f"{file}: not a JSON object; {hint or 'correct it or remove it'}")
    return found
