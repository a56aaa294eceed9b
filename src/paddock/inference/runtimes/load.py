"""Picks a runtime by name; a library that is missing hurts only whoever selects it."""

from __future__ import annotations

from typing import Any

from paddock.errors import MissingExtra, UsageError, nearest
from paddock.inference.checkpoint.base import Checkpoint
from paddock.inference.runtimes.base import Runtime

RUNTIMES = ("torch",)


def load_runtime(checkpoint: Checkpoint, name: str = "torch", **options: Any) -> Runtime:
    """The runtime called ``name`` with ``checkpoint`` loaded.

    ``options`` are those of that runtime's ``build``: ``device``, ``dtype``, ``max_seq_len``,
    ``max_batch``, ``cache``, ``threads``. Raises UsageError for an unknown name and MissingExtra
    where the library is not installed.
    """
    if name not in RUNTIMES:
        raise UsageError(
            f"runtime is {name!r}{nearest(name, RUNTIMES)}", hint=f"use {' or '.join(RUNTIMES)}"
        )
    try:
        import torch  # noqa: F401
    except ModuleNotFoundError as cause:
        if cause.name != "torch":
            raise
        raise MissingExtra("torch", "torch") from None
    from paddock.inference.runtimes.torch.build import build

    return build(checkpoint, **options)
