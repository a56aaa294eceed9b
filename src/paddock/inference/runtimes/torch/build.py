"""From a checkpoint and a few wishes to a TorchRuntime, refusing early what cannot fit."""

from __future__ import annotations

from collections.abc import Callable

import torch

from paddock.errors import DeviceError, UsageError
from paddock.inference.checkpoint.base import Checkpoint
from paddock.inference.checkpoint.memory import available_bytes, ensure_fits
from paddock.inference.runtimes.base import Limits
from paddock.inference.runtimes.torch import devices, weights
from paddock.inference.runtimes.torch.cache import bytes_per_position, new_cache
from paddock.inference.runtimes.torch.graphs import GraphedDecoder
from paddock.inference.runtimes.torch.llama import Llama
from paddock.inference.runtimes.torch.quantize import check_kind
from paddock.inference.runtimes.torch.runtime import TorchRuntime

PAGE_SIZE = 32


def build(
    checkpoint: Checkpoint,
    *,
    device: str = "auto",
    dtype: str = "auto",
    max_seq_len: int | None = None,
    max_batch: int = 8,
    cache: str = "contiguous",
    threads: int | None = None,
    vocab_size: int | None = None,
    quant: str | None = None,
    graphs: bool | None = None,
    compiled: bool = False,
    transform: Callable[[Llama], None] | None = None,
    sharers: int = 1,
) -> TorchRuntime:
    """Loads ``checkpoint``; ``max_seq_len`` defaults to the model's context, at most 4,096.

    ``vocab_size`` is how many ids may be read and chosen where the model has more rows than the
    tokenizer has words (rows that only round its size up). Memory for the weights and one full
    context must be there before anything is read (DoesNotFit); on CPUs the rest of the cache takes
    memory only as it is used.

    On an accelerator packed weights stay packed, and ``quant="fp8"`` makes the others e4m3; a CPU
    unpacks them. ``graphs`` records decode steps (graphs.py): None where the device can, True
    (DeviceError if it cannot) or False. ``compiled`` hands the recorded step to torch.compile: tens
    of seconds at the first token, then fewer launches and no unpacked matrix in memory.

    ``transform`` changes the loaded model in place (parallel/transform.py). ``sharers`` processes
    on this host do the same as this one at the same time, and share its memory.
    """
    check_kind(quant)
    if threads is not None:
        if threads < 1:
            raise UsageError(f"threads is {threads}", hint="use 1 or more")
        torch.set_num_threads(threads)
    config = checkpoint.config()
    chosen = devices.select(device)
    available = room(chosen, sharers)
    _check_wishes(chosen, quant, graphs, compiled)
    dtype = chosen.choose_dtype(dtype, config, available)
    limits = _limits(
        vocab_size or config.vocab_size, config.max_seq_len, max_seq_len, max_batch, cache
    )
    ensure_fits(config, dtype, limits.max_seq_len * bytes_per_position(config, dtype), available)
    if chosen.kind == "cpu":
        # Torch's own products of one token decide the layout.
        transposed = dtype == "fp32"
        model = weights.load(checkpoint, config, dtype, chosen.handle, transposed=transposed)
    else:
        model = weights.load_quantized(
            checkpoint, config, dtype, chosen.handle, fp8=quant == "fp8", ops=chosen.ops
        )
    if transform is not None:
        transform(model)
    kv = new_cache(cache, config, dtype, chosen.handle, limits)
    decoder: GraphedDecoder | None = None
    if chosen.capture is not None and graphs is not False:
        decoder = GraphedDecoder(model, kv, limits, chosen.capture, compiled=compiled)
    return TorchRuntime(model, kv, limits, dtype, decoder)


def room(chosen: devices.Device, sharers: int = 1) -> int:
    """Bytes for weights and cache: the device's own, or this process's share of the host's."""
    return chosen.free_bytes if chosen.free_bytes is not None else available_bytes() // sharers


def _check_wishes(
    chosen: devices.Device, quant: str | None, graphs: bool | None, compiled: bool
) -> None:
    """Refuses what the device cannot do rather than leaving it out."""
    if quant == "fp8" and chosen.kind == "cpu":
        raise DeviceError("fp8 weights are for GPUs", hint="use int8 or int4 on a CPU")
    if (graphs or compiled) and chosen.capture is None:
        raise DeviceError(
            f"{chosen.kind} records no graphs of steps", hint="leave graphs and compiled out"
        )
    if compiled and graphs is False:
        raise UsageError("compiled without graphs", hint="compiled steps are recorded ones")


def _limits(vocab: int, context: int, asked: int | None, max_batch: int, cache: str) -> Limits:
    if cache not in ("contiguous", "paged"):
        raise UsageError(f"cache is {cache!r}", hint="use contiguous or paged")
    if max_batch < 1:
        raise UsageError(f"max_batch is {max_batch}", hint="use 1 or more")
    if asked is not None and not 1 <= asked <= context:
        raise UsageError(
            f"max_seq_len is {asked}", hint=f"the model was made for 1 to {context} positions"
        )
    length = asked or min(context, 4096)
    if cache == "contiguous":
        return Limits(vocab, length, length, max_batch, max_batch)
    pages = -(-length // PAGE_SIZE) * max_batch
    return Limits(vocab, length, PAGE_SIZE, pages, max_batch)
