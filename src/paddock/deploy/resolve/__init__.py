"""From a host and a wish to one consistent set of versions, or the smallest things to give up."""

from __future__ import annotations

from paddock.deploy.resolve.driver import VersionFile
from paddock.deploy.resolve.explain import Explanation
from paddock.deploy.resolve.lock import Lock
from paddock.deploy.resolve.resolver import resolve
from paddock.deploy.resolve.stack import Choice, Evidence, File, Stack
from paddock.deploy.resolve.view import HostView, from_host
from paddock.deploy.resolve.why import Why, why
from paddock.deploy.resolve.wish import Pin, Wish, make
from paddock.deploy.resolve.words import Correction

__all__ = [
    "Choice",
    "Correction",
    "Evidence",
    "Explanation",
    "File",
    "HostView",
    "Lock",
    "Pin",
    "Stack",
    "VersionFile",
    "Why",
    "Wish",
    "from_host",
    "make",
    "resolve",
    "why",
]
