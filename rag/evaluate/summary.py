"""Rows of numbers → the figures of an evaluation, each with its 95 % interval."""

from __future__ import annotations

import dataclasses
import math
from array import array
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rag.evaluate import intervals, metrics
from rag.evaluate.names import METRICS

SCHEMA = "evaluation/1"
SHOWN_PROBLEMS = 100
CURVE_ONLY = ("recall@2", "recall@3", "recall@20", "recall@50")  # not printed on a terminal


class Table:
    """Columns of numbers that grow row by row; nan where a row has no such number."""

    def __init__(self) -> None:
        self.rows = 0
        self.columns: dict[str, array[float]] = {}

    def add(self, row: Mapping[str, float]) -> None:
        """One row more."""
        for name in row:
            if name not in self.columns:
                self.columns[name] = array("d", [math.nan]) * self.rows
        for name, column in self.columns.items():
            column.append(row.get(name, math.nan))
        self.rows += 1

    def __getitem__(self, name: str) -> NDArray[np.float64]:
        """A copy of a column [rows], all nan when there is none."""
        return np.array(self.columns[name]) if name in self.columns else np.full(self.rows, math.nan)


@dataclass(frozen=True, slots=True)
class Figure:
    """A value, its 95 % interval, and the number of questions it counts."""

    value: float
    low: float
    high: float
    n: int


@dataclass(frozen=True, slots=True)
class Summary:
    """All figures of one evaluation. Times are milliseconds, memory is MiB; `stages` maps a stage to p50, p95, p99."""

    questions: str
    format: str
    mode: str
    retrieval: str | None
    open: bool
    seed: int
    created: str
    index_version: str | None
    counts: Mapping[str, int]
    metrics: Mapping[str, Figure]
    by_tag: Mapping[str, Mapping[str, Figure]]
    failures: Mapping[str, int]
    stages: Mapping[str, Mapping[str, float]]
    questions_per_second: float
    peak_memory_mib: float | None
    best_threshold: float | None
    curves: Mapping[str, list[dict[str, float]]]
    problems: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """summary.json: plain values, null for a number that is not defined."""
        return {"schema": SCHEMA, **finite(dataclasses.asdict(self))}


