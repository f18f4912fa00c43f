"""The command line. Results go to stdout, progress and logs to stderr; each room is imported inside its command.

Exit: 0 done; 1 nothing could be done (one line says why); 2 wrong usage; 3 done, but items were skipped.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rag import __version__
from rag.errors import BadInput, RagError
from rag.settings import Settings

if TYPE_CHECKING:
    from rag.types import Answer, Filters, Hit

DONE, FAILED, USAGE, PARTLY = 0, 1, 2, 3


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; its exit code."""
    args = list(sys.argv[1:] if argv is None else argv)
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")
    try:
        if args[:1] == ["evaluate"]:
            from rag.evaluate import command

            return command.main(args[1:])
        if args[:1] == ["train"]:
            from rag.train import __main__ as train

            return train.main(args[1:])
        parsed = parser().parse_args(args)
        return parsed.run(parsed)
    except RagError as error:
        print(f"rag: {' '.join(str(error).split())}", file=sys.stderr)
        return FAILED
    except KeyboardInterrupt:
        print("rag: stopped", file=sys.stderr)
        return FAILED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return DONE


def parser() -> argparse.ArgumentParser:
    """The grammar of the contracts."""
    top = argparse.ArgumentParser(prog="rag", description="Answers made only of verbatim quotes from your documents.")
    top.add_argument("--version", action="version", version=f"pullquote {__version__}")
    commands = top.add_subparsers(title="commands", metavar="COMMAND", required=True)

    def command(
        name: str, run: Callable[[argparse.Namespace], int], help: str, index: bool = True
    ) -> argparse.ArgumentParser:
        made = commands.add_parser(name, help=help, description=help)
        made.set_defaults(run=run)
        if index:
            made.add_argument("--index", metavar="DIR", help="the index folder (default: index), or postgresql://…")
            made.add_argument("--model", metavar="NAME", help="the embedding model")
        return made

    add = command("index", index, "make the index equal to folders and files")
    add.add_argument("paths", nargs="+", metavar="PATH")
    add.add_argument("--collection", metavar="NAME")
    add.add_argument("--id-prefix", metavar="P", help="written before every document id")
    add.add_argument("--prune", action="store_true", help="remove documents even when most of them vanished")

    made = command(
        "inspect", inspect, "what becomes of a file: its text, structure, and what was left out", index=False
    )
    made.add_argument("file", metavar="FILE")
    made.add_argument("--json", action="store_true", help="print JSON")
    made.add_argument("--text", action="store_true", help="print the canonical text as well")

    for name, run, help in (
        ("ask", ask, "answer a question with quotes"),
        ("search", search, "the passages nearest to a question"),
    ):
        made = command(name, run, help)
        made.add_argument("question", nargs="?", metavar="QUESTION")
        made.add_argument("--batch", metavar="IN.jsonl")
        made.add_argument("--output", metavar="OUT.jsonl")
        made.add_argument("--json", action="store_true", help="print JSON")
        made.add_argument("--collection", action="append", default=[], metavar="NAME")
        made.add_argument("--document", action="append", default=[], metavar="ID")
        made.add_argument("--since", type=_date, metavar="DATE", help="YYYY-MM-DD")
        made.add_argument("--until", type=_date, metavar="DATE")
        if name == "ask":
            made.add_argument("--history", metavar="FILE", help="a JSON list, oldest first")
            made.add_argument("--threshold", type=float, metavar="T", help="answer from this probability on")
        else:
            made.add_argument("--mode", choices=("dense", "lexical", "fused", "reranked"), default="reranked")
            made.add_argument("--top", type=int, default=10)

    made = command("read", read, "read given passages", index=False)
    made.add_argument("--batch", required=True, metavar="IN.jsonl")
    made.add_argument("--output", required=True, metavar="OUT.jsonl")
    made.add_argument("--threshold", type=float, metavar="T")

    command("source", source, "print a document's canonical text").add_argument("document", metavar="DOCUMENT_ID")
    command("status", status, "what is in the index").add_argument("--json", action="store_true")
    command("remove", remove, "remove documents").add_argument("documents", nargs="+", metavar="DOCUMENT")
    command("compact", compact, "leave nothing of removed documents in any file of the index")
    for name, run, help in (
        ("export", export, "write the index to one portable file (the backup)"),
        ("import", import_, "make an index from an exported file"),
    ):
        command(name, run, help).add_argument("file", metavar="FILE.zip")
    made = command("migrate", migrate, "copy the index to another place, such as postgresql://…, without embedding")
    made.add_argument("target", metavar="DIR|URL")
    made = command("verify", verify, "prove the citations of a saved answer")
    made.add_argument("answer", metavar="ANSWER.json")
    made.add_argument("--json", action="store_true", help="print JSON")

    made = command("serve", serve, "the web chat")
    made.add_argument("--host")
    made.add_argument("--port", type=int)
    made.add_argument("--network", action="store_true", help="allow an address that others can reach (no login)")

    made = command("keys", keys, "API keys of the web app")
    actions = made.add_subparsers(dest="action", required=True, metavar="ACTION")
    new = actions.add_parser("add", help="make a key; its secret is printed once")
    new.add_argument("name", metavar="NAME", help="who or what uses it")
    new.add_argument(
        "--scope", action="append", choices=("ask", "upload", "admin", "metrics"), help="default: ask; repeatable"
    )
    new.add_argument("--group", action="append", default=[], metavar="G", help="a group it reads as; repeatable")
    new.add_argument("--all-documents", action="store_true", help="it reads every document, whatever its groups")
    new.add_argument("--days", type=int, metavar="N", help="it expires after N days")
    actions.add_parser("list", help="every key, without its secret")
    actions.add_parser("revoke", help="end a key now").add_argument("key", metavar="ID")

    made = command("models", models, "models on this machine", index=False)
    made.add_argument("action", choices=("list", "prepare", "pull"))
    made.add_argument("name", nargs="?", metavar="NAME")

    for name, help in (("evaluate", "how good the answers are"), ("train", "train or tune the reader")):
        commands.add_parser(name, help=help, add_help=False)  # they have a grammar of their own
    return top


