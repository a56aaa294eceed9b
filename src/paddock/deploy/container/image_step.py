"""The image of a container as a step of a plan."""

from __future__ import annotations

import contextlib
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from paddock.deploy.container.archive import Archive
from paddock.deploy.container.connect import connect
from paddock.deploy.container.engine import Engine, Image
from paddock.deploy.step import HOST, Ask, Change, Log, Machine, State
from paddock.errors import ContainerError, StepFailed

PULL_SECONDS = 7200.0
"""For an image of many gigabytes over a slow line."""


@dataclass(frozen=True, slots=True)
class ImageStep:
    """The image is at the engine: already, from ``archive``, or pulled.

    An archive whose content is known (``sha256``) is the only image that will do, and nothing else
    is asked; one that may be there goes before pulling.
    """

    engine: str
    image: str
    archive: Archive | None = None

    id = "container.image"
    on = HOST
    why = "the container starts from it"

    @property
    def title(self) -> str:
        """See Step."""
        return f"image {self.image}"

    @property
    def asks(self) -> tuple[Ask, ...]:
        """See Step."""
        return ()

    @property
    def _known(self) -> Archive | None:
        """The archive, if it is known which image it holds."""
        return self.archive if self.archive and self.archive.sha256 else None

    def check(self, machine: Machine) -> State:
        """See Step."""
        with failing(self.id, machine), connect(machine, self.engine) as engine:
            found = engine.image(self.image)
        before = {"id": found.id if found else None}
        if found and self._right(found, machine):
            return State((), before)
        what = self.title if found is None else f"{self.title}: id"
        return State((Change(what, before["id"], self._source()),), before)

    def _right(self, found: Image, machine: Machine) -> bool:
        archive = self._known
        return archive is None or archive.holds(found, machine.read(self._stamp(machine)))

    def _stamp(self, machine: Machine) -> str:
        """The file that says which image came of which archive, where its id does not."""
        return f"{machine.folder}/image"

    def _source(self) -> str:
        pulled = f"pulled as {self._pulled()}"
        if self.archive is None:
            return pulled
        return f"from {self.archive.path}" + ("" if self._known else f", or {pulled}")

    def _pulled(self) -> str:
        """podman asks no registry unless one is named. Source: docker's own rule for names."""
        first, slash, _ = self.image.partition("/")
        if self.engine != "podman" or (slash and (set(first) & set(".:") or first == "localhost")):
            return self.image
        return f"docker.io/{'' if slash else 'library/'}{self.image}"

    def _bring(self) -> str:
        """sh: loads the archive that may be there, or pulls."""
        pull = shlex.join([self.engine, "pull", self._pulled()])
        if self.archive is None:
            return pull
        path = shlex.quote(self.archive.path)
        load = self._load(self.archive.path)
        if self._known:
            return load
        return f"if [ -e {path} ]; then {load}; else {pull}; fi"

    def _load(self, path: str) -> str:
        return shlex.join([self.engine, "load", "-i", path])

    def apply(self, machine: Machine, log: Log) -> None:
        """See Step. It goes on at the machine when the link is lost."""
        if self.check(machine).right:
            return
        archive = self._known
        if archive is None:
            self._follow(machine, self._bring(), log)
        else:
            with archive.brought(machine, self.id, log) as path:
                self._follow(machine, self._load(path), log)
        with failing(self.id, machine), connect(machine, self.engine) as engine:
            found = engine.image(self.image)
        if found and archive and archive.same_layers(found) and not self._right(found, machine):
            machine.write(self._stamp(machine), archive.stamp(found))
        if found is None or not self._right(found, machine):
            brought = self.archive.path if self.archive else self._pulled()
            raise StepFailed(
                self.id, machine.target, f"{brought} holds no image named {self.image}"
            )

    def _follow(self, machine: Machine, script: str, log: Log) -> None:
        try:
            machine.follow(self.id, script, step=self.id, timeout=PULL_SECONDS, log=log)
        except StepFailed as error:
            error.hint = error.hint or (
                f"on a machine without a registry: {self.engine} load -i FILE, or name another"
                " image in container.image"
            )
            raise

    def undo(self, machine: Machine, before: Mapping[str, Any], log: Log) -> None:
        """See Step. What was there before stays or gets its name back, and what a container still
        uses stays; what somebody else gave the name to since is not touched.
        """
        if self._known and self._known.source:
            self._known.forget(machine)
        with failing(self.id, machine), connect(machine, self.engine) as engine:
            found = engine.image(self.image)
            if found is not None and found.id != before.get("id"):
                self._take_back(engine, found, before.get("id"), machine, log)
        machine.run(["rm", "-f", self._stamp(machine)])

    def _take_back(
        self, engine: Engine, found: Image, was: str | None, machine: Machine, log: Log
    ) -> None:
        if was is not None and not self._known:
            return  # the name was there already: nothing was done
        if not self._right(found, machine):
            log(f"{self.image} is another image by now: it stays")
            return
        users = [c.name for c in engine.containers() if c.image_id == found.id]
        if users:
            log(f"the image {self.image} stays: {', '.join(users)} was made of it")
            return
        if was is None:
            engine.remove_image(self.image)
            log(f"removed the image {self.image}")
            return
        if engine.image(was) is None:
            log(f"the image that was {self.image} before is gone: the one from the bundle stays")
            return
        engine.tag(was, self.image)
        left = engine.image(found.id)
        if left is not None and not left.names:
            engine.remove_image(found.id)
        log(f"{self.image} is again the image that it was before")

    def script(self) -> str:
        """See Step."""
        inspect = "inspect" if self.engine == "isula" else "image inspect"
        image = shlex.quote(self.image)
        return f"{self.engine} {inspect} {image} >/dev/null 2>&1 || {{\n  {self._bring()}\n}}"


@contextlib.contextmanager
def failing(step: str, machine: Machine) -> Iterator[None]:
    """An engine's refusal as the step's failure."""
    try:
        yield
    except ContainerError as error:
        raise StepFailed(step, machine.target, error.message, hint=error.hint) from error
