"""Where keys and values live: bytes and places; which request gets which page is decided above."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from paddock.errors import GenerationError
from paddock.inference.checkpoint.config import ModelConfig
from paddock.inference.runtimes.base import Limits, Work
from paddock.inference.runtimes.torch.devices import DTYPES


@dataclass(frozen=True, slots=True)
class Row:
    """One request in a step: its tokens are ``first`` to ``first + n - 1`` of the T of the step."""

    first: int
    n: int
    start: int
    pages: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Window:
    """What ``get_padded`` reads: the first ``length`` positions of each request.

    ``first`` is the page of the first request where the others' follow it; else ``tables`` has the
    page numbers (requests, pages) and the read is a gathered copy.
    """

    first: int | None
    length: int
    tables: Tensor | None = None


@dataclass(frozen=True, slots=True)
class Placement:
    """A step's requests laid out for a cache, worked out once for all layers.

    ``positions`` and ``slots`` are (T,): place in the text and in the cache. ``sampled`` holds the
    indices whose logits are wanted, None meaning all T. ``mask`` and ``window`` serve
    ``get_padded``. A recorded step (graphs.py) has no ``rows``: all that changes is in tensors.
    """

    rows: tuple[Row, ...]
    positions: Tensor
    slots: Tensor
    sampled: Tensor | None
    all_single: bool
    mask: Tensor | None
    window: Window | None = None


class KVCache(Protocol):
    """Keys and values of all layers. ``page_size`` positions make a page."""

    page_size: int
    n_pages: int

    def place(self, work: Sequence[Work]) -> Placement:
        """Lays out a step. Raises GenerationError if a page is missing or does not exist."""
        ...

    def put(self, layer: int, kv: Tensor, placed: Placement) -> None:
        """Stores (T, 2 n_kv_heads, head_dim) of one layer, keys above values, at the places."""
        ...

    def get(self, layer: int, row: Row) -> tuple[Tensor, Tensor]:
        """Keys and values (n_kv_heads, start + n, head_dim) of one request, new ones included."""
        ...

    def get_padded(
        self, layer: int, placed: Placement
    ) -> tuple[Tensor, Tensor, Tensor | None] | None:
        """Keys, values (rows, n_kv_heads, longest, head_dim) and mask (rows, 1, 1, longest).

        For steps of one token per request. None without a window; the caller then goes row by row.
        """
        ...

    def window(self, work: Sequence[Work]) -> int | None:
        """The page of the first request if the others' single pages follow it, else None."""
        ...


class ContiguousCache:
    """One page per request, as long as the context: reading is a view, nothing is gathered."""

    def __init__(
        self, config: ModelConfig, dtype: str, device: torch.device, max_seq_len: int, n_pages: int
    ) -> None:
        self.page_size = max_seq_len
        self.n_pages = n_pages
        heads = config.n_kv_heads
        shape = (config.n_layers, n_pages, 2 * heads, max_seq_len, config.head_dim)
        # Zeros: padded reads multiply unwritten values by 0, which NaN would survive. The kernel
        # hands out such memory only when it is first written.
        self.kv = torch.zeros(shape, dtype=DTYPES[dtype], device=device).unbind(0)
        self.keys = tuple(layer[:, :heads] for layer in self.kv)
        self.values = tuple(layer[:, heads:] for layer in self.kv)

    def place(self, work: Sequence[Work]) -> Placement:
        """See KVCache."""
        return _place(work, self, self.kv[0].device)

    def put(self, layer: int, kv: Tensor, placed: Placement) -> None:
        """See KVCache."""
        if len(placed.rows) == 1:
            row = placed.rows[0]
            self.kv[layer][row.pages[0]].narrow(1, row.start, row.n).copy_(kv.transpose(0, 1))
            return
        pages = placed.slots.div(self.page_size, rounding_mode="floor")
        self.kv[layer][pages, :, placed.positions] = kv

    def get(self, layer: int, row: Row) -> tuple[Tensor, Tensor]:
        """See KVCache."""
        page, end = row.pages[0], row.start + row.n
        return self.keys[layer][page, :, :end], self.values[layer][page, :, :end]

    def get_padded(
        self, layer: int, placed: Placement
    ) -> tuple[Tensor, Tensor, Tensor | None] | None:
        """See KVCache."""
        window = placed.window
        if window is None:
            return None
        keys, values = (
            self.keys[layer][:, :, : window.length],
            self.values[layer][:, :, : window.length],
        )
        if window.first is None:
            assert window.tables is not None
            pages = window.tables[:, 0]
            return keys.index_select(0, pages), values.index_select(0, pages), placed.mask
        requests = slice(window.first, window.first + len(placed.positions))
        return keys[requests], values[requests], placed.mask

    def window(self, work: Sequence[Work]) -> int | None:
        """See KVCache."""
        first = work[0].pages[0]
        follow = all(item.pages[0] == first + i for i, item in enumerate(work))
        return first if follow else None


