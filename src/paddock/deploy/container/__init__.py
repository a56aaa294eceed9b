"""One container, from the facts of a host to the words and calls of its engine."""

from paddock.deploy.container.archive import Archive
from paddock.deploy.container.argv import argv
from paddock.deploy.container.build import Built, build, from_facts
from paddock.deploy.container.connect import connect
from paddock.deploy.container.engine import Engine, Found, Image
from paddock.deploy.container.image_step import ImageStep
from paddock.deploy.container.process import START
from paddock.deploy.container.spec import LABEL, OWNER, ContainerSpec, Mount, Published
from paddock.deploy.container.step import ContainerStep, steps

__all__ = [
    "LABEL",
    "OWNER",
    "START",
    "Archive",
    "Built",
    "ContainerSpec",
    "ContainerStep",
    "Engine",
    "Found",
    "Image",
    "ImageStep",
    "Mount",
    "Published",
    "argv",
    "build",
    "connect",
    "from_facts",
    "steps",
]
