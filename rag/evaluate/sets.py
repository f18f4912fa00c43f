"""The standard sets: which run measures what, as `rag evaluate run` would do it one by one."""

from __future__ import annotations

import shlex
from dataclasses import dataclass, replace
from typing import Any

from rag.evaluate.ask import Retrieval

SAMPLE = 1000  # questions of a set that is larger, where a row below says no other number
REREAD = ((10, SAMPLE), (50, 200))  # how many hits the reader judges, of how many questions


@dataclass(frozen=True, slots=True)
class Run:
    """One run: its name (a folder), its file under --data, and the options of `rag evaluate run`.

    `reader`: the figures depend on the reader; without it they are the same for every reader.
    """

    name: str
    file: str
    reader: bool = True
    open: bool = False
    mode: str | None = None
    retrieval: Retrieval | None = None
    reread: int | None = None
    sample: int | None = None
    threshold: float | None = None
    several: bool = False
    typos: bool = False

    def options(self) -> dict[str, Any]:
        """The keyword arguments of `run` that this row sets, but for the threshold, which is the engine's."""
        found = {name: getattr(self, name) for name in ("mode", "retrieval", "reread", "sample", "several", "typos")}
        return {**{name: value for name, value in found.items() if value}, "open_": self.open}

    def command(self, seed: int) -> str:
        """The same run by itself; D is the folder of --data."""
        flags = [f"--{name}" for name in ("open", "several", "typos") if getattr(self, name)]
        for name in ("mode", "retrieval", "reread", "threshold", "sample"):
            value = getattr(self, name)
            if value is not None:
                flags.append(f"--{name} {value:g}" if name == "threshold" else f"--{name} {shlex.quote(str(value))}")
        if self.sample and seed:
            flags.append(f"--seed {seed}")
        return " ".join(["rag evaluate run", f"D/{self.file}", *flags])


def _spans(name: str, **options: Any) -> Run:
    return Run(name, f"eval/{name}.jsonl.gz", **options)


FORCED = (  # every question has an answer, so one is given to each
    _spans("squad1_dev_full", threshold=0.0),
    _spans("qed_nq_dev", threshold=0.0),
    _spans("covidqa_windowed", threshold=0.0),
    _spans("xquad_en", threshold=0.0),
    _spans("quoref_contrast", threshold=0.0),
    _spans("conditionalqa_evidence", threshold=0.0),
    _spans("squad_paraphrase_eval", threshold=0.0),
    _spans("multispanqa_valid", threshold=0.0, several=True),
)
TYPOS = replace(FORCED[0], name="squad1_typos", typos=True, sample=2000)
TUNED, REPORTED = SQUAD2 = (_spans("squad2_dev_half1"), _spans("squad2_dev_half2_rebuilt"))
SENTENCES = tuple(_spans(name, sample=SAMPLE) for name in ("wikiqa_test", "selqa_test", "clapnq_dev_answerable"))
BEIR = tuple(
    Run(name, f"retrieval/{name}", sample=SAMPLE)
    for name in ("covid_faq", "cranfield", "cisi", "pubmedqa_l", "bioasq_8b9b_abstracts", "medquad")
)
REREAD_SETS = tuple(run for run in BEIR if run.name in ("covid_faq", "cranfield", "bioasq_8b9b_abstracts"))
OPEN = replace(FORCED[0], name="squad1_open", open=True, sample=SAMPLE)


def ranked(run: Run, how: Retrieval) -> Run:
    """The same questions ranked without the reader."""
    name, mode = f"{run.name}-{how}", "retrieval" if run.open else run.mode
    return replace(run, name=name, reader=False, mode=mode, retrieval=how, threshold=None)


def reread(run: Run, depth: int, sample: int) -> Run:
    """The same questions with the first `depth` of the fused hits judged by the reader."""
    return replace(run, name=f"{run.name}-reread{depth}", retrieval="reranked", reread=depth, sample=sample)


def runs(rereads: bool) -> tuple[Run, ...]:
    """Every run, those that share an index together. `rereads`: rereading too, which needs a trained reader."""
    sentences = [run for s in SENTENCES for run in (ranked(s, "lexical"), ranked(s, "dense"), s)]
    search = [
        run
        for s in (OPEN, *BEIR)
        for run in (
            *(ranked(s, how) for how in ALONE),
            *((OPEN,) if s is OPEN else ()),
            *(reread(s, *depth) for depth in REREAD if rereads and s in REREAD_SETS),
        )
    ]
    return (*FORCED, TYPOS, *SQUAD2, *sentences, *search)


ALONE: tuple[Retrieval, ...] = ("lexical", "dense", "fused")
