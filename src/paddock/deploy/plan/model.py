"""``Plan``: what would change on which host and why, before anything does."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any, Literal

from paddock.deploy.step import Change

Status = Literal["right", "change", "later", "remove", "unknown"]
"""Nothing to do; to be changed; to be done once its container is there; to be undone, because it
is no longer wished for; its check could not tell."""


@dataclass(frozen=True, slots=True)
class StepPlan:
    """One step on one host. ``resumes`` marks one that was begun and not finished."""

    id: str
    title: str
    why: str
    on: str
    status: Status
    changes: tuple[Change, ...] = ()
    resumes: bool = False
    note: str = ""


@dataclass(frozen=True, slots=True)
class Obstacle:
    """A finding of the doctor that keeps a host from being deployed to."""

    rule: str
    title: str
    evidence: tuple[str, ...]
    fixes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class HostPlan:
    """What would happen on one host. ``problem`` says why nothing can, with ``hint``.

    ``stack`` are the resolved versions, empty for Paddock's own runtimes.
    """

    host: str
    address: str
    steps: tuple[StepPlan, ...] = ()
    obstacles: tuple[Obstacle, ...] = ()
    warnings: tuple[str, ...] = ()
    stack: tuple[tuple[str, str], ...] = ()
    problem: str | None = None
    hint: str | None = None

    @property
    def blocked(self) -> bool:
        """Whether the host cannot be deployed to as it is."""
        return self.problem is not None or bool(self.obstacles)

    @property
    def todo(self) -> tuple[StepPlan, ...]:
        """The steps that something would be done for."""
        return tuple(step for step in self.steps if step.status != "right")


@dataclass(frozen=True, slots=True)
class Plan:
    """What would happen on all hosts of a deployment."""

    deployment: str
    hosts: tuple[HostPlan, ...]

    @property
    def empty(self) -> bool:
        """Whether all is as it should be."""
        return not any(host.todo or host.blocked for host in self.hosts)

    @property
    def blocked(self) -> tuple[HostPlan, ...]:
        """The hosts that cannot be deployed to as they are."""
        return tuple(host for host in self.hosts if host.blocked)

    def changes(self) -> Iterator[tuple[HostPlan, StepPlan]]:
        """Every step that something would be done for, in order."""
        for host in self.hosts:
            for step in host.todo:
                yield host, step

    def to_dict(self) -> dict[str, Any]:
        """The plan as plain JSON values."""
        return {**asdict(self), "empty": self.empty}
