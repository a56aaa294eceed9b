"""``paddock.yaml``: what a person writes, and the typed form of it."""

from paddock.deploy.stackfile.loading import NAME, for_host, load, loads
from paddock.deploy.stackfile.model import (
    ContainerWish,
    ExtrasWish,
    HostEntry,
    Mirrors,
    PythonWish,
    ServeWish,
    SshWish,
    Stackfile,
    StackWish,
)

__all__ = [
    "NAME",
    "ContainerWish",
    "ExtrasWish",
    "HostEntry",
    "Mirrors",
    "PythonWish",
    "ServeWish",
    "SshWish",
    "StackWish",
    "Stackfile",
    "for_host",
    "load",
    "loads",
]
