"""Meta's consolidated.NN.pth as tables of tensors, loaded so that no pickle can run code."""

from __future__ import annotations

import ctypes
import mmap
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from paddock.errors import (
    CheckpointError,
    CorruptCheckpoint,
    MissingExtra,
    UnsafeCheckpoint,
)
from paddock.inference.checkpoint.base import Array, TensorInfo, numpy_dtype

if TYPE_CHECKING:
    import torch


def import_torch() -> Any:
    """The torch module. Raises MissingExtra where it is not installed."""
    try:
        import torch
    except ImportError:
        raise MissingExtra("torch", "torch") from None
    return torch


class MetaShard:
    """One file: names and tensors, mapped rather than read. ``infos`` are this shard's parts."""

    def __init__(self, path: Path) -> None:
        """Raises UnsafeCheckpoint if the pickle holds anything but tensors and containers."""
        self.path = path
        # Files saved before torch 1.6 are no zip and cannot be mapped; they are read whole.
        try:
            self._mapped = zipfile.is_zipfile(path)
            with path.open("rb") as file:
                begins_as_zip = file.read(4) == b"PK\x03\x04"
        except OSError as error:
            raise CheckpointError(f"cannot read {path}: {error.strerror or error}") from error
        if begins_as_zip and not self._mapped:
            raise CorruptCheckpoint(f"{path} has no end: truncated")
        self._tensors = _load(path, self._mapped)
        self.infos = {name: self._info(name) for name in self._tensors}

    def array(self, name: str) -> Array:
        """The part of tensor ``name`` that lies in this shard, a view of the mapped file."""
        import torch

        info, tensor = self.infos[name], self._tensors[name]
        if info.dtype not in ("bf16", "fp16", "fp32"):
            raise CheckpointError(
                f"{self.path}: tensor {name!r} is stored as {info.dtype}",
                hint="only fp32, fp16 and bf16 weights are read",
            )
        if info.dtype == "bf16":  # numpy has no bfloat16 of its own to receive it
            bits: Array = tensor.detach().view(torch.int16).numpy()
            return bits.view(numpy_dtype("bf16"))
        array: Array = tensor.detach().numpy()
        return array

    def shares(self, one: str, other: str) -> bool:
        """Whether two names are the same memory, as a tied head's are."""
        if one not in self._tensors or other not in self._tensors:
            return False
        a, b = self._tensors[one], self._tensors[other]
        return a.data_ptr() == b.data_ptr() and a.shape == b.shape and a.stride() == b.stride()

    def give_back(self, name: str) -> None:
        """Drops the tensor's pages from resident memory, if they can be read again."""
        if not self._mapped or not hasattr(mmap, "MADV_DONTNEED"):
            return
        storage = self._tensors[name].untyped_storage()
        first = storage.data_ptr() // mmap.PAGESIZE * mmap.PAGESIZE
        length = storage.data_ptr() + storage.nbytes() - first
        # torch offers no way to say this about a mapping of its own. Failure changes nothing.
        libc = ctypes.CDLL(None)
        libc.madvise(ctypes.c_void_p(first), ctypes.c_size_t(length), mmap.MADV_DONTNEED)

    def _info(self, name: str) -> TensorInfo:
        import torch

        tensor = self._tensors[name]
        if tensor.layout is not torch.strided or tensor.device.type != "cpu":
            raise CheckpointError(f"{self.path}: tensor {name!r} is not a plain dense tensor")
        ours = {torch.bfloat16: "bf16", torch.float16: "fp16", torch.float32: "fp32"}
        dtype = ours.get(tensor.dtype, str(tensor.dtype))
        nbytes = tensor.numel() * tensor.element_size()
        return TensorInfo(name, tuple(tensor.shape), dtype, nbytes, self.path)


def _load(path: Path, mapped: bool) -> dict[str, torch.Tensor]:
    torch = import_torch()
    try:
        loaded = torch.load(path, map_location="cpu", mmap=mapped, weights_only=True)
    except Exception as error:
        # A damaged file makes torch's unpickler fail in many ways; none of them is ours to tell
        # apart except the refusal to run code.
        text = str(error)
        if "unsupported" in text.lower():
            raise UnsafeCheckpoint(
                f"{path} holds more than tensors: {_reason(text)}",
                hint="its pickle could run any program, so it is not loaded",
            ) from error
        raise CorruptCheckpoint(f"{path} cannot be read: {_reason(text)}") from error
    if not isinstance(loaded, dict):
        raise CorruptCheckpoint(f"{path} holds {type(loaded).__name__}, not a table of tensors")
    for name, value in loaded.items():
        if not isinstance(name, str) or not isinstance(value, torch.Tensor):
            raise CorruptCheckpoint(
                f"{path}: {name!r} is {type(value).__name__}, not a tensor",
                hint="expected is a flat table of tensors, as Meta publishes it",
            )
    return loaded


def _reason(text: str) -> str:
    """The line of torch's long message that says what is wrong, without its advice to trust."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    telling = [line for line in lines if "unsupported" in line.lower() or "Unpickler" in line]
    line = (telling or lines or ["no reason given"])[0]
    return line.rpartition("WeightsUnpickler error:")[2].strip()[:200]
