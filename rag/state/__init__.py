"""What people leave behind: conversations, feedback, and who owns an upload, beside the index: SQLite or PostgreSQL.

Who may see what:
- A conversation belongs to one user (`Identity.user`); every method takes that user, and what is another's is NotFound,
  in the same words as what does not exist. Nobody else reads it, administrators included.
- One turn that its owner shared may be read by whoever has its id. The caller still owes the reader's own access:
  `rag.readable` decides which citations they see (`rag.web.conversations` does so).
- Feedback is read by reviewers (scope `admin`) together with the question and answer it is about: the page says so.
- An upload belongs to one user; `groups` is who else may read it: () nobody, None everyone. Its documents are kept from
  others by the groups that they carry in the index, not here.

Times are ISO 8601 in UTC. Ids are 128 random bits. An Answer is kept whole, as the JSON that left the engine.
"""

from __future__ import annotations

import datetime
import json
import secrets
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from rag.errors import BadInput, NotFound
from rag.settings import Settings
from rag.state.database import FILE, Database, Run, database
from rag.state.values import REASONS, Conversation, Feedback, SavedTurn, Upload, without

__all__ = ["FILE", "REASONS", "Conversation", "Feedback", "SavedTurn", "State", "Upload", "without"]

TITLE = 80  # characters of the question that a new conversation is called by
_SCHEMA = (
    """CREATE TABLE IF NOT EXISTS conversations(id TEXT PRIMARY KEY, owner TEXT NOT NULL, title TEXT NOT NULL,
    created TEXT NOT NULL, updated TEXT NOT NULL)""",
    "CREATE INDEX IF NOT EXISTS conversations_owner ON conversations(owner, updated)",
    """CREATE TABLE IF NOT EXISTS turns(id TEXT PRIMARY KEY, conversation TEXT NOT NULL REFERENCES conversations(id)
    ON DELETE CASCADE, number INTEGER NOT NULL, question TEXT NOT NULL, filters TEXT NOT NULL, asked TEXT NOT NULL,
    state TEXT NOT NULL, answer TEXT, problem TEXT NOT NULL, shared INTEGER NOT NULL, UNIQUE(conversation, number))""",
    """CREATE TABLE IF NOT EXISTS feedback(turn TEXT NOT NULL REFERENCES turns(id) ON DELETE CASCADE,
    owner TEXT NOT NULL, good INTEGER NOT NULL, reason TEXT NOT NULL, comment TEXT NOT NULL, given TEXT NOT NULL,
    PRIMARY KEY(turn, owner))""",
    """CREATE TABLE IF NOT EXISTS uploads(id TEXT PRIMARY KEY, owner TEXT NOT NULL, name TEXT NOT NULL,
    size INTEGER NOT NULL, groups TEXT NOT NULL, created TEXT NOT NULL)""",
)


