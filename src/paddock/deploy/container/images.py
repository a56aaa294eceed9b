"""Which image a container starts from: the wish's, one that holds the stack, or a bare system."""

from __future__ import annotations

from paddock.deploy.resolve.stack import Stack
from paddock.deploy.stackfile import Stackfile

BARE = "ubuntu:22.04"
"""For what needs no particular system: its glibc 2.35 and Python 3.10 run everything newer, too."""


def image(file: Stackfile, stack: Stack | None) -> str:
    """The image's name. A whole stack somebody built goes before a bare system to fill by hand."""
    if file.container.image:
        return file.container.image
    if stack is None:
        return BARE
    return stack.version("image") or (stack.images[0] if stack.images else _system(stack))


def _system(stack: Stack) -> str:
    """The stack's operating system where it names one that is also an image's name."""
    system = stack.version("os")
    return system if system and system.startswith("ubuntu:") else BARE
