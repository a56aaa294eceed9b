"""Decode steps that are recorded once and replayed: for devices that wait for the host otherwise.

A step of one token per request is some 20 small operations a layer, whose launches take longer than
their work on a GPU. Recorded with fixed addresses (a CUDA graph) they are launched at once. What
changes from step to step (tokens, positions, places) lies in tensors that are filled before.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from paddock.inference.runtimes.base import Limits, Work
from paddock.inference.runtimes.torch.cache import KVCache, Placement, Window, check_pages
from paddock.inference.runtimes.torch.devices import Capture
from paddock.inference.runtimes.torch.llama import Llama

SHORTEST = 256
"""Positions that the shortest recording reads; each next one reads twice as many."""


@dataclass(slots=True)
class _Recording:
    """The tensors that a recorded step reads, and how to run it again."""

    tokens: Tensor
    placed: Placement
    replay: Callable[[], Tensor] | None = None


class GraphedDecoder:
    """Steps in which every request has one token; ``compiled`` lets torch.compile fuse them too.

    A recording is made the first time that a number of requests, a length (rounded up to a power of
    two) and, in a contiguous cache, a first page come together. Not thread-safe.
    """

    def __init__(
        self,
        model: Llama,
        cache: KVCache,
        limits: Limits,
        capture: Capture,
        *,
        compiled: bool = False,
    ) -> None:
        self._model = model
        self._forward = torch.compile(model, dynamic=False) if compiled else model
        self._cache = cache
        self._limits = limits
        self._capture = capture
        self._recordings: dict[tuple[int, int, int | None], _Recording] = {}

    def step(self, work: Sequence[Work]) -> Tensor:
        """fp32 logits (len(work), vocab_size). The tensor is overwritten by the next step.

        Raises GenerationError before anything is touched if a page does not exist.
        """
        for item in work:
            check_pages(item, item.start + 1, self._cache)
        length = self._bucket(max(item.start for item in work) + 1)
        window = self._cache.window(work)
        key = (len(work), length, window)
        recording = self._recordings.get(key) or self._prepare(*key)
        self._fill(recording, work)
        if recording.replay is None:
            # Recorded with real inputs: what the trial runs write is what the step writes.
            recording.replay = self._capture(
                lambda: self._forward(recording.tokens, recording.placed, self._cache)
            )
            self._recordings[key] = recording
        return recording.replay()

    def close(self) -> None:
        """Frees the recordings."""
        self._recordings.clear()

    def _bucket(self, length: int) -> int:
        bucket = SHORTEST
        while bucket < length:
            bucket *= 2
        return min(bucket, self._limits.max_seq_len)

    def _prepare(self, rows: int, length: int, window: int | None) -> _Recording:
        device = self._model.cos.device

        def zeros(*shape: int) -> Tensor:
            return torch.zeros(*shape, dtype=torch.long, device=device)

        tables = None if window is not None else zeros(rows, -(-length // self._cache.page_size))
        mask = torch.zeros(rows, 1, 1, length, dtype=torch.bool, device=device)
        placed = Placement(
            (), zeros(rows), zeros(rows), None, True, mask, Window(window, length, tables)
        )
        return _Recording(zeros(rows), placed)

    def _fill(self, recording: _Recording, work: Sequence[Work]) -> None:
        placed, size = recording.placed, self._cache.page_size
        assert placed.mask is not None and placed.window is not None
        slots = [item.pages[item.start // size] * size + item.start % size for item in work]
        recording.tokens.copy_(torch.tensor([item.tokens[0] for item in work]))
        placed.positions.copy_(torch.tensor([item.start for item in work]))
        placed.slots.copy_(torch.tensor(slots))
        every = torch.arange(placed.window.length, device=placed.mask.device)
        torch.le(every, placed.positions.view(-1, 1, 1, 1), out=placed.mask)
        if placed.window.tables is not None:
            n = placed.window.tables.shape[1]
            tables = [(*item.pages[:n], *(n - len(item.pages)) * (0,)) for item in work]
            placed.window.tables.copy_(torch.tensor(tables))
