"""What an index knows of itself, its roots and their files: the same statements on every kind of store."""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from rag.rows import FileState


class Ledger(ABC):
    """The tables `meta`, `roots` and `files`, and which file a document is of. Values stand for `?`."""

    @abstractmethod
    def rows(self, query: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """The rows that a query gives."""

    @abstractmethod
    def run(self, statement: str, values: Sequence[Any] = ()) -> None:
        """Carry out a statement."""

    @abstractmethod
    def writing(self) -> AbstractContextManager[Any]:
        """One transaction; the version rises with it."""

    @abstractmethod
    def drop(self, where: str, values: Sequence[Any]) -> bool:
        """Within a transaction remove the documents of which this holds; False when there is none."""

    def fill(self) -> None:  # noqa: B027 (a folder has nothing to do)
        """Everything will be copied in now."""

    def meta(self) -> dict[str, str]:
        """Format, id, version, model, dimension."""
        return dict(self.rows("SELECT key, value FROM meta"))

    @property
    def version(self) -> str:
        """Changes with every write: `id.counter`."""
        meta = self.meta()
        return f"{meta['id']}.{meta['version']}"

    def count(self) -> tuple[int, int]:
        """Documents and passages."""
        ((documents, passages),) = self.rows("SELECT (SELECT count(*) FROM documents), (SELECT count(*) FROM passages)")
        return documents, passages

    def roots(self) -> list[tuple[str, str, str]]:
        """Path, collection and id prefix of every root."""
        return sorted((p, c, x) for p, c, x in self.rows("SELECT path, collection, prefix FROM roots"))

    def files(self, root: str) -> dict[str, FileState]:
        """What is known of the files of a root."""
        rows = self.rows("SELECT path, size, mtime_ns, sha256, problem FROM files WHERE root = ?", (root,))
        return {r[0]: FileState(*r[1:]) for r in rows}

    def file_roots(self) -> list[str]:
        """Every root that files are known of."""
        return sorted(root for (root,) in self.rows("SELECT DISTINCT root FROM files"))

    def problems(self) -> list[tuple[str, str]]:
        """Files that were skipped, wholly or in part, and why."""
        rows = sorted(self.rows("SELECT root, path, problem FROM files WHERE problem IS NOT NULL"))
        return [(str(Path(root, path)) if path else root, problem) for root, path, problem in rows]

    def collections(self) -> dict[str, int]:
        """Documents of each collection."""
        return dict(sorted(self.rows("SELECT collection, count(*) FROM documents GROUP BY collection")))

    def languages(self) -> dict[str, int]:
        """Documents of each language, as their files or their texts say; "" is not known."""
        counted = self.rows("SELECT coalesce(language, ''), count(*) FROM documents GROUP BY 1")
        return dict(sorted(counted))

    def root_of(self, document_id: str) -> tuple[str, str] | None:
        """The root and the file that a document came from."""
        rows = self.rows("SELECT root, path FROM documents WHERE id = ?", (document_id,))
        return (rows[0][0], rows[0][1]) if rows else None

    def add_root(self, path: str, collection: str, prefix: str) -> None:
        """Remember a root."""
        with self.writing():
            self.run(
                "INSERT INTO roots VALUES(?, ?, ?) ON CONFLICT(path) DO UPDATE SET"
                " collection = excluded.collection, prefix = excluded.prefix",
                (path, collection, prefix),
            )

    def touch_file(self, root: str, path: str, state: FileState) -> None:
        """Note the state of a file: no new version."""
        self.run(
            "INSERT INTO files VALUES(?, ?, ?, ?, ?, ?) ON CONFLICT(root, path) DO UPDATE SET"
            " size = excluded.size, mtime_ns = excluded.mtime_ns, sha256 = excluded.sha256, problem = excluded.problem",
            (root, path, *dataclasses.astuple(state)),
        )

    def finish_file(self, root: str, path: str, state: FileState, ids: Iterable[str]) -> None:
        """A file is wholly written: its documents but these go, and its state is noted."""
        kept = set(ids)
        for (id_,) in self.rows("SELECT id FROM documents WHERE root = ? AND path = ?", (root, path)):
            if id_ not in kept:
                self.remove_document(id_)
        self.touch_file(root, path, state)

    def remove_file(self, root: str, path: str) -> None:
        """Forget a file and what came from it."""
        with self.writing():
            self.drop("root = ? AND path = ?", (root, path))
            self.run("DELETE FROM files WHERE root = ? AND path = ?", (root, path))

    def remove_document(self, document_id: str) -> bool:
        """Remove one document; False when there is none of that id."""
        with self.writing():
            return self.drop("id = ?", (document_id,))
