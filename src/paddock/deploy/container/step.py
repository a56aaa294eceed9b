"""The container as steps of a plan: its image is there, it runs, and it is made of this spec."""

from __future__ import annotations

import re
import shlex
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from paddock.deploy.container.archive import Archive
from paddock.deploy.container.argv import Verb, argv
from paddock.deploy.container.build import from_facts
from paddock.deploy.container.connect import connect
from paddock.deploy.container.engine import Engine, Found
from paddock.deploy.container.image_step import ImageStep, failing
from paddock.deploy.container.secret import looks_secret
from paddock.deploy.container.spec import LABEL, ContainerSpec
from paddock.deploy.host import Host
from paddock.deploy.resolve.stack import Stack
from paddock.deploy.stackfile import Stackfile
from paddock.deploy.step import HOST, Ask, Change, Log, Machine, State, Step
from paddock.errors import ContainerError, PaddockError, StepFailed

ALIVE_S = 1.0
"""Seconds for which a container must run before it counts as started."""


def steps(
    file: Stackfile,
    host: Host,
    stack: Stack | None,
    *,
    folders: tuple[str, ...] = (),
    archive: Callable[[str], Archive | None] = lambda image: None,
) -> list[Step]:
    """The steps that make the wished container; none where none is wished for. See ``build``.

    ``archive`` says where an image may be had as a file.
    """
    if file.container.engine == "none":
        return []
    spec = from_facts(file, host, stack, folders=folders)
    wished = tuple(m.source for m in spec.mounts if m.source not in folders)
    return [
        ImageStep(spec.engine, spec.image, archive(spec.image)),
        ContainerStep(spec, wished),
    ]


