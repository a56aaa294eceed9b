"""Drives a model in this process, through the engine that answers users, and keeps the time."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from paddock import settings
from paddock.bench.passes import Passes
from paddock.bench.storage import of_runtime
from paddock.bench.turn import Turn
from paddock.inference.checkpoint import store
from paddock.inference.checkpoint.open import open_checkpoint
from paddock.inference.engine.engine import Engine
from paddock.inference.engine.options import EngineOptions
from paddock.inference.engine.request import Request
from paddock.inference.llm import LLM


class Local:
    """An opened model as an Engine of a measurement.

    ``passes``, if there are any, take turns with the steps of decoding; their time is left out.
    """

    def __init__(self, llm: LLM, use_past: bool = True) -> None:
        """``use_past=False`` has every token compute the whole text anew."""
        self.llm = llm
        self.passes: Passes | None = None
        self._use_past = use_past
        self.config = llm.config
        # Where a head has more rows than the tokenizer has words all are computed, as other engines
        # do, and there is no text for some.
        spelled = llm.tokenizer.vocab_size >= llm.runtime.limits.vocab_size
        self._engine = llm.engine if spelled else Engine(llm.runtime, options=llm.engine.options)
        self.storage = of_runtime(llm.runtime, llm.config)

    @classmethod
    def open(
        cls,
        model: str | Path | None,
        *,
        threads: int,
        length: int,
        batch: int,
        quant: str | None = None,
        use_past: bool = True,
        **options: Any,
    ) -> Local:
        """Opens ``model`` with room for ``batch`` sequences of ``length`` positions.

        ``max_seq_len`` among the options keeps room for more.
        """
        if quant is not None:
            options["quant"] = quant
        if not use_past and options.get("runtime") == "mindspore":
            options["use_past"] = False  # MindFormers' model is another one then
        options.setdefault("max_seq_len", length)
        path = store.locate(str(model) if model is not None else None, settings.load())
        # All rows of the head, whatever the tokenizer's size: less work would flatter.
        options["vocab_size"] = open_checkpoint(path).config().vocab_size
        # All prompts in one step: sequences that are to be decoded at once begin at once.
        tokens = batch * length if batch > 1 else EngineOptions().prefill_tokens
        engine = EngineOptions(prefill_tokens=tokens, reuse_prefixes=False)
        llm = LLM.open(path, threads=threads, max_batch=batch, engine=engine, **options)
        return cls(llm, use_past)

    def run(self, prompts: Sequence[Sequence[int]], new_tokens: int) -> Turn:
        """See rounds.Engine. Nothing ends an answer early; texts are made as for a user."""
        requests = [
            Request(prompt, max_new_tokens=new_tokens, use_past=self._use_past)
            for prompt in prompts
        ]
        tokens: list[list[int]] = [[] for _ in prompts]
        times: list[list[float]] = [[] for _ in prompts]
        if self.passes is not None:
            self.passes.begin()
        begin, passed, first = time.perf_counter(), 0.0, 0.0
        for event in self._engine.stream(requests):
            assert event.token is not None, "an answer without an end has a token a step"
            now = time.perf_counter() - begin - passed
            tokens[event.request].append(event.token)
            times[event.request].append(now)
            if self.passes is not None and all(times):
                first = first or now
                passed += self.passes.between(now - first)
        read = self.passes.bytes_per_s if self.passes is not None else None
        return Turn(tuple(map(tuple, tokens)), tuple(map(tuple, times)), read)

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
