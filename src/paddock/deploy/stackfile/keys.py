"""What each key of a stack file means, read from keys.toml beside this."""

from __future__ import annotations

import importlib
import sys
from functools import lru_cache
from importlib import resources

from paddock.deploy.stackfile.model import (
    ContainerWish,
    ExtrasWish,
    HostEntry,
    Mirrors,
    PythonWish,
    ServeWish,
    SshWish,
    Stackfile,
    StackWish,
)

SECTIONS: dict[str, type] = {
    "top": Stackfile,
    "hosts": HostEntry,
    "container": ContainerWish,
    "ssh": SshWish,
    "python": PythonWish,
    "stack": StackWish,
    "serve": ServeWish,
    "extras": ExtrasWish,
    "mirrors": Mirrors,
}
"""The tables of the file, and the dataclass of each."""


@lru_cache(maxsize=1)
def meanings() -> dict[str, dict[str, str]]:
    """Section -> key -> what it means."""
    toml = importlib.import_module("tomllib" if sys.version_info >= (3, 11) else "tomli")
    path = resources.files("paddock.deploy.stackfile") / "keys.toml"
    found: dict[str, dict[str, str]] = toml.loads(path.read_text(encoding="utf-8"))
    return found
