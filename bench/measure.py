"""How it is measured: whole calls by the wall clock, warm, every figure with its spread; memory as the system says."""

from __future__ import annotations

import json
import os
import platform
import statistics
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np


def told(bench: str, **figures: Any) -> dict[str, Any]:
    """Print one line of JSON, and keep it in build/bench/results.jsonl with the machine and the hour."""
    row = json.loads(json.dumps({"bench": bench, **figures}), parse_float=lambda written: round(float(written), 4))
    print(json.dumps(row), flush=True)
    machine = {"cores": os.cpu_count(), "cpu": _cpu(), "load": round(os.getloadavg()[0], 2)}
    Path("build/bench").mkdir(parents=True, exist_ok=True)
    with Path("build/bench/results.jsonl").open("a", encoding="utf-8") as out:
        out.write(json.dumps({"at": time.strftime("%Y-%m-%dT%H:%M:%S"), **machine, **row}) + "\n")
    return row


def each(calls: Iterable[Callable[[], Any]]) -> dict[str, float]:
    """Milliseconds of each call: median, 95th percentile."""
    taken = []
    for call in calls:
        began = time.perf_counter()
        call()
        taken.append(1000 * (time.perf_counter() - began))
    return {"p50_ms": statistics.median(taken), "p95_ms": float(np.percentile(taken, 95))}


def seconds(call: Callable[[], Any]) -> float:
    """Of one call."""
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def resident(pid: int | str = "self") -> dict[str, int]:
    """MB of memory of a process: all that is resident, and the part that is not a mapped file."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    status = {
        line.split(":")[0]: int(line.split()[1]) // 1024 for line in lines if line.startswith("Rss") or "VmRSS" in line
    }
    return {"rss_mb": status["VmRSS"], "anonymous_mb": status["RssAnon"]}


def peak(pid: int | str = "self") -> int:
    """MB: the most memory that was resident in a process since it began."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) // 1024 for line in lines if line.startswith("VmHWM"))


def _cpu() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":")[1].strip()
    return platform.machine()
