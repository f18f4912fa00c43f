"""What each command of `rag` does; the grammar is in `rag/__main__.py`. Every room is imported inside its command."""
