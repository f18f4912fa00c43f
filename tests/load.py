"""`python -m tests.load`: users asking in parallel over HTTP on the loopback, for a bounded time, and what came of it.

Every question has one known answer: the first that was given to it, by a server with nothing else to do. Any other is
an error. Exit 0: no error, no answer lost or mixed up, overload gave 503 and was over within five seconds, and memory
grew by less than 5 %. With `--small` everything is small, with a hashing encoder and the reader that compares words.

`--seconds 300 --soak 0` and `--seconds 0 --soak 1800` measure the two halves alone. After each part what is known goes
to `--out` as JSON and, beside it, as Markdown; a run that is ended early says so in `wrong`.
"""

from __future__ import annotations

import argparse
import json
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx

from rag.answer import Answerer
from rag.index import Index
from rag.settings import Settings
from rag.types import Block, Document

THINGS = "anchor beacon cellar derrick engine ferry galley hawser inlet jetty keel lantern mooring pilot rudder".split()
RECOVERED = 5.0  # seconds
GROWTH = 0.05


def documents(count: int) -> list[Document]:
    """Documents of one passage each; every one states a number that no other does."""
    made = []
    for n in range(count):
        thing, mark = THINGS[n % len(THINGS)], f"{THINGS[n * 7 % len(THINGS)]}{n}"
        text = (
            f"Store {mark} is on the quay. The {thing} of store {mark} weighs {1000 + n} kilograms and is painted red."
        )
        made.append(Document(f"d/{n}.txt", text, f"Store {mark}", blocks=(Block("paragraph", 0, len(text)),)))
    return made


def question(n: int) -> str:
    """The question that document `n` answers."""
    return f"How much does the {THINGS[n % len(THINGS)]} of store {THINGS[n * 7 % len(THINGS)]}{n} weigh?"


def serve(folder: str, passages: int, small: bool) -> None:
    """Make the index when there is none and serve it; the port is the first line that is printed."""
    from rag.web.portal import Server, create_app, listen

    settings = Settings(index=folder, port=0, requests_per_minute=0, threshold=0.0 if small else None)
    if small:
        from rag.overlap import OverlapReader
        from tests.encoder import HashingEncoder

        encoder = HashingEncoder()
        index = Index.open(folder, settings, create=True, encoder=encoder)
        answerer = Answerer(index, OverlapReader(encoder), settings)
    else:
        index = Index.open(folder, settings, create=True)
        answerer = Answerer.open(folder, settings)
    if not index.store.count()[0]:
        index.put(documents(passages))
    with listen(settings) as listener:
        print(listener.getsockname()[1], flush=True)
        Server(create_app(answerer, settings)).run(sockets=[listener])


class Asking:
    """Users that ask at the address until they are told to stop."""

    def __init__(self, address: str, asked: list[int], known: dict[int, Any]) -> None:
        self.address = address
        self.asked = asked
        self.known = known  # the answer to each question
        self.until = 0.0  # when to stop, on the monotonic clock
        self.took: list[float] = []
        self.found: Counter[str] = Counter()
        self._guard = threading.Lock()

    def run(self, users: int, seconds: float) -> float:
        """Ask for so long; questions answered a second."""
        with httpx.Client(base_url=self.address, timeout=120, limits=httpx.Limits(max_connections=None)) as client:
            began = time.monotonic()
            self.until = began + seconds
            threads = [threading.Thread(target=self._user, args=(client, n)) for n in range(users)]
            for thread in threads:
                thread.start()
            try:
                for thread in threads:
                    thread.join()
            finally:
                self.until = 0.0
        return self.found["right"] / (time.monotonic() - began)

    def _user(self, client: httpx.Client, user: int) -> None:
        chance = random.Random(user)
        while time.monotonic() < self.until:
            self.ask(client, chance.choice(self.asked))

    def ask(self, client: httpx.Client, n: int) -> None:
        """One question, and whether its answer is the one it always has."""
        began = time.perf_counter()
        try:
            response = client.post("/v1/ask", json={"question": question(n)})
            said = response.json()
        except (httpx.HTTPError, ValueError) as error:
            with self._guard:
                self.found[f"lost: {type(error).__name__}"] += 1
            return
        took = time.perf_counter() - began
        if response.status_code == 200:
            del said["timings_ms"]
            right = self.known.setdefault(n, said) == said and said["question"] == question(n)
            outcome = "right" if right else "mixed up"
        else:
            outcome = str(response.status_code)
        with self._guard:
            self.found[outcome] += 1
            if outcome == "right":
                self.took.append(took)

    def percentile(self, share: int) -> float | None:
        """Milliseconds; None when too few were answered to say."""
        return round(1000 * statistics.quantiles(self.took, n=100)[share - 1], 1) if len(self.took) > 1 else None

    def figures(self, each_second: float) -> dict[str, Any]:
        """What came of it."""
        times = {"p50 ms": self.percentile(50), "p95 ms": self.percentile(95)}
        return {"a second": round(each_second, 2), **times, "found": dict(self.found)}


def memory(process: int) -> int:
    """Bytes that a process holds."""
    status = Path(f"/proc/{process}/status").read_text()
    return 1024 * next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS"))


