"""Commands about the web app, its keys and the models: `rag serve`, `keys`, `models`."""

from __future__ import annotations

import argparse
import sys

from rag.commands.common import DONE, settings
from rag.errors import BadInput


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
