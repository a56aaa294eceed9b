"""``Context``: all that decides which steps a machine needs, gathered before the first runs."""

from __future__ import annotations

from dataclasses import dataclass

from paddock.deploy.bundle import Placed
from paddock.deploy.host import Host
from paddock.deploy.resolve.stack import Stack
from paddock.deploy.stackfile import Stackfile
from paddock.deploy.step import CONTAINER, HOST

APART = ("mindspore", "vllm")
"""Frameworks that Paddock's server talks to instead of importing them."""


@dataclass(frozen=True, slots=True)
class Context:
    """What a subject's ``steps(context)`` goes by. Pure: the same context gives the same steps.

    ``file`` is the stack file with the host's overrides applied and every ``auto`` decided.
    ``host`` are the facts of the machine, ``inside`` those of the container as far as they are
    known before it exists (its image's), the machine's own where there is none. ``stack`` is
    None where Paddock's own runtimes on a CPU need no versions matched. ``folder`` is Paddock's
    folder on the target (state, logs, jobs), at the same path on the host and in the container;
    ``artifacts`` a folder there with installers and wheels, or None. ``python`` is an interpreter
    there that has Paddock and what its server needs already, None where one is to be made.
    ``bundle`` is what everything comes from where there is no network; ``artifacts`` is its place.
    """

    file: Stackfile
    host: Host
    inside: Host
    stack: Stack | None
    folder: str
    artifacts: str | None = None
    python: str | None = None
    bundle: Placed | None = None

    @property
    def place(self) -> str:
        """Where the software goes: CONTAINER or HOST."""
        return HOST if self.file.container.engine == "none" else CONTAINER

    @property
    def environment(self) -> str:
        """The folder of the Python environment, whichever manager makes it (conda: ``-p``)."""
        return f"{self.folder}/python/{self.file.python.environment}"

    @property
    def interpreter(self) -> str:
        """The Python that runs the frameworks on the target."""
        return self.python or f"{self.environment}/bin/python"

    @property
    def apart(self) -> bool:
        """Whether Paddock's server has an environment beside the framework's.

        MindFormers 1.0 wants a Python older than Paddock bears, and vLLM pins what a server is
        made of; both compute in processes of their own.
        """
        return self.stack is not None and self.stack.framework in APART

    @property
    def server(self) -> str:
        """The Python that runs Paddock itself on the target."""
        return f"{self.folder}/python/serve/bin/python" if self.apart else self.interpreter
