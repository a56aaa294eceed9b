"""What is on a machine: reads only, guesses nothing, and says what could not be read."""

from __future__ import annotations

from paddock.deploy.host.facts import Host, Note

__all__ = ["Host", "Note"]
