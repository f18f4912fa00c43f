"""`rag evaluate table`: the standard sets run one after another, and their figures as Markdown.

A run that is finished is not done again, so the command can be stopped and called anew. What does not depend on the
reader is run once for all of them; indexes are kept beside the runs.
"""

from __future__ import annotations

import dataclasses
import json
import shutil
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rag.errors import BadInput
from rag.evaluate.datasets import kind_of, read_passages
from rag.evaluate.markdown import Result, page
from rag.evaluate.runner import SUMMARY, Watch, run
from rag.evaluate.sets import Run, runs
from rag.runtime import RECIPE
from rag.settings import Settings

TABLE, STATED = "table.md", "stated.json"


def write_tables(
    settings: Settings, out: Path, readers: Sequence[str], *, only: Sequence[str] = (), sample: int | None = None,
    seed: int = 0, progress: Watch | None = None,
) -> tuple[str, list[str]]:  # fmt: skip
    """Do what is left to do, write OUT/table.md, and give its text and the sets that are not in `settings.data`.

    readers: as in the settings. only: do only runs with one of these in their name (the table has all that are done).
    sample: at most so many questions a set. Raises BadInput when OUT is of another seed, sample, model or data.
    """
    data = str(Path(settings.data).resolve())
    _state(out, {"data": data, "model": f"{settings.model} ({RECIPE})", "sample": sample, "seed": seed})
    missing: dict[str, None] = {}
    found: dict[str, dict[str, Result]] = {}
    for reader in readers:
        engines = _Engines(dataclasses.replace(settings, reader=reader), out / "indexes")
        results = found.setdefault(engines.name, {})
        for made in runs(rereads=engines.trained):
            made = dataclasses.replace(made, sample=min(sample, made.sample or sample)) if sample else made
            path = Path(settings.data, made.file)
            folder = out / (engines.name if made.reader else "search") / made.name
            if not (folder / SUMMARY).is_file():
                if only and not any(part in made.name for part in only):
                    continue
                if not path.exists():
                    missing[made.file] = None
                    continue
                began = time.monotonic()
                engine, at_once = engines.of(made, path)
                run(path, engine, out=folder, seed=seed, progress=progress, at_once=at_once, **made.options())
                print(f"{folder}: {time.monotonic() - began:.0f} s", file=sys.stderr)
            results[made.name] = Result(made, folder)
        engines.close()
    text = page(found, seed)
    (out / TABLE).write_text(text, "utf-8")
    return text, list(missing)


def _state(out: Path, wanted: dict[str, Any]) -> None:
    """Hold OUT to one seed, sample, model and data: figures of others must not stand in one table."""
    file = out / STATED
    try:
        out.mkdir(parents=True, exist_ok=True)
        stated = json.loads(file.read_text("utf-8")) if file.is_file() else wanted
        file.write_text(json.dumps(stated, indent=1) + "\n", "utf-8")
    except (OSError, ValueError) as error:
        raise BadInput(f"{out}: cannot hold the runs ({error}); choose another --out") from None
    if stated != wanted:
        other = ", ".join(f"{name} {stated.get(name)!r}" for name in wanted if stated.get(name) != wanted[name])
        raise BadInput(f"{out}: holds figures with {other}; choose another --out")


class _Engines:
    """The engine of each run: one encoder and one reader for all, and the index of one set at a time."""

    def __init__(self, settings: Settings, indexes: Path) -> None:
        from rag.embed import open_encoder
        from rag.overlap import NAME
        from rag.read import open_reader

        self.settings, self.indexes = settings, indexes
        self.encoder = open_encoder(settings)
        self.reader = open_reader(settings, lambda: self.encoder)
        self.name = self.reader.name.replace("/", "--")
        self.trained = self.reader.name != NAME
        self._index: tuple[str, Any] = ("", None)

    def of(self, made: Run, path: Path) -> tuple[Any, int]:
        """An Answerer over the run's index, or a PassageReader; and how many questions it is asked at once, since a
        single passage keeps one core busy. Times are told of an Answerer only."""
        from rag.answer import Answerer
        from rag.read import PassageReader

        settings = dataclasses.replace(self.settings, threshold=made.threshold)
        kind = kind_of(path)
        if made.open or made.retrieval or kind == "beir":
            return Answerer(self._opened(path, kind), self.reader, settings), 1
        return PassageReader(self.reader, settings.threshold), settings.cores

    def _opened(self, path: Path, kind: Any) -> Any:
        """The index of the set's passages, made in a folder that gets its name when it is complete."""
        from rag.index import Index

        folder = self.indexes / path.name.split(".")[0]
        if self._index[0] == folder.name:
            return self._index[1]
        self.close()
        if not folder.is_dir():
            part = folder.with_suffix(".part")
            shutil.rmtree(part, ignore_errors=True)
            began = time.monotonic()
            index = Index.open(part, self.settings, create=True, encoder=self.encoder)
            index.put(list(read_passages(path, kind)))
            index.close()
            part.rename(folder)
            print(f"{folder}: {time.monotonic() - began:.0f} s", file=sys.stderr)
        self._index = (folder.name, Index.open(folder, self.settings, encoder=self.encoder))
        return self._index[1]

    def close(self) -> None:
        """Close the index that is open."""
        if self._index[1] is not None:
            self._index[1].close()
        self._index = ("", None)
