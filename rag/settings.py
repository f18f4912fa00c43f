"""Settings: one frozen dataclass, read at the edge only. A flag beats RAG_* beats pullquote.toml; unknown keys fail."""

from __future__ import annotations

import dataclasses
import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from rag.errors import BadInput

FILE = "pullquote.toml"


@dataclass(frozen=True, slots=True)
class Settings:
    """Every choice that a deployment can make. The name of a field is its key in pullquote.toml and, in capitals
    after `RAG_`, its environment variable; a list is written with commas there."""

    index: str = "index"
    cache: str = ""  # "": the user's cache folder
    data: str = ""  # a folder in the layout that `rag evaluate` and `rag train` read
    model: str = "sentence-transformers/all-MiniLM-L6-v2"
    reader: str = "shipped"  # "shipped", "overlap", a reader folder or a pulled model
    threshold: float | None = None  # None: the calibrated one
    read_passages: int = 10
    threads: int = 0  # 0: every core
    ocr: str = ""  # languages of tesseract ("eng", "eng+deu") that scanned pages are read in; "": not at all
    host: str = "127.0.0.1"
    port: int = 7860
    allowed_hosts: tuple[str, ...] = ("127.0.0.1", "localhost", "[::1]")
    login: tuple[str, ...] = ()  # "keys" (rag keys), "header" (a signed token), "oidc", "tickets"; (): anyone
    keys: str = ""  # the file of API keys; "": keys.sqlite in the index folder
    identity_header: str = "authorization"  # where the reverse proxy puts the signed token (JWT)
    identity_key: str = ""  # who signs it: a PEM public key, a JWKS file or a JWKS https:// address
    identity_algorithms: tuple[str, ...] = ("RS256", "ES256", "EdDSA")
    identity_audience: str = ""
    identity_issuer: str = ""  # "": any, as the key decides
    identity_user: str = "sub"  # the claim that names the user
    identity_groups: str = "groups"  # the claim that lists the user's groups
    oidc_issuer: str = ""  # https://… of the OpenID Connect provider where people sign in (login "oidc")
    oidc_client: str = ""  # the client id there
    oidc_secret: str = ""  # its secret; set RAG_OIDC_SECRET rather than writing it down
    oidc_scope: str = "openid email profile"
    public_url: str = ""  # https://… as browsers know this server; for login "oidc" and "tickets"
    session_secret: str = ""  # 32 characters or more that sign the sessions; of every process the same
    session_hours: int = 8
    admin_groups: tuple[str, ...] = ()  # groups whose members may remove documents and read the metrics
    portal_origins: tuple[str, ...] = ()  # https://… pages that may frame the chat and call the API
    requests_per_minute: int = 600  # of one identity; 0: no limit
    at_once: int = 4  # API questions that are answered at the same time
    waiting: int = 64  # API questions that may wait; more are turned away with 503
    hsts: int = 0  # seconds of Strict-Transport-Security; set it (31536000) behind TLS
    request_log: str = ""  # a file of JSON lines, one a request, without question texts; "": none
    audit_log: str = ""  # a file of JSON lines: who asked, uploaded, removed and rated; "": none
    audit_questions: int = 0  # 1: the audit log holds the questions too
    state: str = ""  # the file of conversations, feedback and who owns an upload; "": with the index
    uploads: str = ""  # where uploaded files are kept; "": uploads/ in the index folder
    upload_bytes: int = 50_000_000  # of one file; 0: nobody may upload
    upload_quota: int = 1_000_000_000  # bytes of files that one user may keep
    title: str = "Pullquote"
    examples: tuple[str, ...] = ()  # questions that the empty page offers; (): made from the documents' headings

    @property
    def models(self) -> Path:
        """The folder of prepared models."""
        cache = self.cache or os.path.join(os.environ.get("XDG_CACHE_HOME") or "~/.cache", "pullquote")
        return Path(cache).expanduser() / "models"

    @property
    def cores(self) -> int:
        """Threads for models and vector search."""
        if self.threads:
            return self.threads
        return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1

    @classmethod
    def load(
        cls, flags: Mapping[str, Any] | None = None, environ: Mapping[str, str] | None = None, file: str | Path = FILE
    ) -> Self:
        """Read all three places. Raises BadInput on an unknown key, a wrong type or a file that is not TOML."""
        environ = os.environ if environ is None else environ
        path = Path(file)
        try:
            written = tomllib.loads(path.read_text("utf-8")) if path.is_file() else {}
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise BadInput(f"{path}: {error}; correct the file or remove it") from None
        named = {key[4:].lower(): value for key, value in environ.items() if key.startswith("RAG_")}
        given = {key: value for key, value in (flags or {}).items() if value is not None}
        values: dict[str, Any] = {}
        for place, source in ((str(path), written), ("environment RAG_*", named), ("command line", given)):
            for key, value in source.items():
                values[key] = _typed(place, key, value)
        return cls(**values)


_FIELDS = {field.name: field for field in dataclasses.fields(Settings)}


def _typed(place: str, key: str, value: Any) -> Any:
    """`value` as the type of the field `key`; strings from the environment are converted."""
    if key not in _FIELDS:
        raise BadInput(f"{place}: unknown setting {key!r}; known are {', '.join(_FIELDS)}")
    kind = str(_FIELDS[key].type)
    try:
        if kind.startswith("tuple"):
            return (
                tuple(part.strip() for part in value.split(",") if part.strip())
                if isinstance(value, str)
                else tuple(map(str, value))
            )
        if kind.startswith("float"):
            return None if value in ("", None) else float(value)
        return int(value) if kind == "int" else str(value)
    except (TypeError, ValueError):
        raise BadInput(f"{place}: {key} = {value!r} is not {kind}") from None
