"""The training run: seeded, cut into steps that can be killed anywhere, driven by a budget of minutes or examples."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
import os
import signal
import sys
import time
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

import torch
from tokenizers import Tokenizer
from torch import Tensor
from torch.nn import functional as F

from rag.train import data, examples, selftrain
from rag.train.examples import Batch
from rag.train.model import Output, Reader, quick

SURE = 0.5  # probability from which self-training uses a short answer


@dataclass(frozen=True)
class Recipe:
    """Everything but the data and the budget that decides what comes out. Its hash names the model."""

    seed: int = 1
    batch: int = 32  # pairs
    longest: int = 256  # tokens of question and passage
    chunk: int = 1024  # examples drawn, sorted by length and batched at a time
    rate: float = 2e-4  # peak learning rate of the top layer
    head_rate: float = 8e-4
    layer_decay: float = 0.9  # of the learning rate, from each layer to the one below
    weight_decay: float = 0.01
    warmup: float = 0.04  # share of the budget
    average: float = 0.998  # of the weights, per step
    negatives: float = 0.28  # share of the answerable rows that are shown with a passage that does not answer
    null_weight: float = 0.5
    evidence_weight: float = 0.5
    relevance_weight: float = 0.5
    bf16: bool = True  # where the processor has it
    rounds: tuple[float, ...] = (0.35, 0.65)  # progress at which rows without a short answer are given one
    short: float = 0.5  # progress until which passages are short

    def digest(self) -> str:
        text = json.dumps([dataclasses.asdict(self), data.MIXTURE], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:12]


@dataclass
class Position:
    """Where the run is; saved in every checkpoint."""

    chunk: int = 0
    batch: int = 0  # within the chunk
    steps: int = 0
    examples: int = 0
    seconds: float = 0.0  # of training, over all resumptions
    progress: float = 0.0  # with which this chunk was drawn
    labelled: int = 0  # rounds of self-training done


@dataclass(frozen=True)
class Budget:
    """How long to train. `examples` makes a run that is the same on every machine."""

    minutes: float | None = None
    examples: int | None = None

    def progress(self, at: Position) -> float:
        """The share of the budget that is spent, 0 to 1."""
        if self.examples is not None:
            return min(1.0, at.examples / self.examples)
        return min(1.0, at.seconds / 60 / (self.minutes or 1e-9))


def losses(out: Output, batch: Batch, recipe: Recipe) -> dict[str, Tensor]:
    """The weighted parts of the loss, each a scalar.

    The usual softmax over [CLS] and passage is taken apart: where in the passage (only where a span is known), and
    passage against [CLS]. So "no answer" never pulls on the choice between spans, and has a weight of its own.
    """
    known = batch.start >= 0
    sign = 1.0 - 2.0 * batch.answerable  # -1 answerable, +1 not
    where = nothing = out.start.new_zeros(())
    for logits, target in ((out.start, batch.start), (out.end, batch.end)):
        inside = logits.masked_fill(~batch.passage, -1e4)
        best = inside.logsumexp(1)
        if known.any():
            where = where + (best - inside.gather(1, target.clamp(min=0)[:, None]).squeeze(1))[known].mean() / 2
        nothing = nothing + F.softplus(sign * (best - logits[:, 0])).mean() / 2
    token = F.binary_cross_entropy_with_logits(out.evidence, batch.evidence, reduction="none") * batch.passage
    place = batch.evidence.any(1) | (batch.answerable == 0)  # a whole document that answers teaches nothing of where
    quote = (place * token.sum(1) / batch.passage.sum(1).clamp(min=1)).mean()
    relevant = F.binary_cross_entropy_with_logits(out.relevance, batch.answerable)
    return {
        "span": where,
        "null": recipe.null_weight * nothing,
        "evidence": recipe.evidence_weight * quote,
        "relevance": recipe.relevance_weight * relevant,
    }


def groups(model: Reader, recipe: Recipe) -> list[dict]:
    """Parameter groups: lower layers learn more slowly, the new heads faster; no decay of biases and norms."""
    sets: dict[tuple[float, float], list[Tensor]] = {}
    for name, parameter in model.named_parameters():
        place = name.split(".")
        if place[0] in ("span", "pool", "relevance"):
            rate = recipe.head_rate
        else:
            depth = int(place[1]) + 1 if place[0] == "encoder" else 0
            rate = recipe.rate * recipe.layer_decay ** (model.shape.layers - depth)
        decay = recipe.weight_decay if parameter.ndim > 1 else 0.0
        sets.setdefault((rate, decay), []).append(parameter)
    return [{"params": p, "lr": r, "peak": r, "weight_decay": d} for (r, d), p in sets.items()]


def scale(progress: float, warmup: float) -> float:
    """The learning rate as a share of its peak: up, then straight down to nearly nothing."""
    return progress / warmup if progress < warmup else max(0.005, (1 - progress) / (1 - warmup))


class Run:
    """A training run in a folder. `train()` goes on from `last.pt` if there is one."""

    def __init__(self, model: Reader, corpus: data.Corpus, tokenizer: Tokenizer, recipe: Recipe, budget: Budget,
                 work: Path, every: float = 240.0) -> None:  # fmt: skip
        self.model, self.recipe, self.budget, self.tokenizer = model, recipe, budget, tokenizer
        self.work, self.every = work, every
        self.at = Position()
        self.source = examples.Source(corpus, recipe.seed, recipe.chunk, recipe.negatives, recipe.short)
        self.optimiser = torch.optim.AdamW(groups(model, recipe), betas=(0.9, 0.98), fused=True)
        self.average = {name: value.detach().clone() for name, value in model.state_dict().items()}
        self.stop = False
        torch.manual_seed(recipe.seed)
        work.mkdir(parents=True, exist_ok=True)

    def save(self) -> None:
        """All of the run in one file, put in place by one rename."""
        state = {"model": self.model.state_dict(), "average": self.average, "at": dataclasses.asdict(self.at),
                 "optimiser": self.optimiser.state_dict(), "random": torch.get_rng_state(),
                 "recipe": dataclasses.asdict(self.recipe), "digest": self.recipe.digest()}  # fmt: skip
        new = self.work / f"last.pt.{os.getpid()}"
        torch.save(state, new)
        os.replace(new, self.work / "last.pt")

    def resume(self) -> bool:
        """Back to where the last checkpoint was; False if there is none."""
        path = self.work / "last.pt"
        if not path.exists():
            return False
        state = torch.load(path, weights_only=True)
        if state["digest"] != self.recipe.digest():
            raise SystemExit(f"{path} is of another recipe ({state['digest']}); give another --work, or remove it")
        self.model.load_state_dict(state["model"])
        self.average = state["average"]
        self.optimiser.load_state_dict(state["optimiser"])
        torch.set_rng_state(state["random"])
        self.at = Position(**state["at"])
        if self.at.labelled:
            self.use(json.loads(self.labels.read_text("utf-8")))
        return True

    @property
    def labels(self) -> Path:
        return self.work / f"labels-{self.at.labelled}.json"

    def use(self, found: dict[str, data.Range]) -> None:
        for name, rows in self.source.rows.items():
            self.source.rows[name] = selftrain.labelled(rows, found)

    def label(self) -> None:
        """One round of self-training: short answers for the rows that know only the sentence."""
        rows = [row for rows in self.source.rows.values() for row in rows if row.evidence and not row.whole]
        found = selftrain.answers(self.averaged(), self.tokenizer, rows, SURE)
        self.at.labelled += 1
        new = self.labels.with_suffix(f".{os.getpid()}")
        new.write_text(json.dumps(found), "utf-8")
        os.replace(new, self.labels)
        self.use(found)
        say(f"{len(found)} of {len(rows)} sentences got a short answer")

    def step(self, batch: Batch) -> dict[str, float]:
        """One update of the weights and of their average."""
        self.model.train()
        share = scale(self.budget.progress(self.at), self.recipe.warmup)
        for group in self.optimiser.param_groups:
            group["lr"] = group["peak"] * share
        with quick() if self.recipe.bf16 else nullcontext():
            out = self.model(batch.input_ids, batch.attention_mask, batch.token_type_ids)
        parts = losses(out, batch, self.recipe)
        torch.stack(list(parts.values())).sum().backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0, foreach=True)
        self.optimiser.step()
        self.optimiser.zero_grad()
        keep = min(self.recipe.average, (1 + self.at.steps) / (10 + self.at.steps))
        with torch.no_grad():
            new = self.model.state_dict()
            torch._foreach_lerp_(list(self.average.values()), [new[name] for name in self.average], 1 - keep)
        return {name: part.item() for name, part in parts.items()}

    def averaged(self) -> Reader:
        """A copy of the model with the averaged weights: what is validated and shipped."""
        copy = Reader(self.model.shape)
        copy.load_state_dict(self.average)
        return copy.eval()

    def train(self) -> Reader:
        """To the end of the budget; returns the averaged model. SIGTERM saves and leaves."""
        if self.resume():
            say(f"resumed at {self.at.examples} examples, {self.at.seconds / 60:.1f} minutes")
        signal.signal(signal.SIGTERM, lambda *_: setattr(self, "stop", True))
        saved = mark = time.monotonic()
        mean: dict[str, float] = {}
        while self.budget.progress(self.at) < 1:
            if self.at.batch == 0:
                self.at.progress = self.budget.progress(self.at)
                while self.at.labelled < sum(self.at.progress >= share for share in self.recipe.rounds):
                    self.label()
            made = self.source.chunk(self.at.chunk, self.at.progress)
            seed = f"{self.recipe.seed}/{self.at.chunk}"
            for i, batch in enumerate(
                examples.batches(made, self.tokenizer, self.recipe.batch, self.recipe.longest, seed)
            ):
                if i < self.at.batch:
                    continue
                parts = self.step(batch)
                now = time.monotonic()
                self.at.batch, self.at.steps = i + 1, self.at.steps + 1
                self.at.examples += len(batch.start)
                self.at.seconds, mark = self.at.seconds + now - mark, now
                mean = {k: 0.98 * mean.get(k, v) + 0.02 * v for k, v in parts.items()}
                self.report(mean)
                if self.stop or now - saved > self.every:
                    self.save()
                    saved = now
                if self.stop:
                    raise SystemExit("stopped; the same command goes on from here")
                if self.budget.progress(self.at) >= 1:
                    break
            else:
                self.at.chunk, self.at.batch = self.at.chunk + 1, 0
        self.save()
        return self.averaged()

    def report(self, mean: dict[str, float]) -> None:
        """The progress line: rewritten on a terminal, one line in twenty steps in a log."""
        if not sys.stderr.isatty() and self.at.steps % 20:
            return
        done, rate = self.budget.progress(self.at), self.at.examples / max(self.at.seconds, 1e-9)
        left = self.at.seconds / 60 * (1 / max(done, 1e-9) - 1)
        if not math.isfinite(sum(mean.values())):
            raise SystemExit("the loss is not a number; lower --rate")
        shown = " ".join(f"{name} {value:.3f}" for name, value in mean.items())
        say(f"{done:6.1%} {self.at.examples} examples {rate:.1f}/s {left:.0f} min left  {shown}", "\r")


def say(text: str, end: str = "\n") -> None:
    print(text, end=end if sys.stderr.isatty() else "\n", file=sys.stderr, flush=True)