def settings(args: argparse.Namespace) -> Settings:
    """Flags over environment over file."""
    flags = {k: getattr(args, k, None) for k in ("index", "model", "host", "port", "threshold")}
    return Settings.load(flags)


def index(args: argparse.Namespace) -> int:
    """`rag index PATH…`"""
    from rag.index import Index

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
    documents, passages = opened.store.count()
    print(f"index {opened.store.name}: {documents} documents, {passages} passages")
    if len(failures) == len(args.paths) or (skipped and not documents):
        return FAILED
    return PARTLY if failures or skipped else DONE


def inspect(args: argparse.Namespace) -> int:
    """`rag inspect FILE`"""
    from rag.embed import open_encoder
    from rag.inspect import inspect as report

    found = report(args.file, open_encoder(settings(args)).count)
    if args.json:
        print(json.dumps(found.to_dict(), ensure_ascii=False))
    else:
        print("\n".join(found.lines(text=args.text)))
    return PARTLY if found.problems else DONE


def ask(args: argparse.Namespace) -> int:
    """`rag ask QUESTION` or `--batch`"""
    from rag.answer import Answerer

    _one_or_batch(args)
    chosen = settings(args)
    answerer = Answerer.open(chosen.index, chosen)
    filters = _filters(args)
    if args.batch:
        from rag.batch import text_of

        def one(row: Mapping[str, Any]) -> Mapping[str, Any]:
            return answerer.ask(text_of(row, "question"), _history(row.get("history") or []), filters).to_dict()

        return _batch(args, one)
    history = _history(_json_file(args.history)) if args.history else ()
    answer = answerer.ask(args.question, history, filters)
    print(answer.to_json() if args.json else _show_answer(answer))
    return DONE


def search(args: argparse.Namespace) -> int:
    """`rag search QUESTION` or `--batch`"""
    from rag.answer import Answerer
    from rag.batch import text_of

    _one_or_batch(args)
    chosen = settings(args)
    answerer = Answerer.open(chosen.index, chosen)
    filters = _filters(args)

    def hits(question: str) -> list[Hit]:
        return answerer.search(question, filters, args.mode, args.top)

    def row_of(hit: Hit) -> Mapping[str, Any]:
        return {"document_id": hit.document_id, "start": hit.start, "end": hit.end, "score": round(hit.score, 6)}

    if args.batch:
        return _batch(args, lambda row: {"hits": [row_of(h) for h in hits(text_of(row, "question"))]})
    found = hits(args.question)
    if args.json:
        print(json.dumps({"hits": [row_of(h) for h in found]}, ensure_ascii=False))
    else:
        for n, hit in enumerate(found, 1):
            print(f"{n:2}. {hit.score:.4f}  {hit.document_id} [{hit.start}:{hit.end}]")
            print(f"    {' '.join(hit.text.split())[:200]}")
    return DONE


