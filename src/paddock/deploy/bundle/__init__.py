"""Everything that a stack needs in one folder with checksums, for machines without a network."""

from paddock.deploy.bundle.contents import Contents, Wheels
from paddock.deploy.bundle.create import create
from paddock.deploy.bundle.manifest import MANIFEST, Entry, Fault, Manifest, read, verify

__all__ = [
    "MANIFEST",
    "Contents",
    "Entry",
    "Fault",
    "Manifest",
    "Wheels",
    "create",
    "read",
    "verify",
]
