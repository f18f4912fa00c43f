"""The errors a user can meet. Every message names the thing and says what to do next, in one line."""


class RagError(Exception):
    """Base of all expected failures. `code` is stable: it appears in batch rows and in the API."""

    code = "error"


class BadInput(RagError):
    """What was given cannot be used: a question, a row, an option, a file."""

    code = "bad_input"


class NotFound(RagError):
    """A path, document, index or model that is named does not exist."""

    code = "not_found"


class LoadError(RagError):
    """One file could not become a Document; the rest of the folder goes on."""

    code = "unreadable"


class IndexMismatch(RagError):
    """The index was made with another model, or by a newer or damaged format."""

    code = "index_mismatch"


class ModelError(RagError):
    """A model file is missing or damaged."""

    code = "model"


class Busy(RagError):
    """Another process is writing to the index."""

    code = "busy"