class State:
    """The open state; safe from several threads and processes. `State.open` makes one."""

    def __init__(self, database: Database) -> None:
        self._db = database
        with self._db.writing() as run:
            for statement in _SCHEMA:
                run(statement)

    @classmethod
    def open(cls, settings: Settings) -> State:
        """The state of the configured index. Raises BadInput when it cannot be written."""
        return cls(database(settings))

    @classmethod
    def of(cls, settings: Settings) -> State | None:
        """The state of the configured index, when anything was left behind there."""
        return None if (file := getattr(database(settings), "file", None)) and not file.exists() else cls.open(settings)

    # ── conversations ────────────────────────────────────────────────────────────────────────────────────────────

    def conversations(self, owner: str, search: str = "", limit: int = 200) -> list[Conversation]:
        """A user's conversations, the latest first; `search` is looked for in titles and questions, whatever case."""
        with self._db.reading() as run:
            rows = run(f"{_CONVERSATION} WHERE owner = ? ORDER BY updated DESC, id", (owner,))
            sought = search.casefold().strip()
            if sought:
                asked = run(
                    "SELECT t.conversation, t.question FROM turns t JOIN conversations c ON c.id = t.conversation"
                    " WHERE c.owner = ?",
                    (owner,),
                )
                found = {conversation for conversation, question in asked if sought in question.casefold()}
                rows = [row for row in rows if row[0] in found or sought in row[1].casefold()]
        return [Conversation(*row) for row in rows[:limit]]

    def conversation(self, owner: str, conversation: str) -> Conversation:
        """One of the user's conversations. Raises NotFound."""
        with self._db.reading() as run:
            return _own(run, owner, conversation)

    def turns(self, owner: str, conversation: str, last: int = 500) -> list[SavedTurn]:
        """The turns of a conversation, oldest first. Raises NotFound."""
        with self._db.reading() as run:
            _own(run, owner, conversation)
            rows = run(f"{_TURN} WHERE conversation = ? ORDER BY number DESC LIMIT ?", (conversation, last))
        return [_turn(row) for row in reversed(rows)]

    def turn(self, owner: str, turn: str) -> SavedTurn:
        """A turn of the user's own, or one that was shared. Raises NotFound."""
        with self._db.reading() as run:
            rows = run(f"{_TURN} WHERE id = ?", (turn,))
            if rows and (rows[0][-1] or _owns(run, owner, rows[0][1])):
                return _turn(rows[0])
        raise NotFound(f"there is no answer {turn!r}; it may have been deleted")

    def owns(self, owner: str, turn: SavedTurn) -> bool:
        """Whether the turn is of the user's own."""
        with self._db.reading() as run:
            return _owns(run, owner, turn.conversation)

    def rename(self, owner: str, conversation: str, title: str) -> None:
        """Give a conversation another title. Raises NotFound, BadInput."""
        title = " ".join(title.split())
        if not 0 < len(title) <= 200:
            raise BadInput("a title has 1 to 200 characters")
        with self._db.writing() as run:
            _own(run, owner, conversation)
            run("UPDATE conversations SET title = ? WHERE id = ?", (title, conversation))

    def delete(self, owner: str, conversation: str) -> None:
        """Delete a conversation with its turns and their feedback. Raises NotFound."""
        with self._db.writing() as run:
            _own(run, owner, conversation)
            run("DELETE FROM conversations WHERE id = ?", (conversation,))

    # ── turns ────────────────────────────────────────────────────────────────────────────────────────────────────

    def begin(
        self, owner: str, conversation: str | None, question: str, filters: Mapping[str, Any] | None = None
    ) -> SavedTurn:
        """A question was asked: a pending turn, in a new conversation when none is named. Raises NotFound."""
        now, turn = _now(), secrets.token_hex(16)
        with self._db.writing() as run:
            if conversation is None:
                conversation, title = secrets.token_hex(16), " ".join(question.split())
                title = title if len(title) <= TITLE else f"{title[: TITLE - 1].rstrip()}…"
                run("INSERT INTO conversations VALUES(?, ?, ?, ?, ?)", (conversation, owner, title, now, now))
            else:
                _own(run, owner, conversation)
                run("UPDATE conversations SET updated = ? WHERE id = ?", (now, conversation))
            ((number,),) = run("SELECT coalesce(max(number), 0) + 1 FROM turns WHERE conversation = ?", (conversation,))
            row = (turn, conversation, number, question, json.dumps(dict(filters or {})), now, "pending", None, "", 0)
            run("INSERT INTO turns VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", row)
        return _turn(row)

    def finish(self, turn: str, answer: Mapping[str, Any] | None = None, problem: str = "") -> bool:
        """Keep what became of a pending turn; False when it was stopped or deleted meanwhile."""
        written = None if answer is None else json.dumps(answer, ensure_ascii=False)
        with self._db.writing() as run:
            if not run("SELECT 1 FROM turns WHERE id = ? AND state = 'pending'", (turn,)):
                return False
            state = "failed" if answer is None else "done"
            run("UPDATE turns SET state = ?, answer = ?, problem = ? WHERE id = ?", (state, written, problem, turn))
        return True

    def stop(self, owner: str, turn: str) -> None:
        """The user does not want the answer any more. Raises NotFound."""
        with self._db.writing() as run:
            _own_turn(run, owner, turn)
            run("UPDATE turns SET state = 'stopped' WHERE id = ? AND state = 'pending'", (turn,))

    def interrupted(self, problem: str) -> int:
        """The program starts: turns that its end left pending failed for this reason; how many."""
        with self._db.writing() as run:
            ((count,),) = run("SELECT count(*) FROM turns WHERE state = 'pending'")
            run("UPDATE turns SET state = 'failed', problem = ? WHERE state = 'pending'", (problem,))
        return count

    def share(self, owner: str, turn: str, shared: bool = True) -> None:
        """Let whoever has its id read a turn, or no longer. Raises NotFound."""
        with self._db.writing() as run:
            _own_turn(run, owner, turn)
            run("UPDATE turns SET shared = ? WHERE id = ?", (int(shared), turn))

    # ── feedback ─────────────────────────────────────────────────────────────────────────────────────────────────

    def rate(self, owner: str, turn: str, good: bool, reason: str = "", comment: str = "") -> None:
        """Keep what the user thinks of an answer, in the place of an earlier view. Raises BadInput, NotFound."""
        if reason not in ("", *REASONS) or bool(reason) == good or len(comment) > 2_000:
            raise BadInput(f"feedback is good, or one of {', '.join(REASONS)}; a comment has at most 2,000 characters")
        with self._db.writing() as run:
            _own_turn(run, owner, turn)
            run("DELETE FROM feedback WHERE turn = ? AND owner = ?", (turn, owner))
            row = (turn, owner, int(good), reason, comment.strip(), _now())
            run("INSERT INTO feedback VALUES(?, ?, ?, ?, ?, ?)", row)

    def rating(self, owner: str, turns: Collection[str]) -> dict[str, tuple[bool, str]]:
        """(good, reason) of the turns among these that the user rated."""
        with self._db.reading() as run:
            rows = run("SELECT turn, good, reason FROM feedback WHERE owner = ?", (owner,))
        return {turn: (bool(good), reason) for turn, good, reason in rows if turn in turns}

    def feedback(self) -> list[Feedback]:
        """All feedback, oldest first: for reviewers."""
        with self._db.reading() as run:
            rows = run("SELECT turn, owner, good, reason, comment, given FROM feedback ORDER BY given, turn")
            turns = {row[0]: _turn(run(f"{_TURN} WHERE id = ?", (row[0],))[0]) for row in rows}
        return [Feedback(turns[turn], owner, bool(good), *rest) for turn, owner, good, *rest in rows]

    # ── documents that were quoted and are removed ───────────────────────────────────────────────────────────────

    def quoting(self, documents: Collection[str]) -> int:
        """How many saved answers quote or show any of these documents."""
        with self._db.reading() as run:
            return sum(1 for _ in _holding(run, frozenset(documents)))

    def forget(self, documents: Collection[str]) -> int:
        """Take every word of these documents out of the saved answers; in how many. Where each stood is kept."""
        with self._db.writing() as run:
            found = list(_holding(run, frozenset(documents)))
            for turn, answer in found:
                written = json.dumps(without(answer, documents), ensure_ascii=False)
                run("UPDATE turns SET answer = ? WHERE id = ?", (written, turn))
        return len(found)

    # ── uploads ──────────────────────────────────────────────────────────────────────────────────────────────────

    def add_upload(self, owner: str, name: str, size: int, groups: Sequence[str] | None = ()) -> Upload:
        """A user brought a file of `size` bytes."""
        limit = None if groups is None else tuple(groups)
        upload = Upload(secrets.token_hex(16), owner, name, size, limit, _now())
        self.put_upload(upload)
        return upload

    def put_upload(self, upload: Upload) -> None:
        """Write down an upload, in place of the one of that id."""
        row = (upload.id, upload.owner, upload.name, upload.size, json.dumps(upload.groups), upload.created)
        with self._db.writing() as run:
            run("DELETE FROM uploads WHERE id = ?", (upload.id,))
            run("INSERT INTO uploads VALUES(?, ?, ?, ?, ?, ?)", row)

    def uploads(self, owner: str | None = None) -> list[Upload]:
        """The uploads of a user (None: of all, for the program itself), oldest first."""
        with self._db.reading() as run:
            rows = run("SELECT id, owner, name, size, groups, created FROM uploads ORDER BY created, id")
        return [_upload(row) for row in rows if owner in (None, row[1])]

    def upload(self, owner: str, upload: str) -> Upload:
        """One of the user's uploads. Raises NotFound."""
        found = next((one for one in self.uploads(owner) if one.id == upload), None)
        if found is None:
            raise NotFound(f"there is no upload {upload!r}; it may have been removed")
        return found

    def share_upload(self, owner: str, upload: str, groups: Sequence[str] | None) -> None:
        """Say who besides the owner may read an upload. Raises NotFound."""
        self.upload(owner, upload)
        with self._db.writing() as run:
            run("UPDATE uploads SET groups = ? WHERE id = ?", (json.dumps(groups), upload))

    def remove_upload(self, owner: str, upload: str) -> None:
        """Forget an upload. Raises NotFound."""
        self.upload(owner, upload)
        with self._db.writing() as run:
            run("DELETE FROM uploads WHERE id = ?", (upload,))


