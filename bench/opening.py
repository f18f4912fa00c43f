"""A new process opens an index: time until its first answer, memory once it has answered all questions given.

`python -m bench.opening INDEX QUESTION…`. It starts as `rag ask` does; the time counts from the start of the process.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path


def since_start() -> float:
    """Seconds since this process began, by the kernel's clock (to a hundredth)."""
    began = int(Path("/proc/self/stat").read_text().rsplit(")", 1)[1].split()[19]) / os.sysconf("SC_CLK_TCK")
    return time.clock_gettime(time.CLOCK_BOOTTIME) - began


def main() -> None:
    """One line of JSON."""
    from rag.answer import Answerer

    answerer = Answerer.open(sys.argv[1])
    opened = since_start()
    answerer.ask(sys.argv[2])
    first = since_start()
    for question in sys.argv[3:]:
        answerer.ask(question)
    from bench.measure import resident

    print(json.dumps({"opened_s": round(opened, 2), "first_answer_s": round(first, 2), **resident()}))


if __name__ == "__main__":
    main()
