"""All subjects' steps in the order in which they stand on each other."""

from __future__ import annotations

from paddock.deploy.provision import serve
from paddock.deploy.provision.context import Context
from paddock.deploy.step import Step

SUBJECTS = (serve,)
"""Modules with a ``steps(context)`` of their own; one does not know of another."""


def steps(context: Context) -> list[Step]:
    """What goes onto the machine or into its container, in order."""
    return [step for subject in SUBJECTS for step in subject.steps(context)]
