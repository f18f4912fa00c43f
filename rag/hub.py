"""`rag models pull`, the only command that goes on line: safetensors only, never code. Door of huggingface_hub."""

from __future__ import annotations

from pathlib import Path

from rag.errors import ModelError

_WANTED = ["*.json", "*.txt", "*.model", "model*.safetensors", "*/config.json", "*/model.safetensors"]


def pull(name: str, models: Path) -> Path:
    """Download a model repository into the cache; its folder."""
    import huggingface_hub

    target = models / "hub" / name.replace("/", "--")
    try:
        huggingface_hub.snapshot_download(name, local_dir=target, allow_patterns=_WANTED)
    except Exception as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ModelError(f"model {name} could not be pulled: {reason}") from None
    if not any(target.rglob("*.safetensors")):
        raise ModelError(f"model {name} has no safetensors weights; choose another")
    return target
