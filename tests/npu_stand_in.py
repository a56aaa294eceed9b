"""A stand-in for an Ascend NPU: PyTorch's PrivateUse1 slot, which torch_npu takes, in Python.

Its tensors are of device ``npu``; memory and arithmetic are the CPU's behind the dispatcher's back.
What proves something: an operation that mixes its tensors with the CPU's fails, as it does on a
chip, and so does whatever asks for ``cuda``. The fused operations of ``torch_npu`` follow their
documentation (Ascend/op-plugin, docs/context). Run as a program: FOLDER DTYPE CHIP, JSON on stdout.
"""

from __future__ import annotations

import json
import math
import sys
import types
from pathlib import Path
from typing import Any

import torch
from torch.utils import _pytree as pytree
from torch.utils.backend_registration import _setup_privateuseone_for_python_backend

COPIES = {"aten::_copy_from", "aten::_to_copy", "aten::copy_", "aten::_local_scalar_dense"}
called: set[str] = set()


numbers: dict[int, tuple[Any, torch.Tensor]] = {}
"""By its storage, which autograd's copies of a tensor share: that storage, and a CPU tensor."""


def is_npu(one: Any) -> bool:
    return isinstance(one, torch.Tensor) and one.device.type == "npu"


def raw_of(one: torch.Tensor) -> torch.Tensor:
    """Its numbers. PyTorch may have given the same memory another shape without asking."""
    raw = numbers[one.untyped_storage()._cdata][1]
    return raw if raw.shape == one.shape else raw.reshape(one.shape)


def strided(raw: torch.Tensor, size: Any, stride: Any, offset: int | None) -> torch.Tensor:
    """``as_strided`` by the strides that the npu tensor shows, which are always dense ones."""
    if raw.is_contiguous():
        return raw.as_strided(size, stride, raw.storage_offset() + (offset or 0))
    places = torch.arange(raw.numel()).as_strided(size, stride, offset or 0)
    return raw.reshape(-1)[places]  # a copy: nobody writes into a view of such a view


def wrap(raw: torch.Tensor) -> torch.Tensor:
    # A view of an ordinary tensor is an ordinary one in inference mode too.
    with torch.inference_mode(False):
        made: torch.Tensor = torch._C._acc.create_empty_tensor(raw.shape, raw.dtype)
    storage = made.untyped_storage()
    numbers[storage._cdata] = storage, raw
    return made


def fallback(op: Any, *args: Any, **kwargs: Any) -> Any:
    """Every operation on npu tensors."""
    called.add(op.name())
    flat, spec = pytree.tree_flatten((args, kwargs))
    # Held to the end: the id of one that is gone may be that of the result.
    raws = [raw_of(one) if is_npu(one) else one for one in flat]
    given = {id(raw): one for raw, one in zip(raws, flat, strict=True) if is_npu(one)}
    mixed = [one for one in flat if isinstance(one, torch.Tensor) and not is_npu(one) and one.dim()]
    name = op.name().partition(".")[0]
    if given and mixed and name not in COPIES:
        raise RuntimeError(f"{op.name()}: a tensor of {mixed[0].device} among those of npu")
    target = kwargs.get("device")
    inner = [torch.device("cpu") if isinstance(one, torch.device) else one for one in raws]
    words, named = pytree.tree_unflatten(inner, spec)
    named.pop("pin_memory", None)
    if name == "aten::_copy_from":  # (self, dst)
        words[1].copy_(words[0])
        return args[1]
    if name in ("aten::view", "aten::_unsafe_view", "aten::_reshape_alias"):
        result = words[0].reshape(words[1])
    elif name == "aten::as_strided":
        result = strided(words[0], words[1], words[2], words[3] if len(words) > 3 else None)
    else:
        result = op(*words, **named)
    if name == "aten::_to_copy" and target is not None and target.type == "cpu":
        return result

    def back(one: Any) -> Any:
        if not isinstance(one, torch.Tensor):
            return one
        return given.get(id(one)) if id(one) in given else wrap(one)

    return pytree.tree_map(back, result)


def arange(*bounds: float, **named: Any) -> torch.Tensor:
    named.pop("pin_memory", None)
    return wrap(torch.arange(*bounds, **{**named, "device": "cpu"}))


