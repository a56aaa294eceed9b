"""The image of a container as a step of a plan."""

from __future__ import annotations

import contextlib
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from paddock.deploy.container.connect import connect
from paddock.deploy.step import HOST, Ask, Change, Log, Machine, State
from paddock.errors import ContainerError, StepFailed

PULL_SECONDS = 7200.0
"""For an image of many gigabytes over a slow line."""


@dataclass(frozen=True, slots=True)
class ImageStep:
    """The image is at the engine: already, from ``archive`` (a file on the machine), or pulled."""

    engine: str
    image: str
    archive: str | None = None

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

    def check(self, machine: Machine) -> State:
        """See Step."""
        with failing(self.id, machine), connect(machine, self.engine) as engine:
            found = engine.image(self.image)
        before = {"id": found.id if found else None}
        return State(() if found else (Change(self.title, None, self._source()),), before)

    def _source(self) -> str:
        return f"from {self.archive}" if self.archive else f"pulled as {self._pulled()}"

    def _pulled(self) -> str:
        """podman asks no registry unless one is named. Source: docker's own rule for names."""
        first, slash, _ = self.image.partition("/")
        if self.engine != "podman" or (slash and (set(first) & set(".:") or first == "localhost")):
            return self.image
        return f"docker.io/{'' if slash else 'library/'}{self.image}"

    def _bring(self) -> str:
        if self.archive:
            return shlex.join([self.engine, "load", "-i", self.archive])
        return shlex.join([self.engine, "pull", self._pulled()])

    def apply(self, machine: Machine, log: Log) -> None:
        """See Step. It goes on at the machine when the link is lost."""
        if self.check(machine).right:
            return
        try:
            machine.follow(self.id, self._bring(), step=self.id, timeout=PULL_SECONDS, log=log)
        except StepFailed as error:
            error.hint = error.hint or (
                f"on a machine without a registry: {self.engine} load -i FILE, or name another"
                " image in container.image"
            )
            raise
        if not self.check(machine).right:
            brought = self.archive or self._pulled()
            raise StepFailed(
                self.id, machine.target, f"{brought} holds no image named {self.image}"
            )

    def undo(self, machine: Machine, before: Mapping[str, Any], log: Log) -> None:
        """See Step. What was there before stays, and what a container still uses."""
        if before.get("id") is not None:
            return
        with failing(self.id, machine), connect(machine, self.engine) as engine:
            found = engine.image(self.image)
            if found is None:
                return
            users = [c.name for c in engine.containers() if c.image_id == found.id]
            if users:
                log(f"the image {self.image} stays: {', '.join(users)} was made of it")
                return
            engine.remove_image(self.image)
            log(f"removed the image {self.image}")

    def script(self) -> str:
        """See Step."""
        inspect = "inspect" if self.engine == "isula" else "image inspect"
        image = shlex.quote(self.image)
        return f"{self.engine} {inspect} {image} >/dev/null 2>&1 ||\n  {self._bring()}"


@contextlib.contextmanager
def failing(step: str, machine: Machine) -> Iterator[None]:
    """An engine's refusal as the step's failure."""
    try:
        yield
    except ContainerError as error:
        raise StepFailed(step, machine.target, error.message, hint=error.hint) from error
