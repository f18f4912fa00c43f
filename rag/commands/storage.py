"""Commands about the index as a whole: `rag compact`, `export`, `import`, `migrate`."""

from __future__ import annotations

import argparse
from pathlib import Path

from rag.commands.common import DONE, settings
from rag.errors import BadInput


def compact(args: argparse.Namespace) -> int:
    """`rag compact`"""
    from rag.index import Index

    chosen = settings(args)
    opened = Index.open(chosen.index, chosen)
    before = opened.status()["bytes"]
    opened.compact()
    print(f"{before:,} bytes before, {opened.status()['bytes']:,} now; nothing of removed documents is left")
    return DONE


def export(args: argparse.Namespace) -> int:
    """`rag export FILE.zip`"""
    from rag import archive
    from rag.index import Index
    from rag.originals import originals

    chosen = settings(args)
    kept = originals(chosen)
    documents = archive.export(Index.open(chosen.index, chosen).store, args.file, kept)
    print(f"{args.file}: {documents} documents" + (f", {len(kept)} uploaded files" if kept else ""))
    return DONE


def import_(args: argparse.Namespace) -> int:
    """`rag import FILE.zip`"""
    import functools

    from rag import archive
    from rag.originals import restore

    chosen = settings(args)
    folder = chosen.index
    if "://" in folder:
        raise BadInput("import into a folder, then `rag migrate` it to the server")
    documents = archive.import_(args.file, Path(folder), functools.partial(restore, chosen))
    print(f"index {folder}: {documents} documents, nothing embedded")
    return DONE


def migrate(args: argparse.Namespace) -> int:
    """`rag migrate DIR|URL`"""
    from rag.index import Index

    chosen = settings(args)
    source = Index.open(chosen.index, chosen)
    target = Index.open(args.target, chosen, create=True)
    print(f"{target.store.name}: {source.migrate(target)} documents, nothing embedded; ask it with --index")
    return DONE
