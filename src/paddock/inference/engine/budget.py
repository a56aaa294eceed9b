"""How much of the prompts a step may compute, so that those who decode do not wait long."""

from __future__ import annotations

FIRST, LEAST = 64, 16
"""Tokens beside decoding requests before anything was measured, and at least."""


class PrefillBudget:
    """``most`` tokens where nobody decodes, else what takes ``stall_s`` seconds.

    The time of a token is taken from the latest steps, so it follows the machine's load and the
    growing cost of attention.
    """

    def __init__(self, most: int, stall_s: float) -> None:
        self._most = most
        self._stall_s = stall_s
        self._token_s: float | None = None

    def tokens(self, *, decoding: bool) -> int:
        """Prompt tokens for the next step."""
        if not decoding:
            return self._most
        fitting = FIRST if self._token_s is None else int(self._stall_s / self._token_s)
        return min(self._most, max(LEAST, fitting))

    def measured(self, tokens: int, seconds: float) -> None:
        """A step with ``tokens`` (1 or more) of prompts took ``seconds``."""
        token_s = max(seconds, 1e-9) / tokens
        # A few tokens cost about as much as one: such a step says little about many.
        if tokens >= LEAST:
            self._token_s = token_s if self._token_s is None else (self._token_s + token_s) / 2