def read(args: argparse.Namespace) -> int:
    """`rag read --batch`"""
    from rag.answer import checked
    from rag.batch import text_of
    from rag.read import PassageReader

    reader = PassageReader.open(settings(args))
    return _batch(args, lambda row: reader.read(checked(text_of(row, "question")), text_of(row, "context")))


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

    chosen = settings(args)
    opened = Index.open(chosen.index, chosen)
    there = {info.id for info in opened.documents()}
    for missing in [d for d in args.documents if d not in there]:
        print(f"skipped {missing}: no such document; `rag status` and `rag search` show ids", file=sys.stderr)
    wanted = [d for d in args.documents if d in there]
    if not wanted:
        return FAILED
    print(f"{opened.remove(wanted)} documents removed")
    return DONE if len(wanted) == len(args.documents) else PARTLY


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

    chosen = settings(args)
    print(f"{args.file}: {archive.export(Index.open(chosen.index, chosen).store, args.file)} documents")
    return DONE


def import_(args: argparse.Namespace) -> int:
    """`rag import FILE.zip`"""
    from rag import archive

    folder = settings(args).index
    if "://" in folder:
        raise BadInput("import into a folder, then `rag migrate` it to the server")
    print(f"index {folder}: {archive.import_(args.file, Path(folder))} documents, nothing embedded")
    return DONE


def migrate(args: argparse.Namespace) -> int:
    """`rag migrate DIR|URL`"""
    from rag.index import Index

    chosen = settings(args)
    source = Index.open(chosen.index, chosen)
    target = Index.open(args.target, chosen, create=True)
    print(f"{target.store.name}: {source.migrate(target)} documents, nothing embedded; ask it with --index")
    return DONE


def verify(args: argparse.Namespace) -> int:
    """`rag verify ANSWER.json`"""
    from rag.index import Index
    from rag.verify import verify as prove

    chosen = settings(args)
    proofs = prove(_json_file(args.answer), Index.open(chosen.index, chosen))
    if args.json:
        print(json.dumps({"citations": [dataclasses.asdict(proof) for proof in proofs]}, ensure_ascii=False))
    else:
        for proof in proofs:
            where = f" [{proof.start}:{proof.end}]" if proof.start is not None else ""
            print(f"[{proof.n}] {proof.document_id}{where}: {proof.state}")
            for words in proof.difference:
                print(f"    {words}")
    return DONE if all(p.state == "exact" for p in proofs) else PARTLY


def serve(args: argparse.Namespace) -> int:
    """`rag serve`"""
    from rag.answer import Answerer
    from rag.web import portal

    chosen = settings(args)
    portal.serve(Answerer.open(chosen.index, chosen), chosen, network=args.network)
    return DONE


def keys(args: argparse.Namespace) -> int:
    """`rag keys add|list|revoke`"""
    from rag.keys import Keys, file_of

    held = Keys(file_of(settings(args)))
    if args.action == "add":
        if args.group and args.all_documents:
            raise BadInput("give --group or --all-documents, not both")
        groups = None if args.all_documents else args.group
        key, secret = held.add(args.name, args.scope or ("ask",), groups, args.days)
        print(f"key {key.id} for {key.name}; its secret is shown this once:", file=sys.stderr)
        print(secret)
    elif args.action == "revoke":
        held.revoke(args.key)
        print(f"{args.key} revoked")
    else:
        for key in held.all():
            state = "revoked" if key.revoked else "valid" if key.valid() else "expired"
            groups = "every document" if key.groups is None else f"groups {', '.join(key.groups) or 'none'}"
            print(f"{key.id}  {state:<8}{key.name}  {'+'.join(key.scopes)}; {groups}; until {key.expires or 'revoked'}")
    return DONE


