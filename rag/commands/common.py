"""What every command needs: exit codes, settings, and files that a user names."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from rag.errors import BadInput
from rag.settings import Settings

DONE, FAILED, USAGE, PARTLY = 0, 1, 2, 3


def settings(args: argparse.Namespace) -> Settings:
    """Flags over environment over file."""
    flags = {k: getattr(args, k, None) for k in ("index", "model", "host", "port", "threshold", "ocr")}
    return Settings.load(flags)


def json_file(path: str) -> Any:
    try:
        return json.loads(Path(path).read_text("utf-8"))
    except OSError as error:
        raise BadInput(f"{path}: cannot be read ({error.strerror}); check the path") from None
    except ValueError as error:
        raise BadInput(f"{path}: not JSON ({error})") from None
