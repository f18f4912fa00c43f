"""The command line: its grammar. Results go to stdout, progress and logs to stderr; `rag/commands` does the work.

Exit: 0 done; 1 nothing could be done (one line says why); 2 wrong usage; 3 done, but items were skipped.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence

from rag import __version__
from rag.commands import documents, questions, server, storage
from rag.commands.common import DONE, FAILED
from rag.errors import RagError


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

    add = command("index", documents.index, "make the index equal to folders and files")
    add.add_argument("paths", nargs="+", metavar="PATH")
    add.add_argument("--collection", metavar="NAME")
    add.add_argument("--id-prefix", metavar="P", help="written before every document id")
    add.add_argument("--prune", action="store_true", help="remove documents even when most of them vanished")

    made = command(
        "inspect", documents.inspect, "what becomes of a file: its text, structure, and what was left out", index=False
    )
    made.add_argument("file", metavar="FILE")
    made.add_argument("--json", action="store_true", help="print JSON")
    made.add_argument("--text", action="store_true", help="print the canonical text as well")
    for reads in (add, made):
        reads.add_argument("--ocr", metavar="LANGS", help="read scanned pages by tesseract in these languages (eng)")

    for name, run, help in (
        ("ask", questions.ask, "answer a question with quotes"),
        ("search", questions.search, "the passages nearest to a question"),
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
        made.add_argument("--language", action="append", default=[], metavar="TAG", help="BCP 47; en is en-GB too")
        made.add_argument("--author", action="append", default=[], metavar="NAME")
        if name == "ask":
            made.add_argument("--history", metavar="FILE", help="a JSON list, oldest first")
            made.add_argument("--threshold", type=float, metavar="T", help="answer from this probability on")
        else:
            made.add_argument("--mode", choices=("dense", "lexical", "fused", "reranked"), default="reranked")
            made.add_argument("--top", type=int, default=10)

    made = command("read", questions.read, "read given passages", index=False)
    made.add_argument("--batch", required=True, metavar="IN.jsonl")
    made.add_argument("--output", required=True, metavar="OUT.jsonl")
    made.add_argument("--threshold", type=float, metavar="T")

    command("source", documents.source, "print a document's canonical text").add_argument(
        "document", metavar="DOCUMENT_ID"
    )
    command("status", documents.status, "what is in the index").add_argument("--json", action="store_true")
    made = command("remove", documents.remove, "remove documents")
    made.add_argument("documents", nargs="+", metavar="DOCUMENT")
    made.add_argument("--forget", action="store_true", help="take their words out of saved answers too")
    command("compact", storage.compact, "leave nothing of removed documents in any file of the index")
    for name, run, help in (
        ("export", storage.export, "write the index to one portable file (the backup)"),
        ("import", storage.import_, "make an index from an exported file"),
    ):
        command(name, run, help).add_argument("file", metavar="FILE.zip")
    made = command(
        "migrate", storage.migrate, "copy the index to another place, such as postgresql://…, without embedding"
    )
    made.add_argument("target", metavar="DIR|URL")
    made = command("verify", questions.verify, "prove the citations of a saved answer")
    made.add_argument("answer", metavar="ANSWER.json")
    made.add_argument("--json", action="store_true", help="print JSON")

    made = command("serve", server.serve, "the web chat")
    made.add_argument("--host")
    made.add_argument("--port", type=int)
    made.add_argument("--network", action="store_true", help="allow an address that others can reach (no login)")

    command("mcp", server.mcp, "an MCP server on standard input and output: ask, search, verify")

    made = command("keys", server.keys, "API keys of the web app")
    actions = made.add_subparsers(dest="action", required=True, metavar="ACTION")
    new = actions.add_parser("add", help="make a key; its secret is printed once")
    new.add_argument("name", metavar="NAME", help="who or what uses it")
    new.add_argument(
        "--scope",
        action="append",
        choices=("ask", "upload", "admin", "metrics", "ticket"),
        help="default: ask; repeatable",
    )
    new.add_argument("--group", action="append", default=[], metavar="G", help="a group it reads as; repeatable")
    new.add_argument("--all-documents", action="store_true", help="it reads every document, whatever its groups")
    new.add_argument("--days", type=int, metavar="N", help="it expires after N days")
    actions.add_parser("list", help="every key, without its secret")
    actions.add_parser("revoke", help="end a key now").add_argument("key", metavar="ID")

    made = command("models", server.models, "models on this machine", index=False)
    made.add_argument("action", choices=("list", "prepare", "pull"))
    made.add_argument("name", nargs="?", metavar="NAME")

    for name, help in (("evaluate", "how good the answers are"), ("train", "train or tune the reader")):
        commands.add_parser(name, help=help, add_help=False)  # they have a grammar of their own
    return top


def _date(text: str) -> str:
    import datetime

    return datetime.date.fromisoformat(text).isoformat()


if __name__ == "__main__":
    sys.exit(main())
