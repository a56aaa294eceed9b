"""llama.cpp through llama-cpp-python's C interface: its own greedy sampler, no Python per logit."""

from __future__ import annotations

import ctypes
import time
from collections.abc import Sequence
from typing import Any

DISTRIBUTION = "llama-cpp-python"
MODULE = "llama_cpp"

_N_BATCH = 512


def open(model: str, threads: int, length: int, batch: int, variant: dict[str, Any]) -> Engine:
    """``variant``: {"flash_attn": true or false}."""
    return Engine(model, threads, length, batch, flash_attn=bool(variant.get("flash_attn")))


class Engine:
    """One model and one context with room for ``batch`` sequences of ``length`` positions."""

    def __init__(self, path: str, threads: int, length: int, batch: int, flash_attn: bool) -> None:
        import llama_cpp

        self._lib: Any = llama_cpp
        llama_cpp.llama_backend_init()
        model_params = llama_cpp.llama_model_default_params()
        model_params.n_gpu_layers = 0
        self._model = llama_cpp.llama_model_load_from_file(path.encode(), model_params)
        if not self._model:
            raise ValueError(f"llama.cpp cannot load {path}")
        params = llama_cpp.llama_context_default_params()
        params.n_ctx = batch * length
        params.n_seq_max = batch
        params.n_batch = params.n_ubatch = _N_BATCH
        params.n_threads = params.n_threads_batch = threads
        params.no_perf = True
        if hasattr(params, "flash_attn_type"):
            params.flash_attn_type = int(flash_attn)
        else:
            params.flash_attn = flash_attn
        self._context = llama_cpp.llama_init_from_model(self._model, params)
        if not self._context:
            raise ValueError(f"llama.cpp cannot make a context of {params.n_ctx} positions")
        self._batch = llama_cpp.llama_batch_init(_N_BATCH, 0, 1)
        self._greedy = llama_cpp.llama_sampler_init_greedy()
        name = ctypes.create_string_buffer(256)
        llama_cpp.llama_model_desc(self._model, name, len(name))
        self.weights = name.value.decode()

    def __del__(self) -> None:
        lib = self._lib
        for name, free in (
            ("_greedy", lib.llama_sampler_free),
            ("_context", lib.llama_free),
            ("_model", lib.llama_model_free),
        ):
            if getattr(self, name, None):
                free(getattr(self, name))

    def run(
        self, prompts: Sequence[Sequence[int]], new_tokens: int
    ) -> tuple[list[list[int]], list[list[float]]]:
        """Greedy, from an empty cache; nothing ends a sequence early."""
        lib = self._lib
        lib.llama_memory_clear(lib.llama_get_memory(self._context), False)
        tokens: list[list[int]] = [[] for _ in prompts]
        times: list[list[float]] = [[] for _ in prompts]
        begin = time.perf_counter()
        for sequence, prompt in enumerate(prompts):
            for at in range(0, len(prompt), _N_BATCH):
                part = prompt[at : at + _N_BATCH]
                self._decode([(token, at + i, sequence) for i, token in enumerate(part)])
            tokens[sequence].append(self._choose(-1))
            times[sequence].append(time.perf_counter() - begin)
        for made in range(1, new_tokens):
            rows = [(tokens[i][-1], len(prompt) + made - 1, i) for i, prompt in enumerate(prompts)]
            self._decode(rows, everywhere=True)
            for i in range(len(prompts)):
                tokens[i].append(self._choose(i))
                times[i].append(time.perf_counter() - begin)
        return tokens, times

    def _decode(self, rows: Sequence[tuple[int, int, int]], everywhere: bool = False) -> None:
        """One step of (token, position, sequence); logits of all rows or of the last one."""
        batch = self._batch
        batch.n_tokens = len(rows)
        for i, (token, position, sequence) in enumerate(rows):
            batch.token[i] = token
            batch.pos[i] = position
            batch.n_seq_id[i] = 1
            batch.seq_id[i][0] = sequence
            batch.logits[i] = everywhere or i == len(rows) - 1
        code = self._lib.llama_decode(self._context, batch)
        if code:
            raise ValueError(f"llama_decode returned {code}")

    def _choose(self, row: int) -> int:
        return int(self._lib.llama_sampler_sample(self._greedy, self._context, row))