def measure(
    address: str, process: int, users: int, seconds: float, soak: float, passages: int
) -> Iterator[tuple[str, Any]]:
    """(name, figures) of each part as it is done: one user, many users and too many when there are `seconds`, then half
    of many for `soak` seconds."""
    known: dict[int, Any] = {}
    asked = random.Random(1).sample(range(passages), min(200, passages))
    first = Asking(address, asked, known)
    with httpx.Client(base_url=address, timeout=120) as client:
        for n in asked:
            first.ask(client, n)
    yield "passages", passages
    yield "questions", len(asked)
    yield "answered", sum(said["status"] == "answered" for said in known.values())
    if seconds:
        one, many, flood = (Asking(address, asked, known) for _ in range(3))
        yield "one user", one.figures(one.run(1, max(3.0, seconds / 10)))
        yield f"{users} users", many.figures(many.run(users, seconds))
        flood.run(150, max(2.0, seconds / 30))
        stopped = time.monotonic()
        after = Asking(address, asked, known)
        with httpx.Client(base_url=address, timeout=120) as client:
            while not after.found["right"] and time.monotonic() < stopped + 60:
                after.ask(client, asked[0])
        yield "overload", {"found": dict(flood.found), "recovered s": round(time.monotonic() - stopped, 2)}
    if soak:
        warm, half = Asking(address, asked, known), Asking(address, asked, known)
        warm.run(max(1, users // 2), min(120, soak / 10))  # buffers and threads that come once are no growth
        before = memory(process)
        each_second = half.run(max(1, users // 2), soak)
        grown = {"seconds": soak, "memory MB": round(memory(process) / 1e6)}
        yield "half load", {**half.figures(each_second), **grown, "growth": round(memory(process) / before - 1, 4)}


def wrong(found: dict[str, Any]) -> list[str]:
    """What should not be; nothing when all is well."""
    said = []
    for name, part in found.items():
        if isinstance(part, dict):
            odd = set(part.get("found", {})) - {"right"} - ({"503"} if name == "overload" else set())
            said += [f"{name}: {sorted(odd)}"] if odd else []
    overload, half = found.get("overload"), found.get("half load")
    if overload and overload["recovered s"] > RECOVERED:
        said.append("it did not recover from overload")
    if overload and not overload["found"].get("503"):
        said.append("overload was not turned away")
    if not found.get("answered"):
        said.append("no question was answered")
    if half and half["growth"] > GROWTH:
        said.append("memory grew")
    return said


def summary(found: dict[str, Any]) -> str:
    """A table for the documentation."""
    rows = ["| | answers a second | p50 ms | p95 ms | what came |", "|---|---|---|---|---|"]
    for name, part in found.items():
        if isinstance(part, dict):
            came = ", ".join(f"{n:,} {what}" for what, n in sorted(part["found"].items()))
            more = [
                f"{part[key]} {says}"
                for key, says in (("recovered s", "s to recover"), ("memory MB", "MB"))
                if key in part
            ]
            more += [f"memory {part['growth']:+.1%} in {part['seconds']:g} s"] if "growth" in part else []
            rows.append(f"| {name} | {' | '.join(str(part.get(k, '')) for k in ('a second', 'p50 ms', 'p95 ms'))}"
                        f" | {'; '.join([came, *more])} |")  # fmt: skip
    return "\n".join([*rows, "", f"Wrong: {'; '.join(found['wrong']) or 'nothing'}.", ""])


def main() -> int:
    """Serve in a process of its own, measure, print JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--users", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=300)
    parser.add_argument("--soak", type=float, default=0, help="seconds at half load, for the growth of memory")
    parser.add_argument("--passages", type=int, default=10_000)
    parser.add_argument("--out", type=Path, default=Path("build/load.json"))
    parser.add_argument("--small", action="store_true")
    parser.add_argument("--serve", metavar="DIR", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.serve:
        serve(given.serve, given.passages, given.small)
        return 0
    found: dict[str, Any] = {}
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("terminated"))
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "tests.load", "--serve", folder, "--passages", str(given.passages)]
        server = subprocess.Popen(command + ["--small"] * given.small, stdout=subprocess.PIPE, text=True)
        try:
            assert server.stdout
            address = f"http://127.0.0.1:{int(server.stdout.readline())}"
            while True:
                try:
                    if httpx.get(f"{address}/readyz", timeout=60).status_code == 200:
                        break
                except httpx.HTTPError:
                    time.sleep(0.1)
            for name, figures in measure(address, server.pid, given.users, given.seconds, given.soak, given.passages):
                found[name] = figures
                keep(given.out, found, ["it is not finished"])
            ended = []
        except (KeyboardInterrupt, SystemExit, OSError, ValueError) as error:
            ended = [f"it ended early ({error!r})"]
        finally:
            server.terminate()
            server.communicate()
    return 1 if keep(given.out, found, ended, show=True) else 0


def keep(out: Path, found: dict[str, Any], ended: list[str], show: bool = False) -> list[str]:
    """Write what is known, as JSON and as Markdown; what is wrong with it."""
    problems = [*ended, *wrong(found)]
    text = json.dumps({**found, "wrong": problems}, indent=2)
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(text + "\n", "utf-8")
    out.with_suffix(".md").write_text(summary({**found, "wrong": problems}), "utf-8")
    if show:
        print(text)
    return problems


if __name__ == "__main__":
    sys.exit(main())
