"""Commands about what is in the index: `rag index`, `inspect`, `source`, `status`, `remove`."""

from __future__ import annotations

import argparse
import json
import sys
import time

from rag.commands.common import DONE, FAILED, PARTLY, settings
from rag.errors import RagError


def index(args: argparse.Namespace) -> int:
    """`rag index PATH…`"""
    from rag.index import Index
    from rag.language import foreign

    chosen = settings(args)
    opened = Index.open(chosen.index, chosen, create=True)
    failures: list[RagError] = []
    skipped = 0
    for path in args.paths:
        bar = _Bar(path)
        try:
            report = opened.add(
                path, collection=args.collection, id_prefix=args.id_prefix, prune=args.prune, progress=bar.show
            )
        except RagError as error:
            failures.append(error)
            print(f"rag: {error}", file=sys.stderr)
            continue
        finally:
            bar.close()
        for file, why in report.skipped:
            print(f"skipped {file}: {why}", file=sys.stderr)
        skipped += len(report.skipped)
        print(
            f"{path}: {report.added} added, {report.updated} updated, {report.removed} removed, "
            f"{report.unchanged} unchanged, {len(report.skipped)} skipped; {report.embedded} passages embedded"
        )
        if report.left_out:
            kinds = ", ".join(f"{kind} {count}" for kind, count in report.left_out.most_common())
            print(f"{path}: characters left out on purpose: {kinds} (see `rag inspect FILE`)")
        if warning := foreign(report.languages, chosen):
            print(f"{path}: {warning}", file=sys.stderr)
    documents, passages = opened.store.count()
    print(f"index {opened.store.name}: {documents} documents, {passages} passages")
    if len(failures) == len(args.paths) or (skipped and not documents):
        return FAILED
    return PARTLY if failures or skipped else DONE


def inspect(args: argparse.Namespace) -> int:
    """`rag inspect FILE`"""
    from rag.embed import open_encoder
    from rag.inspect import inspect as report

    chosen = settings(args)
    found = report(args.file, open_encoder(chosen).count, chosen.ocr)
    if args.json:
        print(json.dumps(found.to_dict(), ensure_ascii=False))
    else:
        print("\n".join(found.lines(text=args.text)))
    return PARTLY if found.problems else DONE


def source(args: argparse.Namespace) -> int:
    """`rag source DOCUMENT_ID`"""
    from rag.index import Index

    chosen = settings(args)
    sys.stdout.buffer.write(Index.open(chosen.index, chosen).document(args.document).text.encode("utf-8"))
    return DONE


def status(args: argparse.Namespace) -> int:
    """`rag status`"""
    from rag.index import Index

    chosen = settings(args)
    found = Index.open(chosen.index, chosen).status()
    if args.json:
        print(json.dumps(found, ensure_ascii=False))
        return DONE
    for key in ("index", "version", "format", "model", "documents", "passages", "bytes", "vectors", "search"):
        print(f"{key:<10} {found[key]}")
    for name, documents in found["collections"].items():
        print(f"collection {name}: {documents} documents")
    for name, documents in found["languages"].items():
        print(f"language   {name or 'not known'}: {documents} documents")
    for root in found["roots"]:
        named = f", ids begin with {root['id_prefix']}" if root["id_prefix"] else ""
        print(f"root       {root['path']} (collection {root['collection']}{named})")
    for file in found["unfinished"]:
        print(f"unfinished {file}; run `rag index` again")
    for problem in found["skipped"]:
        print(f"skipped    {problem['file']}: {problem['reason']}")
    return DONE


def remove(args: argparse.Namespace) -> int:
    """`rag remove DOCUMENT…`"""
    from rag.index import Index
    from rag.state import State

    chosen = settings(args)
    opened = Index.open(chosen.index, chosen)
    there = {info.id for info in opened.documents()}
    for missing in [d for d in args.documents if d not in there]:
        print(f"skipped {missing}: no such document; `rag status` and `rag search` show ids", file=sys.stderr)
    wanted = [d for d in args.documents if d in there]
    if not wanted:
        return FAILED
    print(f"{opened.remove(wanted)} documents removed")
    if (state := State.of(chosen)) and (saved := state.forget(wanted) if args.forget else state.quoting(wanted)):
        kept = "no longer hold their words" if args.forget else "still quote them; --forget takes it out"
        print(f"{saved} saved answers {kept}")
    return DONE if len(wanted) == len(args.documents) else PARTLY


class _Bar:
    """A progress bar on a terminal; nothing elsewhere."""

    def __init__(self, path: str) -> None:
        from tqdm import tqdm

        self._bar = tqdm(
            desc=str(path), unit="B", unit_scale=True, file=sys.stderr, disable=not sys.stderr.isatty(), smoothing=0.05
        )
        self._began = time.monotonic()

    def show(self, done: int, total: int, passages: int) -> None:
        """Bytes that are done of those to read (what is unchanged counts in neither), and passages a second."""
        self._bar.total = total
        rate = passages / max(time.monotonic() - self._began, 1e-9)
        self._bar.set_postfix_str(f"{passages} passages embedded, {rate:.0f}/s", refresh=False)
        self._bar.update(done - self._bar.n)

    def close(self) -> None:
        self._bar.close()