_CONVERSATION = (
    "SELECT id, title, created, updated, (SELECT count(*) FROM turns WHERE conversation = conversations.id)"
    " FROM conversations"
)
_TURN = "SELECT id, conversation, number, question, filters, asked, state, answer, problem, shared FROM turns"


def _own(run: Run, owner: str, conversation: str) -> Conversation:
    rows = run(f"{_CONVERSATION} WHERE id = ? AND owner = ?", (conversation, owner))
    if not rows:
        raise NotFound(f"there is no conversation {conversation!r}; it may have been deleted")
    return Conversation(*rows[0])


def _owns(run: Run, owner: str, conversation: str) -> bool:
    return bool(run("SELECT 1 FROM conversations WHERE id = ? AND owner = ?", (conversation, owner)))


def _own_turn(run: Run, owner: str, turn: str) -> None:
    rows = run("SELECT conversation FROM turns WHERE id = ?", (turn,))
    if not rows or not _owns(run, owner, rows[0][0]):
        raise NotFound(f"there is no answer {turn!r}; it may have been deleted")


def _holding(run: Run, documents: Collection[str]) -> Iterator[tuple[str, dict[str, Any]]]:
    """(turn, answer) of the saved answers that hold words of these documents."""
    for turn, written in run("SELECT id, answer FROM turns WHERE answer IS NOT NULL"):
        answer = json.loads(written)
        cited = (c["document_id"] for c in answer["citations"] if c["quote"])
        if not frozenset(documents).isdisjoint((*cited, *(n["document_id"] for n in answer["nearest"]))):
            yield turn, answer


def _turn(row: Sequence[Any]) -> SavedTurn:
    turn, conversation, number, question, filters, asked, state, answer, problem, shared = row
    found = None if answer is None else json.loads(answer)
    return SavedTurn(
        turn, conversation, number, question, json.loads(filters), asked, state, found, problem, bool(shared)
    )


def _upload(row: Sequence[Any]) -> Upload:
    upload, owner, name, size, groups, created = row
    limit = json.loads(groups)
    return Upload(upload, owner, name, size, None if limit is None else tuple(limit), created)


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="microseconds")
