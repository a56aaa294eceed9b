"""All subjects' steps in the order in which they stand on each other."""

from __future__ import annotations

from paddock.deploy.provision import (
    base,
    cann,
    environment,
    mindspore,
    python,
    serve,
    services,
    ssh,
    torch,
)
from paddock.deploy.provision.context import Context
from paddock.deploy.step import Step

SUBJECTS = (
    base.steps,
    ssh.steps,  # early: who wants to see why a later one fails can log in
    environment.steps,
    python.steps,
    cann.steps,
    mindspore.steps,
    torch.steps,
    environment.commands,
    services.steps,
    serve.steps,
)
"""Pure functions from a context to steps; one subject does not know of another's."""


def steps(context: Context) -> list[Step]:
    """What goes onto the machine or into its container, in order."""
    return [step for subject in SUBJECTS for step in subject(context)]
