"""Everything that a stack needs in one folder with checksums, for machines without a network."""

from paddock.deploy.bundle.carry import Placed, Source, placed, source
from paddock.deploy.bundle.carry_step import CarryStep
from paddock.deploy.bundle.contents import Contents, Wheels
from paddock.deploy.bundle.create import create
from paddock.deploy.bundle.manifest import MANIFEST, Entry, Fault, Manifest, read, verify

__all__ = [
    "MANIFEST",
    "CarryStep",
    "Contents",
    "Entry",
    "Fault",
    "Manifest",
    "Placed",
    "Source",
    "Wheels",
    "create",
    "placed",
    "read",
    "source",
    "verify",
]
