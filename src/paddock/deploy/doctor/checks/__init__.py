"""The checks that rules name: importing this package fills the registry."""

from __future__ import annotations

from paddock.deploy.doctor.checks import (  # noqa: F401
    access,
    configs,
    containers,
    hardware,
    libraries,
    machine,
    network,
    packages,
    sizes,
    versions,
)
from paddock.deploy.doctor.checks.registry import CHECKS, Check

__all__ = ["CHECKS", "Check"]
