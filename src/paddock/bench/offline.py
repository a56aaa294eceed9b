"""Drives a model in this process, through the engine that answers users, and keeps the time."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from paddock.bench.cost import Storage
from paddock.bench.turn import Turn
from paddock.errors import UsageError
from paddock.inference.engine.request import Request
from paddock.inference.llm import LLM


class Local:
    """An opened model as an Engine of a measurement."""

    def __init__(self, llm: LLM, quant: str | None = None) -> None:
        self.llm = llm
        self.config = llm.config
        self.storage = storage_of(llm, quant)

    @classmethod
    def open(
        cls,
        model: str | Path | None,
        *,
        threads: int,
        length: int,
        batch: int,
        quant: str | None = None,
        **options: Any,
    ) -> Local:
        """Opens ``model`` with room for ``batch`` sequences of ``length`` positions."""
        if quant is not None:
            options["quant"] = quant
        llm = LLM.open(model, threads=threads, max_seq_len=length, max_batch=batch, **options)
        return cls(llm, quant)

    def run(self, prompts: Sequence[Sequence[int]], new_tokens: int) -> Turn:
        """See rounds.Engine. Nothing ends an answer early; texts are made as for a user."""
        requests = [Request(prompt, max_new_tokens=new_tokens) for prompt in prompts]
        tokens: list[list[int]] = [[] for _ in prompts]
        times: list[list[float]] = [[] for _ in prompts]
        begin = time.perf_counter()
        for event in self.llm.engine.stream(requests):
            tokens[event.index].append(event.token)
            times[event.index].append(time.perf_counter() - begin)
        return Turn(tuple(map(tuple, tokens)), tuple(map(tuple, times)))

    def pause(self) -> None:
        """See rounds.Engine: an idle runtime's threads sleep."""

    def resume(self) -> None:
        """See rounds.Engine."""

    def discard(self) -> None:
        """See rounds.Engine."""
        self.close()

    def close(self) -> None:
        """Frees the model."""
        self.llm.close()


def storage_of(llm: LLM, quant: str | None) -> Storage:
    """How the runtime holds the model, from what it says about itself."""
    told = getattr(llm.runtime, "storage", None)
    if isinstance(told, dict):
        return Storage(**told)
    dtype = getattr(llm.runtime, "dtype", llm.config.dtype)
    if quant is not None:
        raise UsageError(f"the runtime does not say how it holds {quant} weights")
    return Storage(dtype, dtype, dtype, dtype, dtype)
