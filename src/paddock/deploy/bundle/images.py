"""The container's image as a file: saved for the target's processor, and known by its ids."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import tarfile
from pathlib import Path
from typing import Any

from paddock.deploy.bundle.contents import Contents
from paddock.deploy.step import Log, Machine
from paddock.errors import BundleError

TIMEOUT = 24 * 3600.0
"""Seconds that pulling and saving may take."""

ENGINES = ("docker", "podman")
"""Engines that save images; their archives are read by isula too."""

ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "loongarch64": "loong64"}
"""What images call processors that the kernel calls otherwise. Source: GOARCH."""

# The engine here would take an image for the processor here.
_SAVE = r"""
there() { "$engine" image inspect --format '{{.Architecture}}' "$image" 2>/dev/null || :; }
if [ "$(there)" != "$wanted" ]; then "$engine" pull --platform "linux/$wanted" "$image"; fi
if [ "$(there)" != "$wanted" ]; then
  echo "paddock: $image is an image for $(there), the target is $wanted" >&2
  exit 1
fi
rm -f "$target.part"
"$engine" save -o "$target.part" "$image"
mv "$target.part" "$target"
"""


def archive(image: str) -> str:
    """Where a bundle has an image, by its path in the bundle."""
    return f"images/{re.sub(r'[^A-Za-z0-9_.-]', '-', image)}.tar"


def save(machine: Machine, folder: Path, contents: Contents, log: Log) -> None:
    """The image that ``contents`` names into the bundle ``folder``, pulled if it is not here."""
    assert contents.image is not None, "asked before"
    target = folder / archive(contents.image)
    if target.exists():
        return
    target.parent.mkdir(exist_ok=True)
    wished = (contents.engine, *ENGINES) if contents.engine in ENGINES else ENGINES
    engine = next((each for each in wished if each and shutil.which(each)), None)
    if engine is None:
        raise BundleError(
            f"there is no engine here that could save the image {contents.image}",
            hint="install docker or podman, or leave the image out: --no-image",
        )
    words = {
        "engine": engine,
        "image": contents.image,
        "wanted": ARCHITECTURES.get(contents.arch, contents.arch),
        "target": str(target),
    }
    head = "\n".join(f"{key}={shlex.quote(value)}" for key, value in words.items())
    machine.follow("image", head + _SAVE, step="bundle.image", timeout=TIMEOUT, log=log)


def identity(path: Path) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The ids by which engines may know the image in an archive, and its layers' SHA-256; bare hex.

    Most call an image by its configuration's SHA-256, containerd's store by its manifest's (or
    index's). Sources: the image specification of Docker 1.2 (``manifest.json``) and OCI's image
    layout (``index.json``). Raises BundleError for a file that is no archive of one image.
    """
    try:
        with tarfile.open(path, "r:") as tar:
            rows = _json(tar, "manifest.json")
            if len(rows) != 1:
                raise BundleError(f"{path} holds {len(rows)} images instead of one")
            config = rows[0]["Config"]
            ids = [Path(config).name.removesuffix(".json")]
            layers = _json(tar, config)["rootfs"]["diff_ids"]
            if "index.json" in tar.getnames():
                ids += [each["digest"] for each in _json(tar, "index.json")["manifests"]]
    except (OSError, tarfile.TarError, ValueError, KeyError, TypeError) as error:
        raise BundleError(f"{path} is no archive of an image: {error}") from error
    return tuple(dict.fromkeys(map(_bare, ids))), tuple(map(_bare, layers))


def _json(tar: tarfile.TarFile, name: str) -> Any:
    member = tar.extractfile(name)
    if member is None:
        raise ValueError(f"{name} is not a file")
    with member:
        return json.load(member)


def _bare(text: str) -> str:
    return text.removeprefix("sha256:")
