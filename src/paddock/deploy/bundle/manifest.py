"""The manifest of a bundle: every file with its size and SHA-256, and whom the bundle is for."""

from __future__ import annotations

import datetime
import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from paddock.deploy import typed
from paddock.errors import BundleError

MANIFEST = "paddock-bundle.json"
"""The manifest's name in the bundle's folder. Where it lies, steps fetch nothing from elsewhere."""

SCHEMA = 1
"""Rises when a key changes its meaning."""

BLOCK = 2**20
"""Bytes of a file that are hashed at once."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A file of the bundle by its path below the folder. ``kind`` is its first folder's name."""

    path: str
    bytes: int
    sha256: str

    @property
    def kind(self) -> str:
        """``wheels``, ``run``, ``debs``, ``images`` or ``models``."""
        return self.path.partition("/")[0]


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a bundle holds. ``arch``, ``python`` and ``system`` are those it was made for.

    ``stack`` is ``Stack.to_dict()``, None for Paddock's own runtimes; ``model`` names the weights
    in ``models``, ``image`` the container image in ``images``; ``image_ids`` are the ids by which
    engines may know it, ``image_layers`` the SHA-256 of its layers (empty: not known).
    """

    name: str
    created: datetime.date
    arch: str
    python: str | None
    system: str
    entries: tuple[Entry, ...]
    stack: dict[str, Any] | None = None
    model: str | None = None
    image: str | None = None
    image_ids: tuple[str, ...] = ()
    image_layers: tuple[str, ...] = ()
    schema: int = field(default=SCHEMA)

    @property
    def bytes(self) -> int:
        """The size of all files."""
        return sum(entry.bytes for entry in self.entries)


@dataclass(frozen=True, slots=True)
class Fault:
    """A file that is not as the manifest says."""

    path: str
    what: str


def text(manifest: Manifest) -> str:
    """The manifest as the file that ``read`` reads."""
    import msgspec

    return msgspec.json.format(msgspec.json.encode(manifest), indent=2).decode() + "\n"


def same(found: str, manifest: Manifest) -> bool:
    """Whether a file's text is this manifest, whichever version of Paddock wrote it."""
    import msgspec

    try:
        return typed.decode(found, Manifest) == manifest
    except msgspec.MsgspecError:
        return False


def write(folder: Path, manifest: Manifest) -> None:
    """Writes the manifest, whole or not at all, and SHA256SUMS beside it for sha256sum -c."""
    sums = "".join(f"{entry.sha256}  {entry.path}\n" for entry in manifest.entries)
    for name, content in (("SHA256SUMS", sums), (MANIFEST, text(manifest))):
        part = folder / f"{name}.part"
        part.write_text(content, encoding="utf-8")
        part.replace(folder / name)


def read(folder: Path) -> Manifest:
    """The manifest of a bundle. Raises BundleError for a folder that is none."""
    import msgspec

    try:
        found = typed.decode((folder / MANIFEST).read_bytes(), Manifest)
    except OSError as error:
        raise BundleError(
            f"{folder} is not a whole bundle: no {MANIFEST}: {error.strerror}",
            hint="make it with: paddock bundle create; one that was broken off goes on",
        ) from error
    except msgspec.MsgspecError as error:
        raise BundleError(f"{folder / MANIFEST} is damaged: {error}") from error
    if found.schema != SCHEMA:
        raise BundleError(
            f"the bundle has schema {found.schema}, this version reads {SCHEMA}",
            hint="use the version of paddock that made it, or make it again",
        )
    for entry in found.entries:
        if entry.path.startswith("/") or ".." in Path(entry.path).parts:
            raise BundleError(f"the manifest names a file outside the bundle: {entry.path!r}")
    return found


def files(folder: Path) -> Iterator[str]:
    """The files that belong to a bundle, by their paths below it, in order."""
    kinds = ("wheels", "run", "debs", "images", "models")
    for kind in kinds:
        for path in sorted((folder / kind).rglob("*")):
            if path.is_file() and not path.name.endswith(".part"):
                yield path.relative_to(folder).as_posix()


def entry(folder: Path, path: str) -> Entry:
    """A file with its size and SHA-256."""
    digest = hashlib.sha256()
    size = 0
    with (folder / path).open("rb") as stream:
        while block := stream.read(BLOCK):
            digest.update(block)
            size += len(block)
    return Entry(path, size, digest.hexdigest())


def verify(folder: Path, *, progress: Callable[[str], None] = lambda _: None) -> tuple[Fault, ...]:
    """Every file that is damaged, missing or not listed; ``progress`` gets each path before.

    Raises BundleError for a folder that is no bundle.
    """
    manifest = read(folder)
    faults = []
    for wanted in manifest.entries:
        progress(wanted.path)
        path = folder / wanted.path
        if not path.is_file():
            faults.append(Fault(wanted.path, "is missing"))
            continue
        size = path.stat().st_size
        if size != wanted.bytes:
            faults.append(Fault(wanted.path, f"has {size} bytes instead of {wanted.bytes}"))
        elif entry(folder, wanted.path).sha256 != wanted.sha256:
            faults.append(Fault(wanted.path, "has another SHA-256: its content was changed"))
    listed = {wanted.path for wanted in manifest.entries}
    faults += [
        Fault(path, "is not in the manifest") for path in files(folder) if path not in listed
    ]
    return tuple(faults)
