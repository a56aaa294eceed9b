"""What a simulated host looks like from outside, so that two moments can be compared."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from paddock.deploy.rehearse.host import SimulatedHost

IGNORED = (
    "var/lib/docker",  # what is in it is asked of the engine
    "var/log",
    "var/lib/containers",
    "var/cache",
    "etc/ld.so.cache",
    "var/lib/apt/lists",
    "tmp",
    "var/tmp",
)
"""Folders and files that change by themselves, or that any program may use at any time."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Files that differ from the machine that lends its system, containers, images and ports.

    A file reads ``mode size sha256``, a link ``-> target``, a folder its mode.
    """

    files: dict[str, str]
    containers: tuple[str, ...]
    images: tuple[str, ...]
    ports: tuple[str, ...]

    def differences(self, later: Snapshot) -> list[str]:
        """One line for each difference, empty if there is none."""
        lines = []
        for path in sorted(self.files.keys() | later.files.keys()):
            before, after = self.files.get(path), later.files.get(path)
            if before != after:
                lines.append(f"/{path}: {before or 'absent'} became {after or 'absent'}")
        for what in ("containers", "images", "ports"):
            old, new = set(getattr(self, what)), set(getattr(later, what))
            lines += [f"{what}: {name} is gone" for name in sorted(old - new)]
            lines += [f"{what}: {name} is new" for name in sorted(new - old)]
        return lines


def take(host: SimulatedHost) -> Snapshot:
    """The host as it is now."""
    docker = ["docker", "ps", "-a", "--format", "{{.Names}}"]
    images = ["docker", "images", "--format", "{{.Repository}}:{{.Tag}}"]
    ports = r"""cat /proc/net/tcp /proc/net/tcp6 2>/dev/null |
      sed -n 's/^ *[0-9]*: [0-9A-F]*:\([0-9A-F]\{4\}\) [0-9A-F]*:0* 0A .*/\1/p' | sort -u"""
    return Snapshot(
        files=dict(_files(host.folder)),
        containers=tuple(host.enter(docker).stdout.split()),
        images=tuple(host.enter(images).stdout.split()),
        ports=tuple(str(int(p, 16)) for p in host.enter(["sh", "-c", ports]).stdout.split()),
    )


def _files(folder: Path) -> Iterator[tuple[str, str]]:
    for top in (folder / "tree", folder / "upper"):
        for parent, folders, files in os.walk(top):
            here = Path(parent).relative_to(top)
            folders[:] = sorted(name for name in folders if str(here / name) not in IGNORED)
            for name in (*folders, *files):
                path = Path(parent, name)
                if str(here / name) in IGNORED:
                    continue
                if top.name == "tree" and _overlaid(here / name, folder):
                    continue
                yield str(here / name), _told(path)


def _overlaid(path: Path, folder: Path) -> bool:
    """Whether the tree's own folder lies below an overlay, where nobody sees it."""
    return (folder / "upper" / path).is_dir()


def _told(path: Path) -> str:
    seen = path.lstat()
    if stat.S_ISLNK(seen.st_mode):
        return f"-> {path.readlink()}"
    if stat.S_ISREG(seen.st_mode):
        digest = hashlib.sha256(path.read_bytes()).hexdigest()[:16]
        return f"{stat.S_IMODE(seen.st_mode):o} {seen.st_size} {digest}"
    if stat.S_ISCHR(seen.st_mode) and seen.st_rdev == 0:
        return "removed"  # how overlayfs marks what was deleted
    return f"{stat.S_IFMT(seen.st_mode):o} {stat.S_IMODE(seen.st_mode):o}"
