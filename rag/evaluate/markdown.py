"""The figures of `rag evaluate table` as Markdown; a run that is missing is a dash, an empty table left out."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from rag.evaluate import sets
from rag.evaluate.datasets import Problem, read_rows
from rag.evaluate.names import METRICS
from rag.evaluate.runner import RESULTS, SUMMARY
from rag.evaluate.sets import Run

Rows = list[list[str]]


@dataclass(frozen=True)
class Result:
    """A run that is finished, in its folder."""

    run: Run
    folder: Path

    @cached_property
    def summary(self) -> dict[str, Any]:
        """summary.json."""
        found: dict[str, Any] = json.loads((self.folder / SUMMARY).read_text("utf-8"))
        return found

    @cached_property
    def scores(self) -> dict[str, dict[str, float]]:
        """Question id → its scores, with `confidence` and `answerable` beside them."""
        return {
            row["id"]: row["scores"] | {"confidence": row.get("confidence"), "answerable": row["answerable"]}
            for _, row in (item for item in read_rows(self.folder / RESULTS) if not isinstance(item, Problem))
        }

    @property
    def n(self) -> int:
        """Questions evaluated."""
        return int(self.summary["counts"]["evaluated"])

    def show(self, name: str, interval: bool = False) -> str:
        """A metric in per cent with one decimal, others with three; with its 95 % interval."""
        figure = self.summary["metrics"].get(name)
        if figure is None:
            return "–"
        shown = [_shown(name, figure[key]) for key in ("value", "low", "high") if figure[key] is not None]
        return f"{shown[0]} ({shown[1]}–{shown[2]})" if interval and len(shown) == 3 else shown[0]

    def milliseconds(self, which: str) -> str:
        """A percentile of the time of a question."""
        return f"{self.summary['stages']['total'][which]:.0f}"


Results = Mapping[str, Result]  # by the name of the run


def page(found: Mapping[str, Results], seed: int) -> str:
    """All tables; `found` maps a reader's name to its runs, those that need no reader among them."""
    everything: Results = {name: result for results in found.values() for name, result in results.items()}
    tables = (
        _table("Passage given, an answer forced", _FORCED, _forced(found, seed)),
        _table("Several spans", _SEVERAL, _several(found, seed)),
        _table("Silence (SQuAD 2)", _SILENCE, _silence(found, seed)),
        _table("Typing errors and paraphrases", _ROBUST, _robust(found, seed)),
        _table("Answer sentences", _RANKED, _sentences(found, everything, seed)),
        _table("Retrieval", _SEARCH, _search(everything, seed)),
        _table("Rereading", _REREAD, _rereading(found, everything, seed)),
        _table("All paragraphs of SQuAD 1.1 dev as one index", _OPEN, _open(found, everything, seed)),
    )
    return "\n\n".join(filter(None, tables)) + "\n"


# ---- The tables -----------------------------------------------------------------------------------------------------

_FORCED = "set | reader | n | EM | F1 | quote holds the answer | command"


def _forced(found: Mapping[str, Results], seed: int) -> Rows:
    return [
        [
            run.name,
            reader,
            f"{r.n:,}",
            r.show("span_em", True),
            r.show("span_f1", True),
            r.show("quote_hit"),
            _do(r, seed),
        ]
        for run in sets.FORCED
        for reader, r in _of(found, run)
    ]


_SEVERAL = "set | reader | n | partial-match F1 | exact-match F1 | command"


def _several(found: Mapping[str, Results], seed: int) -> Rows:
    return [
        [run.name, reader, f"{r.n:,}", r.show("partial_parts_f1", True), r.show("exact_parts_f1", True), _do(r, seed)]
        for run in sets.FORCED
        if run.several
        for reader, r in _of(found, run)
    ]


_SILENCE = (
    "set | reader | n | EM | F1 | HasAns F1 | NoAns | best F1 (its threshold) | calibration error | AURC | command"
)


def _silence(found: Mapping[str, Results], seed: int) -> Rows:
    rows = []
    for run in sets.SQUAD2:
        for reader, r in _of(found, run):
            names = ("em", "f1", "has_f1", "no_f1")
            cut = r.summary["best_threshold"]
            best = f"{r.show('best_f1')} ({cut:.3f})" if cut is not None else r.show("best_f1")
            figures = [*(r.show(name) for name in names), best, r.show("ece", True), r.show("aurc")]
            rows.append([run.name, reader, f"{r.n:,}", *figures, _do(r, seed)])
            tuned = found[reader].get(sets.TUNED.name)
            if run is sets.REPORTED and tuned and (cut := tuned.summary["best_threshold"]) is not None:
                cells = [f"{100 * value:.1f}" for value in at_threshold(r.scores.values(), cut)]
                rows.append([f"{run.name}, best threshold of half 1", reader, f"{r.n:,}", *cells, "", "", "", ""])
    return rows


def at_threshold(scores: Iterable[Mapping[str, float]], cut: float) -> tuple[float, float, float, float]:
    """EM, F1, HasAns F1 and NoAns of a run when it answers from the confidence `cut` on; nan where there is none."""
    em, f1, quiet = [], [], []
    for row in scores:
        answered = row["confidence"] >= cut
        if row["answerable"]:
            em.append(row["span_em"] * answered)
            f1.append(row["span_f1"] * answered)
        else:
            quiet.append(float(not answered))
    return _mean([*em, *quiet]), _mean([*f1, *quiet]), _mean(f1), _mean(quiet)


_ROBUST = "questions | reader | n | F1 as they were | F1 | kept"


