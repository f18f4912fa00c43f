"""What DOCX, XLSX and PPTX share: parts that refer to one another, and the properties of the file."""

from __future__ import annotations

import posixpath
from dataclasses import dataclass

from rag.errors import LoadError
from rag.load.build import File, iso_date
from rag.load.zipped import Members, attribute, local


@dataclass(frozen=True, slots=True)
class Relation:
    """Where a part points to: the last word of its type (`slide`, `image`, `hyperlink`) and the member's name."""

    kind: str
    target: str


def relations(members: Members, part: str) -> dict[str, Relation]:
    """The relations of a part by id; those of the whole file for part "". Links to outside are left out."""
    folder, name = posixpath.split(part)
    listing = posixpath.join(folder, "_rels", f"{name}.rels")
    found = {}
    for entry in members.xml(listing) if listing in members else ():
        if attribute(entry, "TargetMode") != "External":
            target = attribute(entry, "Target") or ""
            path = target.lstrip("/") if target.startswith("/") else posixpath.normpath(posixpath.join(folder, target))
            kind = (attribute(entry, "Type") or "").rsplit("/", 1)[-1]
            found[attribute(entry, "Id") or ""] = Relation(kind, path)
    return found


def main_part(file: File, members: Members) -> str:
    """The name of the document, workbook or presentation itself."""
    for relation in relations(members, "").values():
        if relation.kind == "officeDocument":
            return relation.target
    raise LoadError(f"{file.id}: damaged (it names no main part); save it again")


@dataclass(frozen=True, slots=True)
class Properties:
    """What the file declares of itself; the date is that of the last change, else of its making."""

    title: str = ""
    date: str | None = None
    author: str = ""
    language: str = ""


def properties(members: Members) -> Properties:
    """The core properties of the file."""
    part = next((r.target for r in relations(members, "").values() if r.kind == "core-properties"), "")
    if part not in members:
        return Properties()
    values = {local(entry): (entry.text or "").strip() for entry in members.xml(part)}
    return Properties(
        values.get("title", ""),
        iso_date(values.get("modified") or values.get("created") or ""),
        values.get("creator", ""),
        values.get("language", ""),
    )
