"""``Context``: all that decides which steps a machine needs, gathered before the first runs."""

from __future__ import annotations

from dataclasses import dataclass

from paddock.deploy.host import Host
from paddock.deploy.resolve.stack import Stack
from paddock.deploy.stackfile import Stackfile
from paddock.deploy.step import CONTAINER, HOST


@dataclass(frozen=True, slots=True)
class Context:
    """What a subject's ``steps(context)`` goes by. Pure: the same context gives the same steps.

    ``file`` is the stack file with the host's overrides applied and every ``auto`` decided.
    ``host`` are the facts of the machine, ``inside`` those of the container as far as they are
    known before it exists (its image's), the machine's own where there is none. ``stack`` is
    None where Paddock's own runtimes on a CPU need no versions matched. ``folder`` is Paddock's
    folder on the target (state, logs, jobs), ``artifacts`` a folder there with installers and
    wheels, or None.
    """

    file: Stackfile
    host: Host
    inside: Host
    stack: Stack | None
    folder: str
    artifacts: str | None = None

    @property
    def place(self) -> str:
        """Where the software goes: CONTAINER or HOST."""
        return HOST if self.file.container.engine == "none" else CONTAINER
