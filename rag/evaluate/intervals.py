"""How sure a figure is: 95 % intervals and paired tests. Seeded, so that the same rows give the same numbers."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

RESAMPLES = 1000
_Z = 1.959963984540054  # the 97.5 % quantile of the normal distribution
_CHUNK = 1_000_000  # indices drawn at a time: 8 MB


class Interval(NamedTuple):
    """Lower and upper end; nan when there was nothing to count."""

    low: float
    high: float


NOTHING = Interval(math.nan, math.nan)


def wilson(right: float, n: int) -> Interval:
    """95 % interval of the share right / n. Source: Wilson 1927."""
    if not n:
        return NOTHING
    share, z2 = right / n, _Z * _Z
    middle = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = _Z / (1 + z2 / n) * math.sqrt(share * (1 - share) / n + z2 / (4 * n * n))
    return Interval(max(0.0, middle - half), min(1.0, middle + half))


def bootstrap_means(columns: ArrayLike, seed: int = 0, resamples: int = RESAMPLES) -> NDArray[np.float64]:
    """Means of resampled rows: columns [n, m] with nan where a row does not count → [resamples, m].

    The same resamples serve every column. A resample in which no row counts gives nan. Source: Efron 1979.
    """
    values = np.asarray(columns, float)
    known = ~np.isnan(values)
    sums, counts = np.where(known, values, 0.0), known.astype(float)
    n = len(values)
    random = np.random.default_rng(seed)
    means = []
    step = max(1, _CHUNK // max(1, n))
    for first in range(0, resamples, step):
        size = min(step, resamples - first)
        drawn = random.integers(n, size=(size, n)) + np.arange(size)[:, None] * n
        weights = np.bincount(drawn.ravel(), minlength=size * n).reshape(size, n).astype(float)
        with np.errstate(invalid="ignore"):
            means.append((weights @ sums) / (weights @ counts))
    return np.concatenate(means)


def bootstrap(
    statistic: Callable[..., float], *columns: ArrayLike, seed: int = 0, resamples: int = RESAMPLES
) -> Interval:
    """95 % percentile interval of `statistic(*columns)`, rows resampled together. Source: Efron 1979."""
    arrays = [np.asarray(column) for column in columns]
    n = len(arrays[0])
    if not n:
        return NOTHING
    random = np.random.default_rng(seed)
    draws = (random.integers(n, size=n) for _ in range(resamples))
    return between([statistic(*(array[rows] for array in arrays)) for rows in draws])


def between(values: ArrayLike) -> Interval:
    """The middle 95 % of resampled values, nan left out."""
    given = np.asarray(values, float)
    given = given[~np.isnan(given)]
    return Interval(*map(float, np.percentile(given, [2.5, 97.5]))) if len(given) else NOTHING


@dataclass(frozen=True, slots=True)
class Difference:
    """Mean of b − a over paired rows, its 95 % interval, and a two-sided p of the bootstrap."""

    mean: float
    low: float
    high: float
    p: float


def paired_bootstrap(a: ArrayLike, b: ArrayLike, seed: int = 0, resamples: int = RESAMPLES) -> Difference:
    """How much better b is than a on the same questions; rows where either is nan are left out.

    p is twice the smaller share of resampled means on one side of 0, (count + 1) / (resamples + 1) each, at most 1.
    Source: Efron and Tibshirani 1993; Berg-Kirkpatrick et al. 2012 for its use on systems.
    """
    change = np.asarray(b, float) - np.asarray(a, float)
    change = change[~np.isnan(change)]
    if not len(change):
        return Difference(math.nan, math.nan, math.nan, math.nan)
    means = bootstrap_means(change[:, None], seed, resamples)[:, 0]
    side = min(int((means <= 0).sum()), int((means >= 0).sum()))
    return Difference(float(change.mean()), *between(means), min(1.0, 2 * (side + 1) / (resamples + 1)))


def mcnemar(better: int, worse: int) -> float:
    """Exact two-sided p that `better` against `worse` questions is chance. Source: McNemar 1947, binomial form."""
    n = better + worse
    return min(1.0, 2 * sum(math.comb(n, i) for i in range(min(better, worse) + 1)) / 2**n)
