"""A bundle on its way to a host: where it is here, where it goes there, which of it is needed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from paddock.deploy.bundle import images
from paddock.deploy.bundle import manifest as manifests
from paddock.deploy.bundle.manifest import MANIFEST, Entry, Manifest
from paddock.deploy.step import Machine
from paddock.errors import BundleError, UsageError


@dataclass(frozen=True, slots=True)
class Source:
    """The bundle that a deployment is installed from: its folder here, what it holds.

    ``to`` is the folder that hosts get it in, None for one below the deployment's own there.
    """

    folder: str
    manifest: Manifest
    to: str | None = None


@dataclass(frozen=True, slots=True)
class Placed:
    """A bundle on one host: ``place`` is its folder there.

    ``sends`` tells whether Paddock sees to it that its files are there; it does not where the host
    is this machine and the bundle stays where it is. ``theirs``: a copy that somebody else put
    there, which Paddock may mend and does not remove.
    """

    source: str
    place: str
    manifest: Manifest
    sends: bool = True
    theirs: bool = False

    @property
    def archive(self) -> Entry | None:
        """The container's image; it is sent only to an engine that has not got it."""
        if self.manifest.image is None:
            return None
        path = images.archive(self.manifest.image)
        return next((each for each in self.manifest.entries if each.path == path), None)

    def needed(self, model: str | None) -> tuple[Entry, ...]:
        """The files that a host's steps read; ``model`` is the path of its model there."""
        weights = model is not None and model.startswith(f"{self.place}/models/")
        return tuple(
            each
            for each in self.manifest.entries
            if each.kind in ("wheels", "run", "debs") or (each.kind == "models" and weights)
        )


def source(folder: Path, to: str | None = None) -> Source:
    """The bundle in ``folder``. Raises BundleError for none, UsageError for a ``to`` like ``a/b``.

    Its files are not compared with its manifest; see ``verify``.
    """
    if to is not None and (not to.startswith("/") or ".." in Path(to).parts):
        raise UsageError(
            f"{to!r} is no place for the bundle on a host", hint="give an absolute path"
        )
    return Source(str(folder), manifests.read(folder), to and str(Path(to)))


def placed(found: Source, machine: Machine, *, arch: str | None, local: bool) -> Placed:
    """Where a host has the bundle or gets it: ``to``, else where it is here if a copy lies there
    under the same path (a shared folder), else below Paddock's folder there.

    ``arch`` is the host's processor. Raises BundleError where the bundle is for another.
    """
    if arch != found.manifest.arch:
        raise BundleError(
            f"the bundle {found.folder} is for {found.manifest.arch}, {machine.target} is"
            f" {arch or 'of a processor that is not known'}",
            hint="make one for each processor, and name the hosts of each with --limit",
        )
    if local and found.to in (None, found.folder):
        return Placed(found.folder, found.folder, found.manifest, sends=False)
    if found.to is None and _copy(found, machine):
        return Placed(found.folder, found.folder, found.manifest, theirs=True)
    place = found.to or f"{machine.folder}/bundle"
    return Placed(found.folder, place, found.manifest)


def _copy(found: Source, machine: Machine) -> bool:
    """Whether this very bundle lies on that machine under the same path."""
    there = machine.run(["cat", "--", f"{found.folder}/{MANIFEST}"])
    return there.ok and manifests.same(there.stdout, found.manifest)
