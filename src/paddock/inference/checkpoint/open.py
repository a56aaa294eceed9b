"""Opens weight files of any format: decides which one a path holds."""

from __future__ import annotations

from pathlib import Path

from paddock.errors import CheckpointError, ModelNotFound
from paddock.inference.checkpoint.base import Checkpoint
from paddock.inference.checkpoint.config import ModelConfig
from paddock.inference.checkpoint.reader import Reader

PREFERENCE = {
    "hf": "*.safetensors",
    "meta": "consolidated.*.pth",
    "mindspore": "*.ckpt",
    "gguf": "*.gguf",
}
"""Formats in the order in which a folder that holds several is read, and what shows each.

Safetensors first, because nothing has to be merged, reordered or dequantized; GGUF last, because
it may be the quantized copy of what lies beside it.
"""
_SUFFIXES = {".safetensors": "hf", ".pth": "meta", ".ckpt": "mindspore", ".gguf": "gguf"}


def open_checkpoint(path: str | Path, *, config: ModelConfig | None = None) -> Checkpoint:
    """The checkpoint at ``path``, a folder or one file; reads headers only.

    ``config`` stands in for the configuration that would be read beside the files (GGUF carries
    its own and ignores it). Raises ModelNotFound where nothing is found, naming what was looked
    for, and CheckpointError for files that cannot be read.
    """
    return open_reader(path, config=config)


def open_reader(path: str | Path, *, config: ModelConfig | None = None) -> Reader:
    """``open_checkpoint`` for this package, which asks headers for more than the seam offers."""
    path = Path(path)
    format = detect(path)
    # Late: one format's library must not be needed for another's files.
    if format == "hf":
        from paddock.inference.checkpoint.formats.packed import PackedCheckpoint, holds_packed

        if holds_packed(path):
            return PackedCheckpoint(path, config)
        from paddock.inference.checkpoint.formats.hf import HfCheckpoint

        return HfCheckpoint(path, config)
    if format == "meta":
        from paddock.inference.checkpoint.formats.meta import MetaCheckpoint

        return MetaCheckpoint(path, config)
    if format == "mindspore":
        from paddock.inference.checkpoint.formats.mindspore import MindSporeCheckpoint

        return MindSporeCheckpoint(path, config)
    from paddock.inference.checkpoint.formats.gguf import GgufCheckpoint

    return GgufCheckpoint(_one_gguf(path))


def detect(path: Path) -> str:
    """Which format ``path`` holds, by names alone. Raises ModelNotFound."""
    try:
        is_folder, is_file = path.is_dir(), path.is_file()
    except (OSError, ValueError) as error:
        raise ModelNotFound(f"{path} cannot be looked at: {error}") from error
    if is_file:
        if path.suffix in _SUFFIXES:
            return _SUFFIXES[path.suffix]
        if path.name.endswith(".safetensors.index.json"):
            raise CheckpointError(f"{path} is an index", hint=f"open its folder, {path.parent}")
        raise CheckpointError(
            f"{path} is no weight file that is known here",
            hint=f"known are {', '.join(_SUFFIXES)} and folders that hold them",
        )
    if not is_folder:
        raise ModelNotFound(f"{path} does not exist")
    for format, pattern in PREFERENCE.items():
        if any(path.glob(pattern)) or (
            format == "hf" and (path / "model.safetensors.index.json").is_file()
        ):
            return format
    pickles = sorted(file.name for file in path.glob("pytorch_model*.bin"))
    raise ModelNotFound(
        f"{path} holds no weights; looked for {', '.join(PREFERENCE.values())}",
        hint=f"{pickles[0]} is not read; get the safetensors of the same model"
        if pickles
        else None,
    )


def _one_gguf(path: Path) -> Path:
    if path.is_file():
        return path
    found = sorted(path.glob("*.gguf"))
    if len(found) > 1:
        raise ModelNotFound(
            f"{path} has {len(found)} GGUF files: {', '.join(file.name for file in found)}",
            hint="name the one to open",
        )
    return found[0]