def _robust(found: Mapping[str, Results], seed: int) -> Rows:
    rows = []
    for reader, r in _of(found, sets.TYPOS):
        if clean := found[reader].get(sets.FORCED[0].name):
            was, now = ([scores[name]["span_f1"] for name in r.scores] for scores in (clean.scores, r.scores))
            rows.append([f"squad1_dev_full, `--typos --sample {r.run.sample}`", reader, *_kept(was, now)])
    (paraphrased,) = (run for run in sets.FORCED if run.name == "squad_paraphrase_eval")
    for reader, r in _of(found, paraphrased):
        was, now = (
            [scores["span_f1"] for name, scores in r.scores.items() if name.startswith(kind)]
            for kind in ("dev_orig", "dev_para")
        )
        rows.append([f"{paraphrased.name}, originals and paraphrases", reader, *_kept(was, now)])
    return rows


def _kept(was: Sequence[float], now: Sequence[float]) -> list[str]:
    a, b = _mean(was), _mean(now)
    return [f"{len(now):,}", f"{100 * a:.1f}", f"{100 * b:.1f}", f"{100 * b / a:.1f} %" if a else "–"]


_RANKED = "set | n | how | MRR | MAP | command"


def _sentences(found: Mapping[str, Results], everything: Results, seed: int) -> Rows:
    rows = []
    for run in sets.SENTENCES:
        how = [
            ("BM25 alone", everything.get(sets.ranked(run, "lexical").name)),
            ("vectors alone", everything.get(sets.ranked(run, "dense").name)),
            *_of(found, run),
        ]
        for name, r in how:
            if r:
                n = r.summary["metrics"].get("mrr", {"n": 0})["n"]
                rows.append([run.name, f"{n:,}", name, r.show("mrr", True), r.show("map", True), _do(r, seed)])
    return rows


_SEARCH = "set | n | figure | BM25 alone (`lexical`) | vectors alone (`dense`) | `fused` | command"


def _search(everything: Results, seed: int) -> Rows:
    rows = []
    for run in sets.BEIR:
        how = [everything.get(sets.ranked(run, h).name) for h in sets.ALONE]
        if last := next((r for r in how if r), None):
            for name in ("ndcg@10", "recall@10", "recall@100"):
                cells = [r.show(name, name == "ndcg@10") if r else "–" for r in how]
                command = _do(last, seed).replace(f"retrieval {last.run.retrieval}", "retrieval HOW")
                rows.append(
                    [run.name, f"{last.n:,}", METRICS[name].label, *cells, command if name == "ndcg@10" else ""]
                )
    return rows


_REREAD = "set | reader | hits reread | n | nDCG@10 fused | nDCG@10 reread | difference | command"


def _rereading(found: Mapping[str, Results], everything: Results, seed: int) -> Rows:
    rows = []
    for depth, sample in sets.REREAD:
        gains: dict[str, list[float]] = {}
        for run in sets.REREAD_SETS:
            fused = everything.get(sets.ranked(run, "fused").name)
            for reader, r in _of(found, sets.reread(run, depth, sample)):
                both = r.scores.keys() & fused.scores.keys() if fused else ()
                if fused and both:
                    was, now = (_mean([s[name]["ndcg@10"] for name in both]) for s in (fused.scores, r.scores))
                    gains.setdefault(reader, []).append(now - was)
                    cells = [f"{was:.3f}", f"{now:.3f}", f"{100 * (now - was):+.1f}"]
                    rows.append([run.name, reader, str(depth), f"{len(both):,}", *cells, _do(r, seed)])
        for reader, gain in gains.items():
            if len(gain) == len(sets.REREAD_SETS):
                rows.append(["mean", reader, str(depth), "", "", "", f"{100 * _mean(gain):+.1f}", ""])
    return rows


_OPEN = (
    "how | n | recall@1 | recall@5 | recall@10 | EM | F1 | right with the first citation | p50 ms | p95 ms | command"
)


def _open(found: Mapping[str, Results], everything: Results, seed: int) -> Rows:
    how = [(h, everything.get(sets.ranked(sets.OPEN, h).name)) for h in sets.ALONE]
    rows = []
    for name, r in [*how, *_of(found, sets.OPEN)]:
        if r:
            recalls = [r.show(f"recall@{k}") for k in (1, 5, 10)]
            answers = [r.show("em", True), r.show("f1", True), r.show("right_first")]
            times = [r.milliseconds("p50"), r.milliseconds("p95")]
            rows.append([name, f"{r.n:,}", *recalls, *answers, *times, _do(r, seed)])
    return rows


# ---- Small change ---------------------------------------------------------------------------------------------------


def _of(found: Mapping[str, Results], run: Run) -> list[tuple[str, Result]]:
    """The run by each reader that has done it."""
    return [(reader, results[run.name]) for reader, results in found.items() if run.name in results]


def _do(result: Result, seed: int) -> str:
    return f"`{result.run.command(seed)}`"


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else float("nan")


def _shown(name: str, value: float) -> str:
    return f"{100 * value:.1f}" if METRICS[name].share else f"{value:.3f}"


def _table(title: str, columns: str, rows: Rows) -> str:
    """A Markdown table under a heading; numbers to the right. "" without rows."""
    if not rows:
        return ""
    names = columns.split(" | ")
    right = [all(row[i][:1].isdigit() or row[i][:1] in "–+-" for row in rows) for i in range(len(names))]
    lines = [names, ["---:" if r else "---" for r in right], *rows]
    return "\n".join([f"### {title}", "", *(f"| {' | '.join(row)} |" for row in lines)])
