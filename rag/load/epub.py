"""EPUB → canonical text: the chapters in the order of the spine, each read as the HTML that it is."""

from __future__ import annotations

import posixpath
from collections import Counter
from urllib.parse import unquote

from rag.errors import LoadError
from rag.load.build import Builder, File, Loaded, document, iso_date
from rag.load.decode import decode
from rag.load.html import closed, feed, parse
from rag.load.writer import Writer
from rag.load.zipped import Members, attribute, local


def read(file: File) -> Loaded:
    """One document. Raises LoadError when the book is damaged, protected, or shows no text."""
    members = Members(file)
    package = _package(file, members)
    root = members.xml(package)
    facts: dict[str, str] = {}
    authors: list[str] = []
    items: dict[str, tuple[str, str, str]] = {}
    spine = []
    for element in root.iter():
        if local(element) in ("title", "date", "language") and element.text:
            facts.setdefault(local(element), element.text)
        elif local(element) == "creator":
            authors.append(element.text or "")
        elif local(element) == "item":
            name = posixpath.normpath(
                posixpath.join(posixpath.dirname(package), unquote(attribute(element, "href") or ""))
            )
            kind, roles = attribute(element, "media-type") or "", attribute(element, "properties") or ""
            items[attribute(element, "id") or ""] = (name, kind, roles)
        elif local(element) == "itemref":
            spine.append(attribute(element, "idref") or "")
    locked = _locked(members)
    builder, problems, left_out = Builder(), [], Counter[str]()
    for key in dict.fromkeys(spine):
        name, kind, roles = items.get(key, ("", "", ""))
        if "html" not in kind or "nav" in roles.split():
            continue
        if name in locked:
            raise LoadError(f"{file.id}: protected against copying (DRM); get the book without it")
        if name not in members:
            problems.append(f"chapter {name or key} is missing")
            continue
        text, _ = decode(members.read(name), f"{file.id}!/{name}")
        left_out += feed(Writer(builder), parse(closed(text), f"{file.id}!/{name}"))
    made = document(
        file,
        "epub/2",
        builder.text,
        blocks=tuple(builder.blocks),
        sections=builder.sections(),
        title=facts.get("title", ""),
        date=iso_date(facts.get("date", "")),
        author=authors,
        language=facts.get("language"),
    )
    return Loaded((made,), tuple(problems), left_out)


def _package(file: File, members: Members) -> str:
    for element in members.xml("META-INF/container.xml").iter():
        if local(element) == "rootfile" and (path := attribute(element, "full-path")):
            return path
    raise LoadError(f"{file.id}: damaged (it names no book); copy it again from where it came")


def _locked(members: Members) -> set[str]:
    """The members that only a licensed reader can open."""
    name = "META-INF/encryption.xml"
    if name not in members:
        return set()
    return {attribute(e, "URI") or "" for e in members.xml(name).iter() if local(e) == "CipherReference"}
