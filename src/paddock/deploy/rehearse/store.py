"""Container images for simulated hosts: imported once, then shared by hard links."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from paddock.errors import RehearsalError
from paddock.shell import LocalRunner

# An engine never changes the files of an image's layers, so that those may be links; whatever else
# is in its folder (its databases) is copied.
_COPY = r"""
set -eu
mkdir -p "$2"
for part in "$1"/*; do
  case ${part##*/} in
  overlay2) cp -al "$part" "$2/" 2>/dev/null || cp -a "$part" "$2/" ;;
  *) cp -a "$part" "$2/" ;;
  esac
done
"""


def copy(template: Path, data_root: Path) -> None:
    """Fills an engine's data root with the images of ``template``; takes hardly any space."""
    argv = ["sh", "-c", _COPY, "sh", str(template), str(data_root)]
    output = LocalRunner().run(argv, timeout=300)
    if not output.ok:
        raise RehearsalError(f"cannot copy the images: {output.stderr.strip()[-300:]}")


def template(images: Mapping[str, Path], folder: Path) -> Path:
    """An engine's data root below ``folder`` that holds ``images`` (by name: a root file system
    as a tar file), made only if it is not there. Raises RehearsalError.
    """
    from paddock.deploy.rehearse import model  # both stand on this module
    from paddock.deploy.rehearse.site import Site

    key = hashlib.sha256("\n".join(f"{n} {p.name}" for n, p in sorted(images.items())).encode())
    made = folder / f"engine-{key.hexdigest()[:12]}"
    if made.exists():
        return made
    with Site(folder / f"making-{os.getpid()}") as site:
        host = site.add(model.load("cpu"), "images")
        for name, tar in images.items():
            there = host.folder / "tree" / "tmp" / "image.tar"
            there.unlink(missing_ok=True)
            try:
                there.hardlink_to(tar)
            except OSError:  # another file system
                shutil.copy(tar, there)
            argv = ["docker", "import", "--change", 'CMD ["bash"]', "/tmp/image.tar", name]  # noqa: S108 - in the host
            output = host.enter(argv, timeout=300)
            if not output.ok:
                raise RehearsalError(f"cannot import {tar}: {output.stderr.strip()}")
        stopped = host.enter(["/usr/local/sbin/service-docker", "stop"], timeout=60)
        if not stopped.ok:
            raise RehearsalError(f"the engine does not stop: {stopped.stderr.strip()}")
        try:
            (host.folder / "tree/var/lib/docker").rename(made)
        except OSError as error:  # somebody else was quicker
            if not made.exists():
                raise RehearsalError(f"cannot keep the images: {error.strerror}") from error
    return made
