"""``Step``: what every part of a deployment can do, and the two answers it gives."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from paddock.deploy.step.machine import Machine
from paddock.deploy.step.together import Ask

HOST = "host"
"""A step's place: the machine itself."""

CONTAINER = "container"
"""A step's place: the deployment's container on that machine."""

Log = Callable[[str], None]
"""Takes a line of a step's output as it appears, without its newline and without secrets."""


@dataclass(frozen=True, slots=True)
class Change:
    """One thing that a step would change, for a person and for ``--json``.

    ``what`` names it (``file /etc/motd``, ``package curl``). ``before`` and ``after`` are texts,
    None where it is absent then; a file's are its contents, shown as a diff. No secret in either.
    """

    what: str
    before: str | None
    after: str | None


@dataclass(frozen=True, slots=True)
class State:
    """How a machine stands to a step: ``changes`` is empty where all is as it should be.

    ``before`` holds plain JSON values: what ``undo`` will need to put back what is there now. The
    journal keeps the one that was read before the step was first applied. No secret is in it.
    """

    changes: tuple[Change, ...] = ()
    before: Mapping[str, Any] = field(default_factory=dict)

    @property
    def right(self) -> bool:
        """Whether there is nothing to do."""
        return not self.changes


class Step(Protocol):
    """A part of a deployment. Frozen: a step knows all it needs before the first one runs.

    ``id`` is unique in a plan and the same in every run (``ssh.config``): the journal knows steps
    by it. ``title`` says what there will be, ``why`` for what reason, both without a final stop.
    ``on`` is HOST or CONTAINER. Steps are applied in the plan's order and undone in the reverse.
    """

    @property
    def id(self) -> str:
        """The name in the journal."""
        ...

    @property
    def title(self) -> str:
        """What there will be."""
        ...

    @property
    def why(self) -> str:
        """For what reason."""
        ...

    @property
    def on(self) -> str:
        """HOST or CONTAINER."""
        ...

    @property
    def asks(self) -> tuple[Ask, ...]:
        """The programs that ``check`` runs, as far as they are known before it.

        Those of many steps are run in one round trip, and ``check`` finds their answers in its
        machine's hand (see ``together``). Empty for one that asks in another way.
        """
        ...

    def check(self, machine: Machine) -> State:
        """How the machine stands to this step. Reads only.

        Raises StepFailed where it cannot be told, and what the machine's Runner raises.
        """
        ...

    def apply(self, machine: Machine, log: Log) -> None:
        """Makes it so. May be called again after it was broken off at any point.

        Raises StepFailed with the log's end and, where known, what to do.
        """
        ...

    def undo(self, machine: Machine, before: Mapping[str, Any], log: Log) -> None:
        """Puts back what ``before`` (of the State read first) says, and nothing else.

        Also after an ``apply`` that was broken off, and when called again. What somebody changed
        since is left alone where undoing would lose it, and said. Raises StepFailed.
        """
        ...

    def script(self) -> str:
        """The same as ``apply`` (where it is needed) for a runbook: POSIX sh, idempotent.

        It runs under ``set -eu`` in a subshell on the step's machine, as the deployment's user, and
        holds no secret.
        """
        ...
