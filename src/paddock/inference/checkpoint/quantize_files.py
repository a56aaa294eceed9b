"""Writes a checkpoint with its matrices quantized, one tensor at a time, all of it or nothing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from paddock.errors import UsageError
from paddock.inference.checkpoint import tokenizer_files
from paddock.inference.checkpoint.formats.hf_writer import HfWriter, nbytes
from paddock.inference.checkpoint.open import open_reader
from paddock.inference.checkpoint.quantized import Quantized
from paddock.inference.checkpoint.reader import Reader
from paddock.inference.checkpoint.recipe import HEAD, HEAD_BITS
from paddock.inference.checkpoint.target import check_target, stream, write_whole
from paddock.inference.checkpoint.verify import check_headers, gate


def quantize_files(
    src: str | Path,
    dst: str | Path,
    *,
    bits: int,
    head_bits: int | None = HEAD_BITS,
    search: bool = True,
    max_shard_bytes: int = 5_000_000_000,
    overwrite: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> Path:
    """Writes the checkpoint at ``src`` with weights in ``bits`` into the folder ``dst``.

    What is quantized, and how: ``Recipe.make`` and ``quantize``. A GGUF file of Q4_0 or Q8_0 keeps
    its numbers bit for bit where it has no more bits than asked for. Memory: one tensor and its
    packed form. ``progress(done, total)`` counts bytes of the target. After an error nothing is
    left. Raises UsageError for wishes that cannot be honoured, CheckpointError for what cannot be
    read, quantized or written.
    """
    src, dst = Path(src), Path(dst)
    reader = open_reader(src)
    check_headers(reader, reader.weights(), reader.config())
    quantized = Quantized(reader, bits, head_bits=head_bits, search=search)
    _check_worth(src, quantized, bits)
    check_target(src, dst, overwrite)
    layout = quantized.recipe.layout(quantized.config())
    sizes = {name: float(nbytes(entry)) for name, entry in layout.items()}
    return write_whole(
        dst,
        round(sum(sizes.values())),
        lambda folder: _fill(reader, quantized, folder, max_shard_bytes, sizes, progress),
    )


def _check_worth(src: Path, quantized: Quantized, bits: int) -> None:
    """Refuses to write weights of few bits under the name of more."""
    shapes = quantized.config().shapes()
    found = {
        quantized.recipe.bits_of(name, shape) for name, shape in shapes.items() if name != HEAD
    } - {None}
    if found and bits not in found:
        has = max(one for one in found if one)
        raise UsageError(
            f"{src} has weights in {has} bits; {bits} would bring nothing back",
            hint=f"with {has} bits they are kept",
        )


def _fill(
    reader: Reader,
    quantized: Quantized,
    folder: Path,
    max_shard_bytes: int,
    sizes: dict[str, float],
    progress: Callable[[int, int], None] | None,
) -> Path:
    config = quantized.config()
    tokenizer_files.carry(reader, folder, config, "paddock")
    writer = HfWriter(folder, config, 1, max_shard_bytes, quantized.recipe)
    stream(gate(quantized, quantized.pieces(), config), writer, sizes, progress)
    return folder
