"""Says a thing once per process: what is ignored here must be named, but not at every call."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterable

_said: set[str] = set()


def once(message: str) -> None:
    """Warns (UserWarning, by default on stderr) with ``message`` unless that was done before."""
    if message not in _said:
        _said.add(message)
        warnings.warn(message, UserWarning, stacklevel=_callers_level())


def ignored(where: str, keys: Iterable[str]) -> None:
    """Names in one warning those ``keys`` of ``where`` that mean nothing here, each key once."""
    new = [key for key in keys if f"{where}.{key}" not in _said]
    if new:
        _said.update(f"{where}.{key}" for key in new)
        once(
            f"{where}: {', '.join(new)}: without a meaning here and ignored"
            " (docs/guides/mindformers.md says why)"
        )


def _callers_level() -> int:
    """The ``stacklevel`` at which a warning points at the program's line and not at ours."""
    level, frame = 1, sys._getframe(1)
    while frame.f_back is not None and frame.f_globals.get("__name__", "").startswith("paddock."):
        level, frame = level + 1, frame.f_back
    return level


def forget() -> None:
    """Starts over as a new process would; for tests."""
    _said.clear()
