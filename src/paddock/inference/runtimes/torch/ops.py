"""The few operations that a device may have fused: plain torch, or one call to its own kernel."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F


@dataclass(frozen=True, slots=True)
class Ops:
    """What the model calls instead of naming a device.

    * ``rms_norm(x, weight, eps)``: (T, dim) to (T, dim), arXiv 1910.07467.
    * ``angles(sin)``: what ``rotate`` wants of the table whose first half carries a minus sign.
    * ``rotate(x, cos, sin)``: rotary embedding of (T, heads, head_dim), tables of the same shape.
    * ``decode(query, key, value, mask)``: one new token per request. ``query`` is
      (B, n_kv_heads, group, head_dim), keys and values (B, n_kv_heads, length, head_dim), ``mask``
      (B, 1, 1, length), true where a position counts, or None if all do; the result is shaped as
      ``query``.
    """

    rms_norm: Callable[[Tensor, Tensor, float], Tensor]
    angles: Callable[[Tensor], Tensor]
    rotate: Callable[[Tensor, Tensor, Tensor], Tensor]
    decode: Callable[[Tensor, Tensor, Tensor, Tensor | None], Tensor]


def _rms_norm(x: Tensor, weight: Tensor, eps: float) -> Tensor:
    wide = x.float()
    # Twice as fast for one token on a CPU as F.rms_norm, which takes the same steps inside.
    squares = (wide * wide).sum(-1, keepdim=True)
    scale = squares.mul_(1 / x.shape[-1]).add_(eps).rsqrt_()
    # Rounded before the weight is applied, as the reference implementations do.
    return (wide * scale).to(x.dtype) * weight


def _rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """``sin`` is signed, so that swapping the halves of a head is all that is left to do."""
    half = x.shape[-1] // 2
    swapped = torch.cat((x[..., half:], x[..., :half]), -1)
    return torch.addcmul(x * cos, swapped, sin)


def _decode(query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None) -> Tensor:
    """The query heads of a group stand where positions would: no key is repeated."""
    return F.scaled_dot_product_attention(query, key, value, attn_mask=mask)


PLAIN = Ops(_rms_norm, lambda sin: sin, _rotate, _decode)
"""Torch's own operations, on any device."""


def npu_ops(torch_npu: Any) -> Ops:
    """The fused kernels of ``torch_npu``, the imported module. Unverified on hardware.

    Source of names, layouts and the sense of masks: Ascend/op-plugin, docs/context, for
    ``npu_rms_norm``, ``npu_rotary_mul`` (half mode) and ``npu_incre_flash_attention`` (there a
    true mask hides a position).
    """

    def rms_norm(x: Tensor, weight: Tensor, eps: float) -> Tensor:
        normed: Tensor = torch_npu.npu_rms_norm(x, weight, epsilon=eps)[0]
        return normed

    def angles(sin: Tensor) -> Tensor:
        half = sin.shape[-1] // 2
        return torch.cat((-sin[..., :half], sin[..., half:]), -1)

    def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        # (B, S, N, D) with the tokens of all requests as S.
        turned: Tensor = torch_npu.npu_rotary_mul(
            x.unsqueeze(0), cos.unsqueeze(0), sin.unsqueeze(0)
        )
        return turned[0]

    def decode(query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None) -> Tensor:
        batch, kv_heads, group, head_dim = query.shape
        attended: Tensor = torch_npu.npu_incre_flash_attention(
            query.reshape(batch, kv_heads * group, 1, head_dim),
            key.contiguous(),
            value.contiguous(),
            atten_mask=None if mask is None else ~mask,
            num_heads=kv_heads * group,
            num_key_value_heads=kv_heads,
            scale_value=1 / math.sqrt(head_dim),
            input_layout="BNSD",
        )
        return attended.view(batch, kv_heads, group, head_dim)

    return Ops(rms_norm, angles, rotate, decode)
