"""Contexts as files: what steps were made from when they were applied, for whoever undoes them.

A step is a pure function of its context, so that a context brings back exactly the step that was
applied, after a change of the stack file too.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from paddock.deploy import typed
from paddock.deploy.plan import private
from paddock.deploy.provision import Context
from paddock.errors import JournalError

KEPT = 16
"""Hexadecimal digits of a context's SHA-256 that name it."""


def dumps(context: Context) -> bytes:
    """A context as JSON; ``loads`` gives it back equal."""
    import msgspec

    return msgspec.json.encode(context, order="sorted")


def loads(data: bytes) -> Context:
    """The context that ``dumps`` wrote. Raises JournalError for anything else."""
    import msgspec

    try:
        return typed.decode(data, Context)
    except msgspec.MsgspecError as error:
        raise JournalError(f"this is no context of a deployment: {error}") from error


def save(folder: Path, context: Context) -> str:
    """Writes a context once; gives its name."""
    data = dumps(context)
    name = hashlib.sha256(data).hexdigest()[:KEPT]
    path = folder / f"{name}.json"
    if path.exists():
        return name
    private.write(path, data)
    return name


def load(folder: Path, name: str) -> Context:
    """The context of a name. Raises JournalError where it is gone."""
    try:
        return loads((folder / f"{name}.json").read_bytes())
    except OSError as error:
        raise JournalError(
            f"cannot read what a step was made from: {folder / name}.json: {error.strerror}",
            hint="undo it by hand; the journal says what was there before",
        ) from error


def values(context: Context) -> dict[str, Any]:
    """A context as plain JSON values."""
    import msgspec

    built: dict[str, Any] = msgspec.to_builtins(context)
    return built


def forget(folder: Path) -> None:
    """Removes all contexts: no step is left that was made from one."""
    for path in folder.glob("*.json"):
        path.unlink(missing_ok=True)
