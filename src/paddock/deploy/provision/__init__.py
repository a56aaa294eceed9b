"""From a wish and the facts to the steps that make a machine match: one file per subject."""

from paddock.deploy.provision.build import steps
from paddock.deploy.provision.context import Context

__all__ = ["Context", "steps"]
