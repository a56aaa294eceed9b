"""What can be chosen about scheduling."""

from __future__ import annotations

from dataclasses import dataclass

from paddock.errors import UsageError


@dataclass(frozen=True, slots=True)
class EngineOptions:
    """How requests share the runtime.

    ``prefill_tokens`` of prompts are computed in one step at most, of all requests together: that
    bounds the memory of a step. While others are decoding, a step takes only as many as fit into
    ``stall_s`` seconds, judged by the steps before, so that a long prompt does not stop them.
    ``max_waiting`` requests may wait (None: any number). ``reuse_prefixes`` computes a beginning
    that several prompts share once; it needs a cache with pages shorter than the context.
    """

    prefill_tokens: int = 512
    stall_s: float = 0.05
    max_waiting: int | None = None
    reuse_prefixes: bool = True

    def __post_init__(self) -> None:
        if self.prefill_tokens < 1:
            raise UsageError(f"prefill_tokens is {self.prefill_tokens}", hint="use 1 or more")
        if not self.stall_s > 0:
            raise UsageError(f"stall_s is {self.stall_s}", hint="use a time above 0, in seconds")
        if self.max_waiting is not None and self.max_waiting < 0:
            raise UsageError(f"max_waiting is {self.max_waiting}", hint="use 0 or more, or None")