def install(chip: str) -> None:
    """Makes device ``npu`` and an importable ``torch_npu`` of one chip of that name."""
    _setup_privateuseone_for_python_backend("npu")
    library = torch.library.Library("_", "IMPL")
    library.fallback(fallback, "PrivateUse1")
    # PyTorch makes these from an empty tensor that grows, which these tensors cannot.
    ranges = torch.library.Library("aten", "IMPL")
    for overload in ("arange", "arange.start", "arange.start_step"):
        ranges.impl(overload, arange, "PrivateUse1")
    install.libraries = library, ranges  # type: ignore[attr-defined]  # kept alive
    npu = types.SimpleNamespace(
        device_count=lambda: 1,
        get_device_name=lambda index: chip,
        mem_get_info=lambda index: (8 << 30, 16 << 30),
    )
    module = types.ModuleType("torch_npu")
    module.__spec__ = types.SimpleNamespace(name="torch_npu")  # type: ignore[assignment]
    module.npu = npu  # type: ignore[attr-defined]
    for function in (npu_rms_norm, npu_rotary_mul, npu_incre_flash_attention):
        setattr(module, function.__name__, fused(function))
    sys.modules["torch_npu"] = module


def fused(function: Any) -> Any:
    """A kernel: npu tensors in and out, none of another device."""

    def kernel(*args: Any, **kwargs: Any) -> Any:
        called.add(function.__name__)
        for one in (*args, *kwargs.values()):
            if isinstance(one, torch.Tensor) and not is_npu(one):
                raise RuntimeError(f"{function.__name__}: a tensor of {one.device}")
        args, kwargs = pytree.tree_map(
            lambda one: raw_of(one) if is_npu(one) else one, (args, kwargs)
        )
        return pytree.tree_map(wrap, function(*args, **kwargs))

    return kernel


def npu_rms_norm(x: torch.Tensor, gamma: torch.Tensor, epsilon: float) -> Any:
    wide = x.float()
    scale = torch.rsqrt(wide.pow(2).mean(-1, keepdim=True) + epsilon)
    return (wide * scale).to(x.dtype) * gamma, scale


def npu_rotary_mul(x: torch.Tensor, r1: torch.Tensor, r2: torch.Tensor) -> torch.Tensor:
    first, second = x.chunk(2, -1)
    return x * r1 + torch.cat((-second, first), -1) * r2


def npu_incre_flash_attention(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    *,
    atten_mask: torch.Tensor | None,
    num_heads: int,
    num_key_value_heads: int,
    scale_value: float,
    input_layout: str,
) -> torch.Tensor:
    assert input_layout == "BNSD" and query.shape[1] == num_heads
    group = num_heads // num_key_value_heads
    scores = query @ key.repeat_interleave(group, 1).transpose(-1, -2) * scale_value
    if atten_mask is not None:
        scores = scores.masked_fill(atten_mask, -math.inf)
    return scores.softmax(-1) @ value.repeat_interleave(group, 1)


def main(folder: str, dtype: str, chip: str) -> None:
    from paddock.inference.checkpoint.open import open_checkpoint
    from paddock.inference.engine.engine import Engine
    from paddock.inference.engine.request import Request
    from paddock.inference.runtimes.base import SamplingParams
    from paddock.inference.runtimes.torch.build import build

    answers = {}
    for cache in ("contiguous", "paged"):
        runtime = build(
            open_checkpoint(folder), device="npu", dtype=dtype, cache=cache, max_seq_len=128
        )
        assert runtime.device.type == "npu"
        sampled = SamplingParams(temperature=0.8, top_k=20, top_p=0.9, seed=3)
        some = [[1, *range(7, 7 + 9 * n, 9)] for n in (4, 16, 8)]
        requests = [Request(prompt, max_new_tokens=12) for prompt in some]
        requests += [Request(some[0], sampled, max_new_tokens=6, logprobs=2)]
        requests += [Request(some[1], SamplingParams(repetition_penalty=1.3), max_new_tokens=6)]
        answers[cache] = Engine(runtime).run(requests)
    logits = runtime.all_logits(some[1]).cpu().tolist()
    named = sorted(name for name in called if name.startswith("npu_"))
    print(json.dumps({"answers": answers, "logits": logits, "dtype": runtime.dtype,
                      "fused": named, "operations": len(called)}))  # fmt: skip


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent))
    install(sys.argv[3])
    main(sys.argv[1], sys.argv[2], sys.argv[3])
