"""The small functions that MindFormers' programs import beside the model."""

from __future__ import annotations

from pathlib import Path

from paddock import settings
from paddock.errors import ModelNotFound, UsageError


def str2bool(b: str) -> bool:
    """``true`` or ``false`` in any case. Raises UsageError for anything else."""
    word = str(b).lower()
    if word not in ("true", "false"):
        raise UsageError(f"{b!r} is neither true nor false")
    return word == "true"


def get_real_rank() -> int:
    """This process's number among those that a launcher started (``RANK_ID``); 0 if alone."""
    return settings.rank()[0]


def get_last_checkpoint(checkpoint_dir: str | Path) -> str | None:
    """The most recently written ``.ckpt`` of a folder, None if it holds none.

    Raises ModelNotFound if there is no such folder.
    """
    folder = Path(checkpoint_dir)
    if not folder.is_dir():
        raise ModelNotFound(
            f"there is no folder {folder}",
            hint="sharded weights lie in rank_0, rank_1, … under one folder; name one of those",
        )
    found = sorted(folder.glob("*.ckpt"), key=lambda file: file.stat().st_mtime)
    return str(found[-1]) if found else None
