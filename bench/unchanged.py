"""A folder of 10,000 files is indexed again when nothing has changed: the whole command, in a process of its own."""

from __future__ import annotations

import argparse
import shutil
import statistics
import subprocess
import sys

from bench.corpus import WORK
from bench.measure import seconds, told

ENCODER = """
import sys
from rag.index import Index
from rag.settings import Settings
from tests.encoder import HashingEncoder
made = HashingEncoder()
made.name = Settings().model
Index.open(sys.argv[2], create=True, encoder=made).add(sys.argv[1])
"""


def main() -> None:
    """One line. The first run uses an encoder without a model: its speed is not what is measured."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    docs, index = WORK / "files", WORK / "files-index"
    for folder in (docs, index):
        shutil.rmtree(folder, ignore_errors=True)
    for n in range(options.files):
        file = docs / f"{n % 100}" / f"{n}.md"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"# Page {n}\n\nThe file {n} of the folder speaks of number {n * 7919 % 9973}.\n")
    first = seconds(
        lambda: subprocess.run(
            [sys.executable, "-W", "ignore", "-c", ENCODER, str(docs), str(index)], check=True, capture_output=True
        )
    )
    command = [sys.executable, "-W", "ignore", "-m", "rag", "index", str(docs), "--index", str(index)]
    times = [seconds(lambda: subprocess.run(command, check=True, capture_output=True)) for _ in range(options.rounds)]
    told("unchanged folder", files=options.files, first_s=first, again_s=statistics.median(times), slowest_s=max(times))


if __name__ == "__main__":
    main()
