"""One thing that a machine must have: how to see it, make it and take it back."""

from paddock.deploy.step.base import CONTAINER, HOST, Change, Log, State, Step
from paddock.deploy.step.file import FileStep
from paddock.deploy.step.machine import Machine
from paddock.deploy.step.script import ScriptStep
from paddock.deploy.step.together import Ask, cat, sh, together

__all__ = [
    "CONTAINER",
    "HOST",
    "Ask",
    "Change",
    "FileStep",
    "Log",
    "Machine",
    "ScriptStep",
    "State",
    "Step",
    "cat",
    "sh",
    "together",
]
