"""llama.cpp through xllamacpp's prebuilt wheels, which hold its server."""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

DISTRIBUTION = "xllamacpp"
MODULE = "xllamacpp"

_N_BATCH = 512


def open(model: str, threads: int, length: int, batch: int, variant: dict[str, Any]) -> Engine:
    """``variant``: {"flash_attn": true or false}."""
    return Engine(model, threads, length, batch, flash_attn=bool(variant.get("flash_attn")))


class Engine:
    """llama.cpp's server in this process, with a slot for each sequence."""

    def __init__(self, path: str, threads: int, length: int, batch: int, flash_attn: bool) -> None:
        import xllamacpp

        params = xllamacpp.CommonParams()
        params.model.path = path
        params.n_gpu_layers = 0
        params.n_parallel = batch
        params.n_ctx = batch * length
        params.n_batch = params.n_ubatch = _N_BATCH
        params.cpuparams.n_threads = params.cpuparams_batch.n_threads = threads
        kinds = xllamacpp.llama_flash_attn_type
        params.flash_attn_type = (
            kinds.LLAMA_FLASH_ATTN_TYPE_ENABLED
            if flash_attn
            else kinds.LLAMA_FLASH_ATTN_TYPE_DISABLED
        )
        params.cache_prompt = False
        params.warmup = False  # the first turn is reported apart
        self._server = xllamacpp.Server(params)
        self.weights = "as in the GGUF file"

    def run(
        self, prompts: Sequence[Sequence[int]], new_tokens: int
    ) -> tuple[list[list[None]], list[list[float]]]:
        """All prompts at once. Its answers hold no ids: those are None."""
        begin = time.perf_counter()
        with ThreadPoolExecutor(len(prompts)) as pool:
            times = list(pool.map(lambda p: self._one(list(p), new_tokens, begin), prompts))
        return [[None] * len(row) for row in times], times

    def _one(self, prompt: list[int], new_tokens: int, begin: float) -> list[float]:
        answer = self._server.handle_completions(
            {
                "prompt": prompt,
                "n_predict": new_tokens,
                "temperature": 0,
                "ignore_eos": True,
                "cache_prompt": False,
            }
        )
        end = time.perf_counter() - begin
        if "timings" not in answer:
            raise ValueError(f"the server answered {answer}")
        made = int(answer["usage"]["completion_tokens"])
        # The server tells when the first and the last token came; the others lie evenly between.
        spent = answer["timings"]["predicted_ms"] / 1000 if made > 1 else 0.0
        gap = spent / max(1, made - 1)
        return [end - gap * (made - 1 - i) for i in range(made)]
