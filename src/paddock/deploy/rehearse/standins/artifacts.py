"""A folder with stand-ins for all that a stack installs: ``stack.artifacts`` of a rehearsal."""

from __future__ import annotations

import json
from pathlib import Path

from paddock.deploy import catalog
from paddock.deploy.rehearse.standins import deb, runfile, wheel
from paddock.deploy.resolve.stack import File, Stack

MARK = "STAND-INS"
"""A file in the folder that says what it is."""

PACKAGES = ("ca-certificates", "curl", "openssh-server", "python3-venv")
"""Packages that a deployment asks for beside those of CANN."""


def make(folder: Path, stack: Stack | None) -> None:
    """Writes ``*.run``, ``wheels/`` and ``debs/`` for the stack, marked as a complete bundle, so
    that nothing is fetched from elsewhere.
    """
    wheels = folder / "wheels"
    wheels.mkdir(parents=True)
    (folder / MARK).write_text(
        "Everything in here was made by paddock rehearse in place of the real packages.\n",
        encoding="utf-8",
    )
    known = catalog.load()
    deb.repository(folder / "debs", [*PACKAGES, *known.needs("cann", "apt")])
    if stack is not None:
        for file in stack.files:
            _file(folder, wheels, stack, file)
        there = {path.name.split("-")[0].replace("_", "-").lower() for path in wheels.iterdir()}
        for requirement in known.needs("cann", "pip"):
            name, version = _bare(requirement)
            if name.lower() not in there:
                wheel.write(wheels, name, stack.version(name) or version)
    (folder / "paddock-bundle.json").write_text(json.dumps({"stand_ins": True}) + "\n")


def _file(folder: Path, wheels: Path, stack: Stack, file: File) -> None:
    if file.kind == "run" and file.component in ("cann", "kernels", "nnal"):
        version = stack.version("nnal" if file.component == "nnal" else "cann") or ""
        inside = {"README": b"A stand-in made by paddock rehearse.\n"}
        if file.component == "cann":
            inside |= {
                f"wheels/{name}-{number}-py3-none-any.whl": wheel.data(name, number, wheels)
                for name, number in (("te", "0.4.0"), ("hccl", "0.1.0"))
            }
        chip = stack.version("kernels") or stack.chip
        runfile.write(folder / file.name, file.component, version, chip, inside)
    elif file.kind == "wheel":
        wheel.for_file(wheels, file.name)
    elif file.kind == "package":
        name, _, version = file.name.partition("==")
        wheel.write(wheels, name, version or stack.version(file.component) or "1.0")


def _bare(requirement: str) -> tuple[str, str]:
    """A requirement's name, and a version that fulfils it."""
    from packaging.requirements import Requirement

    parsed = Requirement(requirement)
    lowest = next((each.version for each in parsed.specifier), "1.0")
    return parsed.name, lowest
