"""Uploaded files on their way into an archive of the index and back: whose each is, how far it came, and its bytes."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from rag.settings import Settings
from rag.state import State, Upload


@dataclass(frozen=True, slots=True)
class Original:
    """One upload: its row of the state, its `progress.json`, and the file as it was received."""

    upload: Upload
    progress: dict[str, Any]
    file: Path


def folder(settings: Settings) -> Path:
    """Where uploads are kept, each in a folder of its id with `original` and `progress.json`."""
    return Path(settings.uploads or Path(settings.index) / "uploads")


def originals(settings: Settings) -> list[Original]:
    """Every upload that is kept, oldest first."""
    place = folder(settings)
    found = []
    for upload in State.open(settings).uploads() if place.is_dir() else ():
        own = place / upload.id
        if (own / "progress.json").is_file() and (own / "original").is_file():
            found.append(Original(upload, json.loads((own / "progress.json").read_text("utf-8")), own / "original"))
    return found


def restore(settings: Settings, upload: Upload, progress: dict[str, Any], content: IO[bytes]) -> None:
    """Keep one upload as it was; one of this id that is there already stays. Raises OSError, BadInput."""
    place = folder(settings) / upload.id
    if place.is_dir():
        return
    new = place.with_name(f"new-{upload.id}")
    new.mkdir(parents=True, exist_ok=True)
    with (new / "original").open("wb") as out:
        shutil.copyfileobj(content, out)
    (new / "progress.json").write_text(json.dumps(progress, ensure_ascii=False), "utf-8")
    State.open(settings).put_upload(upload)
    os.rename(new, place)
