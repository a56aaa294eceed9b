"""What is told while a plan is made, applied or undone, for a live view or for programs."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

Kind = Literal[
    "looking", "checking", "begin", "log", "done", "right", "undone", "failed", "finished"
]
"""looking at the host; checking, applying (begin, log, done) or undoing a step; a step that was
right; one that failed; the host is through, for better or worse."""


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened on a host. ``text`` is a line of log, an error or a title."""

    host: str
    kind: Kind
    step: str = ""
    text: str = ""
    time: float = field(default_factory=time.time)

    def to_dict(self) -> dict[str, Any]:
        """The event as plain JSON values."""
        return asdict(self)


Tell = Callable[[Event], None]
"""Hears of every event, from several threads at once."""


def nobody(event: Event) -> None:
    """Hears and says nothing."""