def models(args: argparse.Namespace) -> int:
    """`rag models list|prepare|pull`"""
    from rag import hub, runtime
    from rag.embed import open_encoder

    chosen = settings(args)
    if args.action == "pull":
        if not args.name:
            raise BadInput("name the model: rag models pull NAME")
        print(hub.pull(args.name, chosen.models))
    elif args.action == "prepare":
        encoder = open_encoder(chosen, args.name)
        print(f"{encoder.name}: {encoder.dimension} dimensions, ready in {chosen.models}")
    else:
        for folder in sorted(p for p in chosen.models.glob("*") if (p / "model.onnx").is_file()):
            print(f"{folder.name}  prepared")
        for folder in sorted(chosen.models.glob("hub/*")):
            print(f"{folder.name.replace('--', '/')}  pulled")
        print(f"{chosen.model}  {'here' if runtime.weights(chosen.model, chosen.models) else 'not here'} (default)")
    return DONE


def _one_or_batch(args: argparse.Namespace) -> None:
    if bool(args.batch) == (args.question is not None) or bool(args.batch) != bool(args.output):
        print("rag: give a QUESTION, or --batch IN.jsonl with --output OUT.jsonl", file=sys.stderr)
        raise SystemExit(USAGE)


def _batch(args: argparse.Namespace, one: Callable[[Mapping[str, Any]], Mapping[str, Any]]) -> int:
    from tqdm import tqdm

    from rag.batch import run_batch

    def progress(lines: Iterable[bytes]) -> Iterable[bytes]:
        return tqdm(lines, unit="row", file=sys.stderr, disable=not sys.stderr.isatty())

    good, bad = run_batch(args.batch, args.output, one, progress)
    if bad:
        print(f"{bad} of {good + bad} rows could not be done; their errors stand in {args.output}", file=sys.stderr)
    if not good:
        if not bad:
            print(f"rag: {args.batch} has no rows", file=sys.stderr)
        return FAILED
    return PARTLY if bad else DONE


def _filters(args: argparse.Namespace) -> Filters:
    from rag.types import Filters

    return Filters(tuple(args.collection), tuple(args.document), args.since, args.until)


def _history(given: Any) -> Any:
    from rag.types import turns

    try:
        return turns(given if isinstance(given, list) else [given])
    except ValueError as error:
        raise BadInput(f"history: {error}") from None


def _json_file(path: str) -> Any:
    try:
        return json.loads(Path(path).read_text("utf-8"))
    except OSError as error:
        raise BadInput(f"{path}: cannot be read ({error.strerror}); check the path") from None
    except ValueError as error:
        raise BadInput(f"{path}: not JSON ({error})") from None


def _date(text: str) -> str:
    import datetime

    return datetime.date.fromisoformat(text).isoformat()


def _show_answer(answer: Answer) -> str:
    """An Answer for a terminal: quotes with the short answer marked, and where each stands."""
    lines: list[str] = []
    if answer.query != answer.question:
        lines.append(f"(asked as: {answer.query})")
    if answer.status == "abstained":
        from rag.web.words import WORDS

        title, why = WORDS["silence"][answer.reason]
        lines.append(f"{title}. {why} ({answer.reason}, confidence {answer.confidence:.2f})")
        lines += [
            f"  near: {n.document_id} [{n.start}:{n.end}] {' '.join(n.text.split())[:120]}…" for n in answer.nearest
        ]
        return "\n".join(lines)
    for c in answer.citations:
        quote = c.quote
        if c.answer and (c.answer.start, c.answer.end) != (c.start, c.end):
            a, b = c.answer.start - c.start, c.answer.end - c.start
            quote = f"{quote[:a]}[{quote[a:b]}]{quote[b:]}"
        where = " › ".join(filter(None, (c.title, *c.section, f"p. {c.pages[0]}" if c.pages else "", c.date or "")))
        lines += [f"[{c.n}] “{quote}”", f"    {where} — {c.document_id} [{c.start}:{c.end}]"]
    lines.append(f"confidence {answer.confidence:.2f}" + ("; the documents disagree" if answer.conflict else ""))
    return "\n".join(lines)


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


if __name__ == "__main__":
    sys.exit(main())
