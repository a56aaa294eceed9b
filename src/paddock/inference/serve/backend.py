"""What the HTTP side needs of whatever computes the answers: our own worker, or another engine."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Protocol

from paddock.errors import PaddockError
from paddock.inference.runtimes.base import Limits
from paddock.inference.serve.wire import Ask, Piece


class Backend(Protocol):
    """One model, computed by another process. All methods are called from the event loop.

    ``limits`` is None while nothing can be answered, ``failure`` what ended it for good.
    """

    limits: Limits | None
    failure: PaddockError | None

    @property
    def ready(self) -> bool:
        """Whether requests can be answered now."""
        ...

    def start(self) -> None:
        """Starts the process; it is ready some time later."""
        ...

    async def until_ready(self) -> None:
        """Waits for the first loading to end. Raises PaddockError if it failed."""
        ...

    def generate(self, ask: Ask, timeout: float) -> AsyncGenerator[Piece, None]:
        """What comes of one request. Leaving the loop early cancels it.

        Raises ApiError: 503 if the process dies or there is no end after ``timeout`` seconds, 400
        if it refuses.
        """
        ...

    def kill(self) -> None:
        """Ends the process at once."""
        ...

    async def stop(self) -> None:
        """Asks the process to end and waits a little for it."""
        ...
