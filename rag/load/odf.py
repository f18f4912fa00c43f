"""What ODT, ODS and ODP share: the file, its styles, the words of a paragraph, and what the file says of itself."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from xml.etree.ElementTree import Element

from rag.errors import LoadError
from rag.load.build import File, iso_date
from rag.load.zipped import Members, attribute, child, local

BOXES = frozenset("frame text-box custom-shape rect ellipse circle polygon path g".split())
_GROUPS = ("styles", "automatic-styles")
_SKIPPED = frozenset(
    "annotation annotation-end ruby-text hidden-text tracked-changes script note-citation image object".split()
)
_WHITE = re.compile(r"[ \t\r\n]+")
_SIZE = re.compile(r"([\d.]+)pt")
_TINY = 1.5  # points
_SPACES = 1000  # that one element may stand for


@dataclass(slots=True)
class Words:
    """The text of one paragraph and what hangs on it."""

    parts: list[str] = field(default_factory=list)
    bold: bool = True
    hidden: int = 0  # characters
    apart: list[Element] = field(default_factory=list)  # notes and boxes

    @property
    def text(self) -> str:
        return "\n".join(line.strip() for line in "".join(self.parts).split("\n")).strip()


class Odf:
    """An open file. Raises LoadError when it is damaged or encrypted."""

    def __init__(self, file: File) -> None:
        self.members = Members(file)
        listing = "META-INF/manifest.xml"
        if listing in self.members and b"encryption-data" in self.members.read(listing):
            raise LoadError(f"{file.id}: encrypted; save it without a password")
        content = self.members.xml("content.xml")
        roots = [self.members.xml("styles.xml")] if "styles.xml" in self.members else []
        groups = [group for root in (*roots, content) for group in root if local(group) in _GROUPS]
        every = [style for group in groups for style in group]
        self._styles = {
            (attribute(style, "family") or "", attribute(style, "name") or ""): style
            for style in every
            if local(style) == "style"
        }
        self._lists = {attribute(style, "name") or "": style for style in every if local(style) == "list-style"}
        self.outline = next((style for style in every if local(style) == "outline-style"), None)
        pages = [child(style, "page-layout-properties") for style in every if local(style) == "page-layout"]
        self.on_paper = all(_bare(_named(page)) for page in pages)
        body = child(content, "body")
        self.body = next(iter(body), None) if body is not None else None
        self._looks: dict[tuple[str, str], Mapping[str, str]] = {}

    def chain(self, family: str, name: str) -> Iterator[Element]:
        """A style, and the styles that it is based on."""
        seen = set[str]()
        while (family, name) in self._styles and name not in seen:
            seen.add(name)
            style = self._styles[family, name]
            yield style
            name = attribute(style, "parent-style-name") or ""

    def look(self, family: str, name: str | None) -> Mapping[str, str]:
        """What a style says, inherited or itself, by names without namespace."""
        key = (family, name or "")
        if key not in self._looks:
            found: dict[str, str] = {}
            for style in reversed(list(self.chain(*key))):
                for properties in style:
                    found |= _named(properties)
            self._looks[key] = found
        return self._looks[key]

    def level(self, style: str, depth: int) -> Element | None:
        """How a list of that style is numbered at `depth`, from 1."""
        return level_of(self._lists.get(style), depth)

    def words(self, paragraph: Element, on_paper: bool) -> Words:
        """What a reader sees of a paragraph or heading."""
        words = Words()
        look = self.look("paragraph", attribute(paragraph, "style-name"))
        self._walk(paragraph, look, on_paper, words)
        return words

    def _walk(self, element: Element, look: Mapping[str, str], on_paper: bool, words: Words) -> None:
        bold, hidden = look.get("font-weight") in ("bold", "600", "700", "800", "900"), unseen(look, on_paper)

        def add(text: str) -> None:
            if hidden:
                words.hidden += len(text)
            elif text:
                words.parts.append(text)
                words.bold = words.bold and (bold or not text.strip())

        add(_WHITE.sub(" ", element.text or ""))
        for inner in element:
            name = local(inner)
            if name == "s":
                count = attribute(inner, "c") or "1"
                add(" " * min(_SPACES, int(count) if count.isdecimal() else 1))
            elif name == "tab":
                add(" ")
            elif name == "line-break":
                add("\n")
            elif name == "note":
                words.apart += [part for part in inner if local(part) == "note-body"]
            elif name in BOXES:
                words.apart.append(inner)
            elif name and name not in _SKIPPED:
                own = self.look("text", attribute(inner, "style-name")) if name == "span" else {}
                self._walk(inner, {**look, **own} if own else look, on_paper, words)
            add(_WHITE.sub(" ", inner.tail or ""))

    def facts(self) -> dict[str, Any]:
        """title, date, author and language for `document`; the date is that of the last change."""
        root = self.members.xml("meta.xml") if "meta.xml" in self.members else None
        values = {local(entry): (entry.text or "").strip() for entry in root.iter()} if root is not None else {}
        return {
            "title": values.get("title", ""),
            "date": iso_date(values.get("date") or values.get("creation-date") or ""),
            "author": values.get("initial-creator") or values.get("creator"),
            "language": values.get("language"),
        }

    def problems(self) -> tuple[str, ...]:
        """A line when there are macros; listings of libraries are there without any too."""
        scripts = [name for name in self.members.names if name.startswith(("Basic/", "Scripts/"))]
        macros = any(not name.endswith(("script-lc.xml", "script-lb.xml")) for name in scripts)
        return ("it holds macros; they are neither read nor run",) if macros else ()


def level_of(style: Element | None, depth: int) -> Element | None:
    """The part of a list or outline style that says how `depth` is numbered."""
    parts = style if style is not None else ()
    return next((part for part in parts if attribute(part, "level") == str(depth)), None)


def paragraphs(element: Element) -> Iterator[Element]:
    """The paragraphs below an element, without those of comments."""
    for inner in element:
        if local(inner) in ("p", "h"):
            yield inner
        if local(inner) not in _SKIPPED:
            yield from paragraphs(inner)


def _named(element: Element | None) -> dict[str, str]:
    """Attributes by their names without namespace."""
    return {key.rpartition("}")[2]: value for key, value in element.attrib.items()} if element is not None else {}


def _bare(look: Mapping[str, str]) -> bool:
    return look.get("background-color", "transparent") == "transparent" and look.get("fill", "none") == "none"


def unseen(look: Mapping[str, str], on_paper: bool) -> bool:
    """Whether words are switched off, too small to be read, or white on nothing."""
    size = _SIZE.fullmatch(look.get("font-size", ""))
    tiny = size is not None and float(size[1]) < _TINY
    white = look.get("color", "").lower() == "#ffffff" and look.get("use-window-font-color") != "true"
    return look.get("display") == "none" or tiny or (on_paper and white and _bare(look))
