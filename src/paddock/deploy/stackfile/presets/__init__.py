"""Stack files of known machines, kept as data beside this."""

from __future__ import annotations

from importlib import resources
from typing import Any

from paddock.deploy.stackfile import document
from paddock.errors import UsageError, nearest


def names() -> tuple[str, ...]:
    """Every preset there is."""
    folder = resources.files("paddock.deploy.stackfile.presets")
    return tuple(sorted(f.name[:-5] for f in folder.iterdir() if f.name.endswith(".yaml")))


def text(name: str) -> str:
    """A preset as its author wrote it, with comments. Raises UsageError for an unknown name."""
    known = names()
    if name not in known:
        raise UsageError(
            f"there is no preset {name!r}{nearest(name, known)}",
            hint=f"known are {', '.join(known)}",
        )
    folder = resources.files("paddock.deploy.stackfile.presets")
    return (folder / f"{name}.yaml").read_text(encoding="utf-8")


def read(name: str) -> dict[str, Any]:
    """What a preset sets. Raises UsageError for an unknown name."""
    return document.parse(text(name), f"preset {name}").values
