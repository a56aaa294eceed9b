"""``Contents``: what goes into a bundle, decided before anything is fetched."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Wheels:
    """Distributions that are installed together: requirements or addresses, bounds, indexes.

    ``python`` is the release of the environment they are for, None for the bundle's.
    """

    requirements: tuple[str, ...]
    constraints: tuple[str, ...] = ()
    indexes: tuple[str, ...] = ()
    python: str | None = None


@dataclass(frozen=True, slots=True)
class Contents:
    """A bundle's wish.

    ``arch`` is ``uname -m``, ``python`` two numbers (``3.9``), ``glibc`` the C library's version
    there. ``system`` is ``id:codename`` of /etc/os-release. ``installers`` are names and addresses
    of .run files, looked for in ``artifacts`` first. ``packages`` are the system's, by apt.
    ``image`` is saved by ``engine``. ``weights`` is a folder here, ``model`` its name.
    """

    name: str
    arch: str
    python: str | None = None
    glibc: str | None = None
    system: str = ""
    wheels: tuple[Wheels, ...] = ()
    installers: tuple[tuple[str, str], ...] = ()
    packages: tuple[str, ...] = ()
    image: str | None = None
    engine: str | None = None
    weights: Path | None = None
    model: str | None = None
    artifacts: Path | None = None
    index: str | None = None
    stack: dict[str, Any] | None = None


OLDEST = 17
"""The oldest glibc 2.x that wheels name for every processor (manylinux2014)."""


def platforms(arch: str, glibc: str | None) -> Iterator[str]:
    """Tags of the platforms whose wheels run there, newest first. Source: PEP 600."""
    major, _, minor = (glibc or "2.28").partition(".")
    newest = int(minor) if major == "2" and minor.isdecimal() else 28
    oldest = 5 if arch == "x86_64" else OLDEST
    for number in range(max(newest, oldest), oldest - 1, -1):
        yield f"manylinux_2_{number}_{arch}"
    yield f"manylinux2014_{arch}"
    if arch == "x86_64":
        yield from (f"manylinux2010_{arch}", f"manylinux1_{arch}")
    yield f"linux_{arch}"  # the vendor's own wheels
