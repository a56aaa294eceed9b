"""Fetches what a bundle is to hold; what was broken off goes on, what is there is not fetched."""

from __future__ import annotations

import datetime
import shlex
import shutil
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

from paddock.deploy.bundle import debs, images, manifest
from paddock.deploy.bundle.contents import Contents, Wheels, platforms
from paddock.deploy.bundle.manifest import Manifest
from paddock.deploy.step import Machine
from paddock.errors import BundleError, StepFailed
from paddock.shell import LocalRunner

TIMEOUT = 24 * 3600.0
"""Seconds that fetching one part may take."""

Log = Callable[[str], None]


def create(folder: Path, contents: Contents, *, log: Log) -> Manifest:
    """The bundle in ``folder``, which is made; its manifest comes last, so that half is none.

    Raises BundleError with what could not be fetched, and StepFailed with the end of its log.
    """
    folder = folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    (folder / manifest.MANIFEST).unlink(missing_ok=True)
    machine = Machine(LocalRunner(), str(folder / ".work"))
    for number, wheels in enumerate(contents.wheels, 1):
        log(f"wheels {number}/{len(contents.wheels)}: {', '.join(wheels.requirements)}")
        _wheels(machine, folder, contents, wheels, log)
    for name, address in contents.installers:
        log(f"installer {name}")
        _installer(machine, folder, contents, name, address, log)
    if contents.packages:
        log(f"packages of {contents.system}: {', '.join(contents.packages)}")
        debs.fetch(machine, folder / "debs", contents, log)
    if contents.image:
        log(f"image {contents.image}")
        images.save(machine, folder, contents, log)
    if contents.weights:
        log(f"weights of {contents.model}")
        _weights(folder, contents)
    ids, layers = _identity(folder, contents)
    entries = []
    for path in manifest.files(folder):
        log(f"SHA-256 of {path}")
        entries.append(manifest.entry(folder, path))
    made = Manifest(
        name=contents.name,
        created=datetime.datetime.now(datetime.timezone.utc).date(),
        arch=contents.arch,
        python=contents.python,
        system=contents.system,
        entries=tuple(entries),
        stack=contents.stack,
        model=contents.model,
        image=contents.image,
        image_ids=ids,
        image_layers=layers,
    )
    manifest.write(folder, made)
    shutil.rmtree(folder / ".work", ignore_errors=True)
    return made


def _identity(folder: Path, contents: Contents) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """How engines will know the image; nothing without one."""
    if contents.image is None:
        return (), ()
    return images.identity(folder / images.archive(contents.image))


def _pip() -> list[str]:
    if find_spec("pip"):
        return [sys.executable, "-m", "pip"]
    found = shutil.which("pip") or shutil.which("pip3")
    if found is None:
        raise BundleError("there is no pip to fetch wheels with", hint="install python3-pip")
    return [found]


def _wheels(machine: Machine, folder: Path, contents: Contents, group: Wheels, log: Log) -> None:
    """``pip download`` for the target's Python and processor, whatever runs here.

    Only wheels: what must be compiled could not be installed on a machine without a network.
    """
    words = [*_pip(), "download", "--dest", str(folder / "wheels"), "--only-binary", ":all:"]
    words += ["--no-input", "--disable-pip-version-check", "--progress-bar", "off"]
    if python := group.python or contents.python:
        words += ["--python-version", python, "--implementation", "cp"]
    for platform in platforms(contents.arch, contents.glibc):
        words += ["--platform", platform]
    if contents.index:
        words += ["--index-url", contents.index]
    for index in group.indexes:
        words += ["--extra-index-url", index]
    for place in (contents.artifacts, contents.artifacts and contents.artifacts / "wheels"):
        if place is not None and place.is_dir():
            words += ["--find-links", str(place)]
    if group.constraints:
        path = folder / ".work" / "constraints.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(f"{line}\n" for line in group.constraints), encoding="utf-8")
        words += ["--constraint", str(path)]
    script = shlex.join([*words, *group.requirements])
    machine.follow("wheels", script, step="bundle.wheels", timeout=TIMEOUT, log=log)


_FETCH = r"""
from=https://www.hiascend.com/ # the vendor's server answers only who comes from there
if command -v curl >/dev/null; then
  curl -fLsS --retry 3 --connect-timeout 20 -C - -e "$from" -o "$file.part" "$address"
else
  wget -c -nv --referer="$from" -O "$file.part" "$address"
fi
mv "$file.part" "$file"
"""


def _installer(
    machine: Machine, folder: Path, contents: Contents, name: str, address: str, log: Log
) -> None:
    target = folder / "run" / name
    if target.exists():
        return
    target.parent.mkdir(exist_ok=True)
    for place in (contents.artifacts, contents.artifacts and contents.artifacts / "run"):
        if place is not None and (place / name).is_file():
            _copy(place / name, target)
            return
    if not address:
        raise BundleError(f"nobody knows where {name} is", hint="put it into stack.artifacts")
    script = f"file={shlex.quote(str(target))} address={shlex.quote(address)}\n{_FETCH}"
    try:
        machine.follow("run", script, step="bundle.run", timeout=TIMEOUT, log=log)
    except StepFailed as error:
        error.hint = error.hint or f"fetch {name} by hand and put it into {target.parent}"
        raise


def _copy(source: Path, target: Path) -> None:
    """Whole or not at all."""
    part = target.with_name(f"{target.name}.part")
    shutil.copyfile(source, part)
    part.replace(target)


def _weights(folder: Path, contents: Contents) -> None:
    assert contents.weights is not None and contents.model is not None, "asked before"
    target = folder / "models" / contents.model
    sources = [contents.weights] if contents.weights.is_file() else contents.weights.rglob("*")
    base = contents.weights.parent if contents.weights.is_file() else contents.weights
    for source in sources:
        if not source.is_file() or source.name.endswith(".part"):
            continue
        there = target / source.relative_to(base)
        # Of weights the size tells whether a copy was broken off; the hash is taken at the end.
        if there.exists() and there.stat().st_size == source.stat().st_size:
            continue
        there.parent.mkdir(parents=True, exist_ok=True)
        _copy(source, there)
