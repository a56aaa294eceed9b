"""``PipStep``: Python distributions of given versions in one environment, read back from it."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from paddock.deploy.bundle import MANIFEST
from paddock.deploy.provision.job import CERTIFICATES, follow, patient
from paddock.deploy.step import HOST, Ask, Change, Log, Machine, State
from paddock.errors import StepFailed

TIMEOUT = 7200.0
"""Seconds for an installation: MindInsight and torch bring gigabytes."""

# Runs in the environment's own Python, 3.7 or newer; nothing but the standard library. Names are
# folded as PEP 503 says.
_LISTS = """
import json, re
from importlib import metadata
found = {}
for each in metadata.distributions():
    name = each.metadata["Name"]
    if name:
        found.setdefault(re.sub("[-_.]+", "-", name).lower(), each.version)
print(json.dumps(found))
"""
_LISTS_37 = """
import json, re, pkg_resources
print(json.dumps({re.sub("[-_.]+", "-", d.key): d.version for d in pkg_resources.working_set}))
"""


@dataclass(frozen=True, slots=True)
class Wanted:
    """A distribution: its name, version (None: any) and where pip gets it.

    ``source`` is what pip is given: a requirement, the address of a wheel, or a wheel's file name
    that is looked for in the artifacts first (then ``address`` is where else it is). ``index`` is
    a further index that has it.
    """

    name: str
    version: str | None = None
    source: str = ""
    address: str = ""
    index: str = ""

    @property
    def requirement(self) -> str:
        """What pip is given where there is no wheel by name."""
        return self.source or (f"{self.name}=={self.version}" if self.version else self.name)


@dataclass(frozen=True, slots=True)
class PipStep:
    """Distributions in the environment of ``python``, installed together, with constraints.

    ``constraints`` are requirements that whatever else comes along must fulfil. ``artifacts`` is a
    folder there with wheels (also in ``wheels/``); if it is a bundle, no index is asked.
    ``no_deps`` installs what is named and nothing else.
    """

    id: str
    title: str
    why: str
    python: str
    wanted: tuple[Wanted, ...]
    folder: str
    constraints: tuple[str, ...] = ()
    artifacts: str | None = None
    on: str = HOST
    no_deps: bool = False
    hint: str | None = None

    @property
    def asks(self) -> tuple[Ask, ...]:
        """See Step."""
        return ((self.python, "-c", _LISTS),)

    def check(self, machine: Machine) -> State:
        """See Step."""
        there = self._there(machine)
        changes = tuple(
            Change(f"distribution {each.name}", now, each.version or "installed")
            for each in self.wanted
            if not same(now := there.get(fold(each.name)), each.version)
        )
        return State(changes, {"distributions": there})

    def apply(self, machine: Machine, log: Log) -> None:
        """See Step. What is installed is read back: pip may have been led to another version."""
        follow(machine, self.id, self._install(), timeout=TIMEOUT, log=log)
        there = self._there(machine)
        for each in self.wanted:
            now = there.get(fold(each.name))
            if not same(now, each.version):
                raise StepFailed(
                    self.id,
                    machine.target,
                    f"pip ended well, but {each.name} is {now or 'not there'}"
                    f" and not {each.version or 'installed'}",
                    hint="another distribution in the same environment may have replaced it",
                )
            log(f"{each.name} {now}")

    def undo(self, machine: Machine, before: Mapping[str, Any], log: Log) -> None:
        """See Step: what came is removed; a version that was replaced is installed again."""
        old = before.get("distributions", {})
        there = self._there(machine)
        new = sorted(set(there) - set(old) - {"pip", "setuptools", "wheel"}) if there else []
        back = [
            f"{k}=={v}" for k, v in sorted(old.items()) if there and there.get(k) not in (v, None)
        ]
        quoted, lines = shlex.quote(self.python), [CERTIFICATES]
        if new:
            lines.append(f"{quoted} -m pip uninstall -y {shlex.join(new)}")
        if back:
            lines.append(f"{quoted} -m pip install --no-deps {shlex.join(back)}")
        if new or back:
            machine.follow(
                f"{self.id}.undo", "\n".join(lines), step=self.id, timeout=TIMEOUT, log=log
            )
        folder = f"{self.folder}/constraints"
        machine.sh('rm -f "$1/$2.txt"; rmdir "$1" 2>/dev/null || :', folder, self.id)

    def script(self) -> str:
        """See Step; pip itself leaves alone what is there in the right version."""
        return self._install()

    def _there(self, machine: Machine) -> dict[str, str]:
        """Every distribution of the environment; empty where there is no environment yet."""
        machine = patient(machine)
        output = machine.run([self.python, "-c", _LISTS])
        if not output.ok and "importlib" in output.stderr:
            output = machine.run([self.python, "-c", _LISTS_37])
        if output.exit_code == 127:
            return {}
        if not output.ok:
            reason = (output.stderr.strip().splitlines() or ["no word"])[-1]
            raise StepFailed(self.id, machine.target, f"{self.python} does not run: {reason}")
        found: dict[str, str] = json.loads(output.stdout)
        return found

    def _install(self) -> str:
        lines = [
            f"python={shlex.quote(self.python)}",
            f"artifacts={shlex.quote(self.artifacts or '')}",
            CERTIFICATES.rstrip(),
            "export PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_INPUT=1",
            "set -- install --progress-bar off" + (" --no-deps" if self.no_deps else ""),
        ]
        if self.constraints:
            path = f"{self.folder}/constraints/{self.id}.txt"
            body = "\n".join(self.constraints)
            lines += [
                f"mkdir -p {shlex.quote(f'{self.folder}/constraints')}",
                f"cat >{shlex.quote(path)} <<'PADDOCK_END'\n{body}\nPADDOCK_END",
                f'set -- "$@" -c {shlex.quote(path)}',
            ]
        indexes = dict.fromkeys(each.index for each in self.wanted if each.index)
        lines += [
            'if [ -n "$artifacts" ]; then',
            '  set -- "$@" --find-links "$artifacts" --find-links "$artifacts/wheels"',
            "fi",
            f'if [ -n "$artifacts" ] && [ -e "$artifacts/{MANIFEST}" ]; then',
            '  set -- "$@" --no-index',
        ]
        if indexes:
            options = shlex.join(word for i in indexes for word in ("--extra-index-url", i))
            lines += ["else", f'  set -- "$@" {options}']
        lines.append("fi")
        for each in self.wanted:
            lines.append(_add(each))
        lines.append('"$python" -m pip "$@"')
        return "\n".join(lines)


def _add(each: Wanted) -> str:
    """sh: one more word for pip."""
    if not each.address:
        return f'set -- "$@" {shlex.quote(each.requirement)}'
    name, address = shlex.quote(each.source), shlex.quote(each.address)
    return "\n".join(
        (
            f'if [ -e "$artifacts"/{name} ]; then set -- "$@" "$artifacts"/{name}',
            f'elif [ -e "$artifacts"/wheels/{name} ]; then set -- "$@" "$artifacts"/wheels/{name}',
            f'else set -- "$@" {address}; fi',
        )
    )


def fold(name: str) -> str:
    """A distribution's name as PEP 503 writes it."""
    import re

    return re.sub(r"[-_.]+", "-", name).lower()


def same(now: str | None, wanted: str | None) -> bool:
    """Whether an installed version is the wanted one; a local part (``+cpu``) does not count."""
    if now is None:
        return False
    if wanted is None:
        return True
    from packaging.version import InvalidVersion, Version

    try:
        found, asked = Version(now), Version(wanted)
    except InvalidVersion:
        return now == wanted
    return found.public == asked.public if not asked.local else found == asked
