"""Does the target now do what the stack promises: asked of the target itself."""

from paddock.deploy.verify.report import Check, Report, Status
from paddock.deploy.verify.run import verify

__all__ = ["Check", "Report", "Status", "verify"]
