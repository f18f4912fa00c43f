"""An index as one portable file: a zip of JSON lines and float16 vectors with a checksum each,
and the files that users uploaded; also the backup."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import re
import zipfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO, Any

from rag.errors import BadInput, IndexMismatch, NotFound
from rag.originals import Original
from rag.rows import COLUMNS, FORMAT, FileState, Record, document_of, document_row, units_json, units_of
from rag.sqlite import FILE
from rag.state import Upload
from rag.store import Store
from rag.types import Passage

_KIND = "pullquote index"
_PARTS = ("roots.jsonl", "files.jsonl", "documents.jsonl", "vectors.f16")
_UPLOADS = "uploads.jsonl"
_UPLOAD = re.compile(r"uploads/[0-9a-f]{32}")
Restore = Callable[[Upload, dict[str, Any], IO[bytes]], None]


def export(store: Store, target: str | Path, originals: Sequence[Original] = ()) -> int:
    """Write the store and these uploads to `target`, in one step; how many documents. Raises BadInput."""
    new = Path(f"{target}.new")
    meta = store.meta()
    try:
        with zipfile.ZipFile(new, "w", zipfile.ZIP_DEFLATED, compresslevel=3) as archive:
            sums = {}
            roots = store.roots()
            sums[_PARTS[0]] = _write(archive, _PARTS[0], ([*root] for root in roots))
            known = (
                [root, path, *dataclasses.astuple(state)]
                for root in store.file_roots()
                for path, state in store.files(root).items()
            )
            sums[_PARTS[1]] = _write(archive, _PARTS[1], known)
            # Two passes over one state of the store would need a long transaction: vectors wait in a file beside it.
            side = Path(f"{target}.vectors")
            documents = 0
            with side.open("w+b") as vectors:

                def rows() -> Iterator[list[Any]]:
                    nonlocal documents
                    for record in store.records():
                        documents += 1
                        vectors.write(b"".join(record.vectors))
                        passages = [
                            [p.start, p.end, p.context, units_json(p), mark.hex()]
                            for p, mark in zip(record.passages, record.digests, strict=True)
                        ]
                        yield [record.root, record.path, [*document_row(record.document)], passages]

                sums[_PARTS[2]] = _write(archive, _PARTS[2], rows())
                vectors.seek(0)
                with archive.open(_PARTS[3], "w", force_zip64=True) as out:
                    sums[_PARTS[3]] = _copy(vectors, out)
            side.unlink()
            if originals:
                owned = ([*dataclasses.astuple(one.upload), one.progress] for one in originals)
                sums[_UPLOADS] = _write(archive, _UPLOADS, owned)
            for one in originals:
                part = f"uploads/{one.upload.id}"
                with one.file.open("rb") as file, archive.open(part, "w", force_zip64=True) as out:
                    sums[part] = _copy(file, out)
            manifest = {
                "kind": _KIND, "format": FORMAT, "model": meta["model"], "dimension": int(meta["dimension"]),
                "version": store.version, "documents": documents, "sha256": sums,
            }  # fmt: skip
            archive.writestr("manifest.json", json.dumps(manifest, indent=1))
        os.replace(new, target)
    except OSError as error:
        raise BadInput(f"{target}: cannot be written ({error.strerror}); choose another file") from None
    finally:
        new.unlink(missing_ok=True)
        Path(f"{target}.vectors").unlink(missing_ok=True)
    return documents


def copy(source: Store, target: Store) -> int:
    """Put everything of one store into another, without embedding; how many documents. A copy that was stopped goes
    on when it is run again. Raises BadInput when the target holds anything else."""
    there = {info.id for info in source.documents()}
    if others := [info.id for info in target.documents() if info.id not in there]:
        raise BadInput(f"{target.name}: it holds other documents ({others[0]!r}); migrate into a new index")
    target.fill()
    for root in source.roots():
        target.add_root(*root)
    documents = 0
    for record in source.records():
        documents += 1
        if not target.same(record.root, record.path, record.document):
            target.put(record)
    for folder in source.file_roots():
        for path, state in source.files(folder).items():
            target.touch_file(folder, path, state)
    return documents


def import_(source: str | Path, folder: Path, restore: Restore | None = None) -> int:
    """Make the index `folder` from an archive; how many documents. Every checksum and range is proved on the way, and
    the index appears whole or not at all, after `restore` was given each upload. Raises NotFound, BadInput,
    IndexMismatch."""
    if (folder / FILE).exists():
        raise BadInput(f"{folder}: there is an index already; import into another --index")
    try:
        with zipfile.ZipFile(source) as archive:
            manifest = _manifest(archive, source)
            for part, expected in manifest["sha256"].items():
                with archive.open(part) as stream:
                    if _copy(stream, None) != expected:
                        raise ValueError(f"{part} has another checksum")
            folder.mkdir(parents=True, exist_ok=True)
            made = folder / "import"
            made.mkdir(exist_ok=True)
            Store.create(made, manifest["model"], manifest["dimension"])
            store = Store(made, writable=True)
            try:
                documents = _fill(store, archive, manifest["dimension"], manifest["format"])
                if documents != manifest["documents"]:
                    raise ValueError(f"{documents} of {manifest['documents']} documents")
                store.db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            finally:
                store.close()
            for row in _lines(archive, _UPLOADS) if _UPLOADS in manifest["sha256"] else ():
                id_, owner, name, size, groups, created, progress = row
                upload = Upload(id_, owner, name, size, None if groups is None else tuple(groups), created)
                if restore:
                    with archive.open(f"uploads/{id_}") as content:
                        restore(upload, progress, content)
            os.replace(made / FILE, folder / FILE)
            for left in made.iterdir():
                left.unlink()
            made.rmdir()
            return documents
    except FileNotFoundError:
        raise NotFound(f"{source}: no such file; check the path") from None
    except OSError as error:
        raise BadInput(f"{source}: cannot be imported ({error.strerror})") from None
    except (zipfile.BadZipFile, ValueError, KeyError, TypeError, EOFError) as error:
        raise IndexMismatch(f"{source}: not a sound archive ({error}); export it again") from None


def _manifest(archive: zipfile.ZipFile, source: str | Path) -> dict[str, Any]:
    manifest: dict[str, Any] = json.loads(archive.read("manifest.json"))
    others = set(manifest["sha256"]) - set(_PARTS) - {_UPLOADS}
    if manifest.get("kind") != _KIND or not set(_PARTS) <= set(manifest["sha256"]):
        raise ValueError("no archive of an index")
    if not all(map(_UPLOAD.fullmatch, others)):
        raise ValueError("no archive of an index")
    if manifest["format"] > FORMAT:
        raise IndexMismatch(f"{source}: format {manifest['format']} is newer than {FORMAT}; upgrade pullquote")
    return manifest


def _fill(store: Store, archive: zipfile.ZipFile, dimension: int, made: int) -> int:
    documents = 0
    for path, collection, prefix in _lines(archive, _PARTS[0]):
        store.add_root(path, collection, prefix)
    with archive.open(_PARTS[3]) as vectors:
        for root, path, row, parts in _lines(archive, _PARTS[2]):
            if made < 3:  # neither author nor language
                row[-1:] = [None, None, row[-1]]
            document = document_of(tuple(row))
            if not all(0 <= s < e <= len(document.text) for s, e, *_ in parts) or len(row) != len(COLUMNS):
                raise ValueError(f"{document.id}: a passage leaves the text")
            passages = tuple(Passage(document.id, s, e, units_of(u), context) for s, e, context, u, _ in parts)
            own = tuple(vectors.read(2 * dimension) for _ in parts)
            if any(len(v) != 2 * dimension for v in own):
                raise ValueError("vectors are missing")
            store.put(Record(root, path, document, passages, tuple(bytes.fromhex(p[4]) for p in parts), own))
            documents += 1
    for root, path, *state in _lines(archive, _PARTS[1]):
        store.touch_file(root, path, FileState(*state))
    return documents


def _write(archive: zipfile.ZipFile, name: str, rows: Iterator[list[Any]]) -> str:
    total = hashlib.sha256()
    with archive.open(name, "w", force_zip64=True) as out:
        for row in rows:
            line = json.dumps(row, ensure_ascii=False).encode("utf-8") + b"\n"
            total.update(line)
            out.write(line)
    return total.hexdigest()


def _lines(archive: zipfile.ZipFile, name: str) -> Iterator[list[Any]]:
    with archive.open(name) as stream:
        for line in stream:
            yield json.loads(line)


def _copy(stream: IO[bytes], out: IO[bytes] | None) -> str:
    total = hashlib.sha256()
    while block := stream.read(1 << 20):
        total.update(block)
        if out:
            out.write(block)
    return total.hexdigest()
