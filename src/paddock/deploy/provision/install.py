"""Paddock itself on the target: an environment for it where there is none, and its wheel."""

from __future__ import annotations

import re
import shlex
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from paddock._version import __version__
from paddock.deploy.bundle import MANIFEST
from paddock.deploy.provision import python, wheel
from paddock.deploy.provision.context import Context
from paddock.deploy.provision.prefix import Environment
from paddock.deploy.step import HOST, Ask, Change, Log, Machine, ScriptStep, State, Step

OLDEST, FETCHED = (3, 10), "3.11"
"""The oldest Python that Paddock runs on, and the one it takes where it may choose."""

INSTALL_S = 3600.0
"""Seconds for pip: torch alone is two gigabytes."""

_ASK = (
    "import importlib.util as u, sys\n"
    "from importlib.metadata import version\n"
    "missing = [n for n in ('fastapi', 'uvicorn', 'tokenizers', 'numpy') if not u.find_spec(n)]\n"
    "print(version('paddock'))\n"
    "sys.exit(bool(missing))\n"
)


def steps(context: Context) -> list[Step]:
    """Nothing where an interpreter of the target has all of it already."""
    if context.python is not None:
        return []
    found: list[Step] = []
    if context.apart:
        found += python.made(context, beside(context), "serve")
    elif context.stack is None:  # otherwise the stack's own steps make it
        found.append(_environment(context))
    install = PaddockStep(
        interpreter=context.server,
        folder=context.folder,
        arch=context.host.system.arch or "",
        artifacts=context.artifacts,
        index=context.file.mirrors.pip,
        on=context.place,
    )
    return [*found, install]


def beside(context: Context) -> Environment:
    """An environment beside the framework's: of a Python that is there, or else is fetched."""
    manager = python.manager(context)
    there = [_minor(each.version) for each in context.inside.pythons if each.version]
    able = max((each for each in there if each >= OLDEST), default=None)
    version = f"{able[0]}.{able[1]}" if able and manager == "venv" else FETCHED
    return Environment(str(Path(context.server).parents[1]), manager, version, exact=False)


def _minor(version: str) -> tuple[int, int]:
    found = re.match(r"(\d+)\.(\d+)", version)
    return (int(found[1]), int(found[2])) if found else (0, 0)


def _environment(context: Context) -> Step:
    folder = shlex.quote(context.environment)
    return ScriptStep(
        id="serve.environment",
        title="a Python environment for the server",
        why="Paddock is installed beside nothing else",
        on=context.place,
        what=f"environment {context.environment}",
        after="made with python3 -m venv",
        checks=f"[ -x {folder}/bin/python ] && {folder}/bin/python -m pip --version || exit 1",
        applies=f'rm -rf {folder}\nmkdir -p "$(dirname {folder})"\npython3 -m venv {folder}',
        undoes=f'rm -rf {folder}\nrmdir "$(dirname {folder})" 2>/dev/null || :',
        timeout=300,
        hint="it needs python3 of 3.10 or newer with venv (Debian: python3-venv)",
    )


@dataclass(frozen=True, slots=True)
class PaddockStep:
    """This very version of Paddock, with what its server needs, in an environment."""

    interpreter: str
    folder: str
    arch: str
    artifacts: str | None
    index: str | None
    on: str = HOST
    id: str = "serve.paddock"
    title: str = f"paddock {__version__} in the environment"
    why: str = "serve"

    @property
    def asks(self) -> tuple[Ask, ...]:
        """See Step."""
        return ((self.interpreter, "-c", _ASK),)

    def check(self, machine: Machine) -> State:
        """See Step."""
        output = machine.run([self.interpreter, "-c", _ASK])
        found = output.stdout.strip() or None
        if output.ok and found == __version__:
            return State((), {"version": found})
        change = Change("package paddock[serve]", found, __version__)
        return State((change,), {"version": found})

    def apply(self, machine: Machine, log: Log) -> None:
        """See Step."""
        with tempfile.TemporaryDirectory() as folder:
            made = wheel.build(Path(folder), arch=self.arch)
            there = f"{self.folder}/wheels/{made.name}"
            machine.send(made, there, log=log)
        machine.follow(
            f"{self.id}.apply",
            self._pip(there),
            step=self.id,
            timeout=INSTALL_S,
            log=log,
        )

    def undo(self, machine: Machine, before: Mapping[str, Any], log: Log) -> None:
        """See Step: the environment goes with its own step; only the wheel lies outside."""
        machine.run(["rm", "-rf", f"{self.folder}/wheels"])
        log("removed the wheel")

    def script(self) -> str:
        """See Step."""
        where = shlex.quote(f"{self.folder}/wheels")
        return (
            f"# Put a wheel of paddock {__version__} into {self.folder}/wheels first.\n"
            + self._pip(f"{where}/paddock-*.whl", quoted=True)
        )

    def _pip(self, path: str, *, quoted: bool = False) -> str:
        words = [self.interpreter, "-m", "pip", "install", "--disable-pip-version-check"]
        if self.artifacts is not None:
            words += ["--find-links", self.artifacts, "--find-links", f"{self.artifacts}/wheels"]
        lines = [f"set -- {shlex.join(words[1:])}"]
        if self.artifacts is not None:  # a bundle has all of it, and there may be no network
            manifest = shlex.quote(f"{self.artifacts}/{MANIFEST}")
            lines.append(f'if [ -e {manifest} ]; then set -- "$@" --no-index; fi')
        if self.index is not None:
            lines.append(f'set -- "$@" --index-url {shlex.quote(self.index)}')
        place = path if quoted else shlex.quote(path)
        # An extra of a wheel by its path: pip wants "paddock[serve] @ file://...".
        lines += [
            f"wheel=$(echo {place})",
            f'{shlex.quote(self.interpreter)} "$@" "paddock[serve] @ file://$wheel"',
        ]
        return "\n".join(lines)
