"""The native runtime: one model, one cache and a few threads behind the Runtime contract."""

from __future__ import annotations

import ctypes
import weakref
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from paddock.errors import DeviceError, GenerationError
from paddock.inference.checkpoint.config import ModelConfig
from paddock.inference.runtimes.base import Batch, Choice, Limits, SamplingParams, Work
from paddock.inference.runtimes.native import library
from paddock.inference.runtimes.native.cache import KVCache
from paddock.inference.runtimes.native.requests import Slots
from paddock.inference.runtimes.native.rope import rotary_table
from paddock.inference.runtimes.native.weights import Weights

Floats = npt.NDArray[np.float32]


class NativeRuntime:
    """Runs steps; see ``runtimes/base.py`` for the contract.

    What a request gets is bit for bit the same alone and in a batch, however its prompt is cut into
    steps and whatever the number of threads; between instruction sets roundings differ. After
    ``os.fork`` the child's copy works too, on the calling thread alone; forking in the middle of a
    step is not supported.
    """

    def __init__(
        self,
        config: ModelConfig,
        weights: Weights,
        cache: KVCache,
        limits: Limits,
        threads: int,
        instructions: str = "best",
        dtype: str = "auto",
    ) -> None:
        """``limits.vocab_size`` may be less than the model's. Raises DeviceError.

        ``dtype`` is what was asked of unquantized matrices; ``auto`` is the stored one.
        """
        number = library.instruction_set(instructions)
        self.config = config
        self.limits = limits
        self.dtype = config.dtype if dtype == "auto" else dtype
        self.kv = cache.kind
        self.formats = weights.formats
        self.threads = threads
        self.instructions = library.instructions_in_use(number)
        cos, sin = rotary_table(config, limits.max_seq_len)
        model = library.Model(
            weights.embeddings,
            weights.output,
            weights.norm,
            cos.ctypes.data,
            sin.ctypes.data,
            ctypes.cast(weights.layers, ctypes.c_void_p),
            cache.described,
            config.n_layers,
            config.n_heads,
            config.hidden_dim,
            limits.vocab_size,
            config.norm_eps,
        )
        self._kept: tuple[object, ...] = (weights, cache, cos, sin)
        lib = library.library()
        handle = lib.paddock_open(model, threads, number)
        if not handle:
            raise DeviceError("memory is short for another model")
        self._step = lib.paddock_step
        self._handle: int | None = handle
        self._free = weakref.finalize(self, lib.paddock_close, handle)
        self._slots = Slots(limits)

    def step(self, batch: Batch) -> list[Choice]:
        """See Runtime."""
        self._run(batch.work)
        return self._slots.choices(batch.work)

    def logits(self, batch: Batch) -> Floats:
        """fp32 logits (S, vocab_size) of the works that sample, for tests and perplexity.

        A work with guesses has ``1 + n_draft`` rows.
        """
        wanted = sum(1 + item.n_draft for item in batch.work if item.sampling is not None)
        out = np.empty((wanted, self.limits.vocab_size), np.float32)
        self._run(batch.work, out)
        return out

    def all_logits(self, tokens: Sequence[int]) -> Floats:
        """fp32 logits (len(tokens), vocab_size) at every position of one text.

        Overwrites the cache from page 0 on; for perplexity and tests, not beside running requests.
        """
        pages = tuple(range(-(-len(tokens) // self.limits.page_size)))
        work = Work(0, tokens, 0, pages, SamplingParams(), n_draft=len(tokens) - 1)
        return self.logits(Batch((work,)))

    def close(self) -> None:
        """See Runtime."""
        self._handle = None
        self._free()
        self._kept = ()

    def _run(self, work: Sequence[Work], logits: Floats | None = None) -> None:
        if self._handle is None:
            raise GenerationError("this runtime is closed")
        slots = self._slots
        slots.fill(work)
        results = slots.results
        if logits is not None:
            results = library.Results(logits.ctypes.data)  # and nothing is chosen
        if self._step(self._handle, slots.requests, len(work), ctypes.addressof(results)):
            raise GenerationError(
                "memory is short for this step", hint="use a smaller batch or a shorter prompt"
            )