def finite(value: Any) -> Any:
    """The same value with None for nan and infinity, so that it is JSON."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: finite(item) for key, item in value.items()}
    return [finite(item) for item in value] if isinstance(value, list | tuple) else value


def figures(table: Table, seed: int, rows: Sequence[int] | None = None) -> dict[str, Figure]:
    """Mean and interval of every column (of `rows` only): Wilson's for shares of yes and no, else the bootstrap's."""
    names = [name for name in METRICS if name in table.columns]
    if not names or not table.rows:
        return {}
    values = np.stack([table[name] for name in names], axis=1)
    values = values if rows is None else values[list(rows)]
    binary = [bool(np.isin(column[~np.isnan(column)], (0, 1)).all()) for column in values.T]
    graded = [i for i, yes_or_no in enumerate(binary) if not yes_or_no]
    drawn = intervals.bootstrap_means(values[:, graded], seed) if graded else None
    found = {}
    for i, name in enumerate(names):
        known = values[:, i][~np.isnan(values[:, i])]
        if not len(known):
            continue
        if binary[i] or drawn is None:
            interval = intervals.wilson(float(known.sum()), len(known))
        else:
            interval = intervals.between(drawn[:, graded.index(i)])
        found[name] = Figure(float(known.mean()), *interval, len(known))
    return found


def more_figures(table: Table, seed: int) -> dict[str, Figure]:
    """The figures that are not the mean of a column."""
    found: dict[str, Figure] = {}
    silent, answerable = 1 - table["answered"], table["_answerable"]
    if not np.isnan(silent).all() and (answerable == 0).any():

        def refusal_f1(*columns: NDArray[Any]) -> float:
            return metrics.refusal_scores(*columns).f1

        found["refusal_f1"] = _statistic(refusal_f1, silent, answerable, seed=seed)
    sure, right = table["_confidence"], table["_candidate"]
    known = ~np.isnan(sure) & ~np.isnan(right)
    if known.any():
        for name, function in (("ece", metrics.ece), ("brier", metrics.brier), ("aurc", metrics.aurc)):
            found[name] = _statistic(function, sure[known], right[known], seed=seed)
    for kind in ("exact", "partial"):
        sums = [table[f"_{kind}_{part}"] for part in metrics.Overlap._fields]
        some = ~np.isnan(sums[0])
        if some.any():
            found[f"{kind}_parts_f1"] = _statistic(_micro_f1, *(column[some] for column in sums), seed=seed)
    return {name: figure for name, figure in found.items() if not math.isnan(figure.value)}


def _micro_f1(precise: NDArray[Any], predicted: NDArray[Any], recalled: NDArray[Any], gold: NDArray[Any]) -> float:
    return metrics.harmonic(precise.sum() / max(1, predicted.sum()), recalled.sum() / max(1, gold.sum()))


def _statistic(function: Any, *columns: NDArray[Any], seed: int) -> Figure:
    return Figure(function(*columns), *intervals.bootstrap(function, *columns, seed=seed), len(columns[0]))


def thresholds(table: Table) -> tuple[dict[str, Figure], float | None]:
    """The best EM and F1 that a threshold on the probability reaches on these rows, and the best one for F1."""
    sure, answerable, cut = table["_confidence"], table["_answerable"], None
    found = {}
    if table.rows and not np.isnan(sure).any() and (answerable == 0).any() and (answerable == 1).any():
        for name in ("em", "f1"):
            value, at = metrics.best_threshold(-sure, np.nan_to_num(table[f"span_{name}"]), answerable)
            found[f"best_{name}"] = Figure(value, *intervals.NOTHING, table.rows)
            cut = -at
    return found, cut


def curves(table: Table, times: Table) -> dict[str, list[dict[str, float]]]:
    """The four plots: recall by depth, risk by coverage (at most 200 points), reliability, and time by percentile."""
    found: dict[str, list[dict[str, float]]] = {"retrieval": [], "risk_coverage": [], "reliability": [], "latency": []}
    for name, column in table.columns.items():
        if name.startswith("recall@"):
            found["retrieval"].append({"k": int(name[7:]), "recall": _mean(column)})
    found["retrieval"].sort(key=lambda point: point["k"])
    sure, right = table["_confidence"], table["_candidate"]
    known = ~np.isnan(sure) & ~np.isnan(right)
    if known.any():
        curve = metrics.risk_coverage(sure[known], right[known])
        picked = np.unique(np.linspace(0, len(curve.risk) - 1, 200).astype(int))
        share = known.sum() / table.rows
        found["risk_coverage"] = [
            {"coverage": float(c * share), "risk": float(r), "threshold": float(t)}
            for c, r, t in zip(*(column[picked] for column in curve), strict=True)
        ]
        found["reliability"] = [b._asdict() for b in metrics.reliability(sure[known], right[known])]
    if times.rows:
        steps = [*range(0, 96, 5), 97, 98, 99, 100]
        spent = metrics.percentiles(times["total"], steps)
        found["latency"] = [{"percentile": q, "ms": spent[f"p{q}"]} for q in steps]
    return found


def _mean(column: Iterable[float]) -> float:
    known = [value for value in column if not math.isnan(value)]
    return sum(known) / len(known) if known else math.nan


def stages(times: Table) -> dict[str, dict[str, float]]:
    """p50, p95 and p99 of every stage in milliseconds, in the order in which the stages came; `total` last."""
    names = sorted(times.columns, key=lambda name: name == "total")
    return {name: metrics.percentiles(times[name][~np.isnan(times[name])]) for name in names}


# ---- The table on a terminal ----------------------------------------------------------------------------------------


def summary_table(summary: Summary) -> str:
    """The summary as plain aligned text: counts, metrics with intervals, failures, times."""
    rows = [
        (METRICS[name].label, shown(name, f.value), f"[{shown(name, f.low)}, {shown(name, f.high)}]", f"n={f.n}")
        if not math.isnan(f.low)
        else (METRICS[name].label, shown(name, f.value), "", f"n={f.n}")
        for name, f in summary.metrics.items()
        if name not in CURVE_ONLY
    ]
    counts = ", ".join(f"{number:,} {name.replace('_', ' ')}" for name, number in summary.counts.items() if number)
    lines = [f"{summary.questions} ({summary.mode}): {counts}", "", *aligned([("", "value", "95 %", ""), *rows])]
    if wrong := [(kind.replace("_", " "), str(n)) for kind, n in summary.failures.items() if n]:
        lines += ["", *aligned([("went wrong", "questions"), *wrong])]
    if summary.stages:
        spent = [(name, *(f"{ms:.1f}" for ms in p.values())) for name, p in summary.stages.items()]
        lines += ["", *aligned([("ms", "p50", "p95", "p99"), *spent])]
        memory = f", peak memory {summary.peak_memory_mib:,.0f} MiB" if summary.peak_memory_mib else ""
        lines.append(f"{summary.questions_per_second:,.1f} questions a second{memory}")
    return "\n".join(lines)


def shown(name: str, value: float) -> str:
    """A metric's value as people read it: per cent with one decimal, or four decimals."""
    if math.isnan(value):
        return "–"
    return f"{100 * value:.1f} %" if name in METRICS and METRICS[name].share else f"{value:.4f}"


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Rows of cells as lines: the first column to the left, the others to the right."""
    widths = [max(len(row[i]) for row in rows) for i in range(max(map(len, rows)))]
    return [
        "  ".join(
            cell.ljust(w) if i == 0 else cell.rjust(w) for i, (cell, w) in enumerate(zip(row, widths, strict=False))
        )
        for row in rows
    ]