@dataclass(frozen=True, slots=True)
class ContainerStep:
    """The container runs and is made of ``spec``; ``must_exist`` are sources of its mounts.

    A container of ours that differs is made anew: what was installed in it goes with it, and the
    steps after this one put it back. A container that is not ours is never touched.
    """

    spec: ContainerSpec
    must_exist: tuple[str, ...] = ()

    id = "container.run"
    on = HOST
    why = "the software runs in it, apart from the host's own"

    @property
    def title(self) -> str:
        """See Step."""
        return f"container {self.spec.name} of {self.spec.image}"

    @property
    def _aside(self) -> str:
        """The name of the one before, kept until the new one runs."""
        return f"{self.spec.name}.before"

    @property
    def asks(self) -> tuple[Ask, ...]:
        """See Step."""
        return ()

    def check(self, machine: Machine) -> State:
        """See Step."""
        with failing(self.id, machine), connect(machine, self.spec.engine) as engine:
            found = self._ours(engine, self.spec.name, machine)
            aside = self._ours(engine, self._aside, machine)
            changes = tuple(self._changes(engine, found))
        if aside:
            changes += (Change(f"container {self._aside}", "left by a broken run", None),)
        if not found or any(change.before is not None for change in changes):
            self._sources(machine)
        return State(
            changes, {"existed": found is not None, "running": bool(found and found.running)}
        )

    def _ours(self, engine: Engine, name: str, machine: Machine) -> Found | None:
        """The container of that name, None where there is none. Raises for somebody else's."""
        found = engine.find(name)
        if found is None:
            return None
        owner = self.spec.deployment or self.spec.name
        if not found.ours or found.deployment != owner:
            whose = f"of the deployment {found.deployment!r}" if found.ours else "not Paddock's"
            raise StepFailed(
                self.id,
                machine.target,
                f"there is a container {name!r}, which is {whose} (image {found.image},"
                f" {found.status})",
                hint="choose another name in container.name, or remove it by hand:"
                f" {engine.name} rm {name}",
            )
        return found

    def _changes(self, engine: Engine, found: Found | None) -> Iterator[Change]:
        what = f"container {self.spec.name}"
        if found is None:
            yield Change(what, None, self.command())
            return
        for option, there, wanted in self.spec.differences(found.labels.get(LABEL)):
            yield Change(f"{what}: {option}", there, wanted)
        image = engine.image(self.spec.image)
        if image and _differ(image.id, found.image_id):
            yield Change(f"{what}: image id", found.image_id, image.id)
        if not found.running:
            yield Change(f"{what}: state", found.status, "running")

    def _sources(self, machine: Machine) -> None:
        """Raises StepFailed for a mount's source that is not there: podman would make a folder."""
        script = 'for each; do [ -e "$each" ] || echo "$each"; done'
        missing = machine.sh(script, *self.must_exist).stdout.splitlines()
        if missing:
            raise StepFailed(
                self.id,
                machine.target,
                f"{missing[0]} is to be mounted and does not exist",
                hint="make it, or correct container.mounts",
            )

    def apply(self, machine: Machine, log: Log) -> None:
        """See Step. The one before is put aside first and comes back where the new one fails."""
        spec = self.spec
        with failing(self.id, machine), connect(machine, spec.engine) as engine:
            found = self._ours(engine, spec.name, machine)
            changes = [change.what for change in self._changes(engine, found)]
            if found and any(not what.endswith(": state") for what in changes):
                self._sources(machine)
                self._put_aside(engine, found, machine, log)
                found = None
            if found is None:
                self._sources(machine)
                self._make(engine, machine, log)
            elif not found.running:
                engine.start(spec.name)
                log(f"started the container {spec.name}")
            if self._ours(engine, self._aside, machine):
                engine.remove(self._aside, force=True)
                log(f"removed {self._aside}")

    def _put_aside(self, engine: Engine, found: Found, machine: Machine, log: Log) -> None:
        if self._ours(engine, self._aside, machine):
            engine.remove(self._aside, force=True)
        if found.running:
            engine.stop(found.name, self.spec.stop_seconds)
        engine.rename(found.name, self._aside)
        log(f"{found.name} is to change: made anew, what was installed in it is installed again")

    def _make(self, engine: Engine, machine: Machine, log: Log) -> None:
        """Creates and starts; after a failure nothing of it is left and the one before is back."""
        name = self.spec.name
        try:
            engine.create(self.spec)
            self._start(engine)
            self._stays(engine, machine)
        except PaddockError:
            left = engine.find(name)
            if left and left.ours:
                engine.remove(name, force=True)
            if self._ours(engine, self._aside, machine):
                engine.rename(self._aside, name)
                engine.start(name)
                log(f"the container {name} from before runs again")
            raise
        log(f"the container {name} runs")

    def _start(self, engine: Engine) -> None:
        """podman, unlike docker, does not make the folder that programs start in."""
        folder = self.spec.workdir
        try:
            engine.start(self.spec.name)
        except ContainerError as error:
            if folder is None or not re.search(r"workdir .* does not exist", error.message):
                raise
            engine.make_folder(self.spec.name, folder)
            engine.start(self.spec.name)

    def _stays(self, engine: Engine, machine: Machine) -> None:
        """Raises StepFailed for a container that ends at once, whoever starts it again."""
        name, end = self.spec.name, time.monotonic() + ALIVE_S
        while True:
            found = engine.find(name)
            if found is None or not found.running or found.restarts:
                raise StepFailed(
                    self.id,
                    machine.target,
                    f"the container {name} ended as soon as it was started",
                    log=engine.logs(name) if found else "",
                    hint="the image needs sh; what it printed is in the log",
                )
            if time.monotonic() > end:
                return
            time.sleep(0.1)

    def undo(self, machine: Machine, before: Mapping[str, Any], log: Log) -> None:
        """See Step. One that was ours already stays, running or not as it was."""
        name = self.spec.name
        with failing(self.id, machine), connect(machine, self.spec.engine) as engine:
            for each in (name, self._aside):
                found = engine.find(each)
                if found is None or not found.ours:
                    continue
                if found.deployment != (self.spec.deployment or name):
                    continue
                if before.get("existed") and each == name:
                    if found.running and not before.get("running"):
                        engine.stop(each, self.spec.stop_seconds)
                    log(f"the container {each} was there before and stays")
                    continue
                if found.running:
                    engine.stop(each, self.spec.stop_seconds)
                engine.remove(each, force=True)
                log(f"removed the container {each}")

    def _start_script(self) -> str:
        engine, name = self.spec.engine, shlex.quote(self.spec.name)
        start = f"{engine} start {name} >/dev/null"
        if engine != "podman" or self.spec.workdir is None:
            return start
        folder = shlex.quote(self.spec.workdir.strip("/"))
        return (
            f"{start} 2>&1 || {{  # podman does not make the folder that programs start in\n"
            f'  d=$(mktemp -d) && mkdir -p "$d"/{folder}\n'
            f'  tar -C "$d" -cf - {folder} | podman cp - {name}:/ && rm -rf "$d"\n'
            f"  {start}\n}}"
        )

    @property
    def _secrets(self) -> list[str]:
        return [name for name in sorted(self.spec.environment) if looks_secret(name)]

    def command(self, verb: Verb = "create") -> str:
        """The engine's command line, one option a line; values that look secret are left out."""
        words = argv(self.spec, verb, hidden=self._secrets)
        at = words.index("--name")
        lines = [shlex.join(words[:at])]
        while at < len(words):
            takes = words[at].startswith("--") and words[at] != "--privileged"
            last = not words[at].startswith("--")
            end = len(words) if last else at + 1 + takes
            lines.append(shlex.join(words[at:end]))
            at = end
        return " \\\n  ".join(lines)

    def script(self) -> str:
        """See Step."""
        engine, name = self.spec.engine, shlex.quote(self.spec.name)
        inspect = "inspect" if engine == "isula" else "container inspect"
        lines = [
            f"for each in {shlex.join(self.must_exist)}; do",
            '  [ -e "$each" ] || { echo "$each is to be mounted and does not exist" >&2; exit 1; }',
            "done",
        ]
        names = ", ".join(self._secrets)
        comment = [f"# {names}: set before, in the environment"] if names else []
        return "\n".join(
            [
                *(lines if self.must_exist else []),
                *comment,
                f"{engine} {inspect} {name} >/dev/null 2>&1 ||",
                f"  {self.command()}",
                self._start_script(),
            ]
        )


def _differ(one: str, other: str) -> bool:
    """Whether these are ids of two images; a name or nothing (isula) tells neither way."""
    ids = [text.removeprefix("sha256:") for text in (one, other)]
    return all(re.fullmatch("[0-9a-f]{64}", each) for each in ids) and ids[0] != ids[1]
