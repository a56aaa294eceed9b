"""How much of the prompts a step may compute, so that those who decode do not wait long."""

from __future__ import annotations

FIRST, LEAST = 64, 32
"""Tokens beside decoding requests before anything was measured, and at least."""


class PrefillBudget:
    """``most`` tokens where nobody decodes, else what makes a step last ``stall_s`` seconds.

    What a step costs without a prompt and what a prompt's token adds are taken from the latest
    steps, so they follow the machine's load and the growing cost of attention. A slower step counts
    at once, a quicker one half: who waits is hurt by what was guessed too low. Where decoding alone
    takes long, prompts still get half of ``stall_s``.
    """

    def __init__(self, most: int, stall_s: float) -> None:
        self._most = most
        self._stall_s = stall_s
        self._decode_s = 0.0
        self._token_s: float | None = None

    def tokens(self, *, decoding: bool) -> int:
        """Prompt tokens for the next step."""
        if not decoding:
            return self._most
        if self._token_s is None:
            return min(self._most, FIRST)
        time_s = max(self._stall_s - self._decode_s, self._stall_s / 2)
        return min(self._most, max(LEAST, int(time_s / self._token_s)))

    def expected_s(self, waiting: int) -> float:
        """How long the next step may take beside those who decode, ``waiting`` prompt tokens."""
        if not waiting:
            return self._decode_s
        if self._token_s is None:
            return self._stall_s
        return self._decode_s + min(waiting, self.tokens(decoding=True)) * self._token_s

    def measured(self, tokens: int, seconds: float, *, decoding: bool) -> None:
        """A step with ``tokens`` of prompts, and perhaps with others decoding, took ``seconds``."""
        if not tokens:
            self._decode_s = (self._decode_s + seconds) / 2
        # A few tokens cost about as much as one: such a step says little about many.
        elif tokens >= LEAST:
            spent = seconds - self._decode_s if decoding else seconds
            token_s = max(spent, 1e-9) / tokens
            before = token_s if self._token_s is None else self._token_s
            self._token_s = max(token_s, (before + token_s) / 2)