class PagedCache:
    """Pages of a few positions each, given out one by one: no request holds more than it uses."""

    def __init__(
        self, config: ModelConfig, dtype: str, device: torch.device, page_size: int, n_pages: int
    ) -> None:
        self.page_size = page_size
        self.n_pages = n_pages
        shape = (config.n_layers, n_pages * page_size, 2 * config.n_kv_heads, config.head_dim)
        self.kv = torch.zeros(shape, dtype=DTYPES[dtype], device=device).unbind(0)
        self._offsets = torch.arange(page_size, device=device)

    def place(self, work: Sequence[Work]) -> Placement:
        """See KVCache."""
        return _place(work, self, self.kv[0].device)

    def put(self, layer: int, kv: Tensor, placed: Placement) -> None:
        """See KVCache."""
        self.kv[layer].index_copy_(0, placed.slots, kv)

    def get(self, layer: int, row: Row) -> tuple[Tensor, Tensor]:
        """See KVCache."""
        pages = torch.tensor(row.pages, device=self._offsets.device).unsqueeze(1)
        slots = (pages * self.page_size + self._offsets).view(-1)[: row.start + row.n]
        key, value = self.kv[layer].index_select(0, slots).transpose(0, 1).chunk(2)
        return key, value

    def get_padded(
        self, layer: int, placed: Placement
    ) -> tuple[Tensor, Tensor, Tensor | None] | None:
        """See KVCache. Pages are scattered: a copy, made in recorded steps only."""
        window = placed.window
        if window is None or window.tables is None:
            return None
        slots = (window.tables.unsqueeze(-1) * self.page_size + self._offsets).flatten(1)
        gathered = self.kv[layer][slots[:, : window.length]].transpose(1, 2)
        key, value = gathered.chunk(2, 1)
        return key, value, placed.mask

    def window(self, work: Sequence[Work]) -> int | None:
        """See KVCache."""
        return None


def new_cache(
    kind: str, config: ModelConfig, dtype: str, device: torch.device, limits: Limits
) -> KVCache:
    """A ``contiguous`` or ``paged`` cache of the size that ``limits`` says."""
    if kind == "contiguous":
        return ContiguousCache(config, dtype, device, limits.page_size, limits.n_pages)
    return PagedCache(config, dtype, device, limits.page_size, limits.n_pages)


def bytes_per_position(config: ModelConfig, dtype: str) -> int:
    """What one position of one request costs, keys and values of all layers, in bytes."""
    return 2 * config.n_layers * config.n_kv_heads * config.head_dim * DTYPES[dtype].itemsize


def _place(work: Sequence[Work], cache: KVCache, device: torch.device) -> Placement:
    rows: list[Row] = []
    positions: list[int] = []
    slots: list[int] = []
    sampled: list[int] = []
    for item in work:
        n, end = len(item.tokens), item.start + len(item.tokens)
        check_pages(item, end, cache)
        rows.append(Row(len(positions), n, item.start, item.pages))
        positions.extend(range(item.start, end))
        for position in range(item.start, end):
            page, offset = divmod(position, cache.page_size)
            slots.append(item.pages[page] * cache.page_size + offset)
        if item.sampling is not None:
            sampled.append(len(positions) - 1)
    all_single = all(row.n == 1 for row in rows)
    mask = window = None
    first = cache.window(work) if all_single and work else None
    if first is not None:
        window = Window(first, max(row.start for row in rows) + 1)
        if len({row.start for row in rows}) > 1:
            ends = torch.tensor([row.start for row in rows], device=device).view(-1, 1, 1, 1)
            mask = torch.arange(window.length, device=device) <= ends
    return Placement(
        tuple(rows),
        torch.tensor(positions, device=device),
        torch.tensor(slots, device=device),
        None
        if len(sampled) == len(positions)
        else torch.tensor(sampled, dtype=torch.long, device=device),
        all_single,
        mask,
        window,
    )


def check_pages(item: Work, end: int, cache: KVCache) -> None:
    """Raises GenerationError unless ``item``'s pages exist and hold positions up to ``end``."""
    if not item.tokens:
        raise GenerationError(f"request {item.request} has no tokens in this step")
    if len(item.pages) * cache.page_size < end:
        raise GenerationError(
            f"request {item.request} needs positions up to {end}, its {len(item.pages)} pages"
            f" hold {len(item.pages) * cache.page_size}"
        )
    bad = [page for page in item.pages if not 0 <= page < cache.n_pages]
    if bad:
        raise GenerationError(
            f"request {item.request} names page {bad[0]}; there are {cache.n_pages}"
        )
