"""What a tokenizer's call returns, and how padding and truncation were asked for."""

from __future__ import annotations

from typing import Any

from paddock.errors import UsageError, nearest
from paddock.inference.auto import notice
from paddock.inference.auto.mapping import AttributeDict

_PADDING = {
    True: "longest",
    "longest": "longest",
    "max_length": "max_length",
    False: None,
    None: None,
    "do_not_pad": None,
}
_TRUNCATION = {
    True: True,
    "longest_first": True,
    "only_first": True,
    False: False,
    "do_not_truncate": False,
}


class BatchEncoding(AttributeDict):
    """``input_ids`` and ``attention_mask``, by item or attribute."""


def strategies(
    padding: bool | str | None, truncation: bool | str | None, max_length: int | None
) -> tuple[str | int | None, int | None]:
    """What to pad to (``longest``, a length, or None) and where to cut (a length or None)."""
    if padding not in _PADDING:
        raise UsageError(
            f"padding is {padding!r}{nearest(str(padding), ['longest', 'max_length'])}",
            hint="use True, False, longest or max_length",
        )
    if truncation is not None and truncation not in _TRUNCATION:
        raise UsageError(f"truncation is {truncation!r}", hint="use True or False")
    pad_to: str | int | None = _PADDING[padding]
    if pad_to == "max_length":
        if max_length is None:
            notice.once("padding='max_length' without max_length pads nothing")
        pad_to = max_length
    return pad_to, max_length if truncation and _TRUNCATION[truncation] else None


def shaped(batch: list[list[int]], single: bool, kind: str | None) -> Any:
    """``batch``, or its only row, as lists (None) or as an array of ``kind`` np, ms or pt."""
    value: Any = batch[0] if single else batch
    if kind is None:
        return value
    if kind not in ("np", "ms", "pt"):
        raise UsageError(f"return_tensors is {kind!r}", hint="use np, ms, pt or None")
    if len({len(row) for row in batch}) > 1:
        raise UsageError("texts of different lengths make no tensor", hint="give padding=True")
    if kind == "pt":
        import torch

        return torch.tensor(value)
    from paddock.inference.auto.tensor import Tensor, int32

    tensor = Tensor(value, int32)
    return tensor if kind == "ms" else tensor.asnumpy()
