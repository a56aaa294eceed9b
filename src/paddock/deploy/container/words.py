"""How a person writes mounts, ports and sizes, and what is meant."""

from __future__ import annotations

import re

from paddock.deploy.container.spec import Mount, Published
from paddock.errors import UsageError

_UNITS = {"": 1, "k": 2**10, "m": 2**20, "g": 2**30, "t": 2**40}


def size(text: str, where: str) -> int:
    """Bytes of ``64m``, ``128G`` or ``16GiB``: powers of 1024, as the engines read them."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([kmgt]?)(?:i?b)?", text.strip().lower())
    if match is None or not float(match[1]):
        raise UsageError(
            f"{where} is {text!r}, which is not a size", hint="write it as 64M, 16G or 128G"
        )
    return int(float(match[1]) * _UNITS[match[2]])


def mount(text: str, home: str | None) -> Mount:
    """``SOURCE:TARGET[:ro]``; ``~`` is ``home``. Raises UsageError for anything else."""
    source, colon, rest = text.partition(":")
    target, _, mode = rest.partition(":")
    if source == "~" or source.startswith("~/"):
        if home is None:
            raise UsageError(
                f"the mount {text!r} needs the home folder, and the host did not tell it",
                hint="write the whole path",
            )
        source = home.rstrip("/") + source[1:]
    if not colon or not target.startswith("/") or mode not in ("", "ro", "rw"):
        raise UsageError(
            f"the mount {text!r} is not SOURCE:TARGET or SOURCE:TARGET:ro",
            hint="TARGET is the path in the container and starts with /",
        )
    if not source.startswith("/"):
        raise UsageError(
            f"the mount {text!r} has the relative source {source!r}",
            hint="write the whole path on the host, or ~/...",
        )
    return Mount(source.rstrip("/") or "/", target.rstrip("/") or "/", mode == "ro")


def port(text: str) -> Published:
    """``HOST:CONTAINER``, ``ADDRESS:HOST:CONTAINER`` or one number for both; TCP."""
    match = re.fullmatch(r"(?:(?:(\[[0-9a-fA-F:]+\]|[\d.]+):)?(\d+):)?(\d+)(?:/tcp)?", text.strip())
    if match is None:
        raise UsageError(
            f"the port {text!r} is not [ADDRESS:]HOST:CONTAINER",
            hint="223:223, or 127.0.0.1:8000:8000 for programs on the host only",
        )
    found = Published(int(match[2] or match[3]), int(match[3]), (match[1] or "").strip("[]"))
    for number in (found.host, found.container):
        if not 0 < number < 65536:
            raise UsageError(f"the port {text!r} has {number}, and ports go from 1 to 65535")
    return found
