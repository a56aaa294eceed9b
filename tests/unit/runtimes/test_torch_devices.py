"""What devices bring of their own, on the CPU: fused operations, recorded steps, packed matrices.

Fused NPU operations are checked against stand-ins written from the documentation of torch_npu
(Ascend/op-plugin, docs/context): argument names, layouts, the sense of masks. No NPU was in reach.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor

from llamas import SHAPES, prompts, saved
from paddock.errors import PaddockError
from paddock.inference.checkpoint.base import Array
from paddock.inference.checkpoint.open import open_checkpoint
from paddock.inference.checkpoint.packed import Packed, pack
from paddock.inference.runtimes.base import Batch, Limits, SamplingParams, Work
from paddock.inference.runtimes.torch import weights
from paddock.inference.runtimes.torch.build import build
from paddock.inference.runtimes.torch.cache import new_cache
from paddock.inference.runtimes.torch.graphs import GraphedDecoder
from paddock.inference.runtimes.torch.llama import Llama
from paddock.inference.runtimes.torch.ops import PLAIN, npu_ops
from paddock.inference.runtimes.torch.quantize import (
    Fp8Linear,
    Int4Linear,
    Int8Linear,
    from_packed,
)
from paddock.inference.runtimes.torch.runtime import TorchRuntime

CPU = torch.device("cpu")
GREEDY = SamplingParams()


# --- fused operations ---------------------------------------------------------------------------


def documented_npu() -> SimpleNamespace:
    """The three functions as op-plugin's pages describe them, written with einsum and loops."""

    def npu_rms_norm(x: Tensor, gamma: Tensor, epsilon: float) -> tuple[Tensor, Tensor]:
        rstd = 1 / torch.sqrt((x.double() ** 2).mean(-1, keepdim=True) + epsilon)
        return (x.double() * rstd).to(x.dtype) * gamma, rstd.float()

    def npu_rotary_mul(x: Tensor, r1: Tensor, r2: Tensor, rotary_mode: str = "half") -> Tensor:
        assert rotary_mode == "half" and x.dim() == r1.dim() == r2.dim() == 4
        first, second = x.chunk(2, -1)
        return x * r1 + torch.cat((-second, first), -1) * r2

    def npu_incre_flash_attention(
        query: Tensor, key: Tensor, value: Tensor, *, atten_mask: Tensor | None, num_heads: int,
        num_key_value_heads: int, scale_value: float, input_layout: str,
    ) -> Tensor:  # fmt: skip
        assert input_layout == "BNSD" and key.is_contiguous() and value.is_contiguous()
        batch, heads, length, _ = query.shape
        assert (heads, length) == (num_heads, 1) and key.shape[1] == num_key_value_heads
        out = torch.empty_like(query)
        for b, h in itertools.product(range(batch), range(heads)):
            shared = h * num_key_value_heads // num_heads
            scores = key[b, shared] @ query[b, h, 0] * scale_value
            if atten_mask is not None:
                scores[atten_mask.view(batch, -1)[b]] = -torch.inf
            out[b, h, 0] = scores.softmax(0) @ value[b, shared]
        return out

    return SimpleNamespace(
        npu_rms_norm=npu_rms_norm,
        npu_rotary_mul=npu_rotary_mul,
        npu_incre_flash_attention=npu_incre_flash_attention,
    )


@pytest.mark.parametrize("shape", ["mha", "70b"])
def test_a_model_with_npu_operations_gives_the_same_logits(shape: str, tmp_path: Path) -> None:
    saved(tmp_path, shape)
    checkpoint = open_checkpoint(tmp_path)
    config = checkpoint.config()
    logits = []
    for ops in (PLAIN, npu_ops(documented_npu())):
        model = weights.load(checkpoint, config, "fp32", CPU, ops=ops)
        runtime = with_cache(model, "contiguous")
        texts = list(prompts((3, 9, 5)))
        runtime.step(Batch(tuple(Work(i, t, 0, (i,), GREEDY) for i, t in enumerate(texts))))
        work = tuple(Work(i, [7], len(t), (i,), GREEDY) for i, t in enumerate(texts))
        logits.append(runtime.logits(Batch(work)))
    assert (logits[0] - logits[1]).abs().max() <= 1e-4


# --- recorded steps -----------------------------------------------------------------------------


class Recorder:
    """Runs a step as a device's graph would: a few trials, then replays into the same tensor."""

    def __init__(self) -> None:
        self.made = 0

    def __call__(self, run: Callable[[], Tensor]) -> Callable[[], Tensor]:
        self.made += 1
        for _ in range(2):
            run()
        result = run().clone()

        def replay() -> Tensor:
            return result.copy_(run())

        return replay


def with_cache(model: Llama, kind: str, decoder: bool = False) -> TorchRuntime:
    length, rows = 512, 4
    limits = (
        Limits(model.config.vocab_size, length, length, rows, rows)
        if kind == "contiguous"
        else Limits(model.config.vocab_size, length, 16, 8 * length // 16, rows)
    )
    cache = new_cache(kind, model.config, "fp32", CPU, limits)
    graphed = GraphedDecoder(model, cache, limits, Recorder()) if decoder else None
    return TorchRuntime(model, cache, limits, "fp32", graphed)


def scattered(runtime: TorchRuntime, request: int) -> tuple[int, ...]:
    if runtime.limits.page_size == 512:
        return ((2, 0, 3, 1)[request],)
    return tuple(range(request, runtime.limits.n_pages, 8))


@pytest.mark.parametrize("kind", ["contiguous", "paged"])
@pytest.mark.parametrize("shape", ["mha", "gqa"])
def test_recorded_steps_give_what_plain_steps_give(kind: str, shape: str, tmp_path: Path) -> None:
    saved(tmp_path, shape)
    checkpoint = open_checkpoint(tmp_path)
    model = weights.load(checkpoint, checkpoint.config(), "fp32", CPU)
    plain, graphed = with_cache(model, kind), with_cache(model, kind, decoder=True)
    assert graphed.decode_path == "graph"
    texts = list(prompts((5, 40, 254)))
    for runtime in (plain, graphed):
        for i, text in enumerate(texts):
            runtime.step(Batch((Work(i, text, 0, scattered(runtime, i), None),)))
    # Alone and together, over the border of a bucket (256 positions), in changing company.
    for step, rows in enumerate([(0,), (2,), (0, 1), (2, 1, 0), (2,), (2, 0), (2,), (1, 2)]):
        work = tuple(Work(i, [step + 3], len(texts[i]), scattered(plain, i), GREEDY) for i in rows)
        difference = plain.logits(Batch(work)) - graphed.logits(Batch(work))
        assert difference.abs().max() <= 1e-5
        for i in rows:
            texts[i] = [*texts[i], step + 3]
    assert graphed._decoder is not None
    graphed.close()


@pytest.mark.slow
def test_compiled_steps_give_what_plain_steps_give(tmp_path: Path) -> None:
    saved(tmp_path, "gqa")
    checkpoint = open_checkpoint(tmp_path)
    model = weights.load(checkpoint, checkpoint.config(), "fp32", CPU)
    plain = with_cache(model, "contiguous")
    compiled = with_cache(model, "contiguous")
    compiled._decoder = GraphedDecoder(
        model, compiled.cache, compiled.limits, Recorder(), compiled=True
    )
    for runtime in (plain, compiled):
        runtime.step(Batch((Work(0, [1, 2, 3], 0, (1,), None),)))
    for position in range(3, 6):
        work = Batch((Work(0, [position], position, (1,), GREEDY),))
        assert (plain.logits(work) - compiled.logits(work)).abs().max() <= 1e-4


# --- quantized matrices -------------------------------------------------------------------------


def round_to_nearest(weight: Array, bits: int) -> Packed:
    import numpy as np

    largest = (1 << bits - 1) - 1
    groups = np.asarray(weight, np.float32).reshape(len(weight), -1, 32)
    scales = (np.abs(groups).max(-1) / largest).astype(np.float16)
    q = np.rint(groups / np.maximum(scales, 1e-7)[..., None]).clip(-largest - 1, largest)
    return pack(q.reshape(weight.shape).astype(np.int8), scales, bits)


class PackedCheckpoint:
    """A checkpoint whose matrices come packed, ``bits(name)`` wide; 0 leaves one as it is."""

    def __init__(self, folder: Path, bits: Callable[[str], int]) -> None:
        self._inner = open_checkpoint(folder)
        self._bits = bits
        self.format, self.path = self._inner.format, self._inner.path
        self.config, self.infos = self._inner.config, self._inner.infos

    def stored(self) -> Iterator[tuple[str, Array | Packed]]:
        for name, array in self._inner.tensors():
            bits = self._bits(name) if array.ndim == 2 and "emb" not in name else 0
            yield name, round_to_nearest(array, bits) if bits else array

    def tensors(self) -> Iterator[tuple[str, Array]]:
        for name, array in self.stored():
            yield name, array.dequantize() if isinstance(array, Packed) else array


MIXED = {
    "int8": lambda name: 8,
    "int4": lambda name: 4,
    "int4, head int8": lambda name: 8 if name.startswith("output") else 4,
    "wv int8": lambda name: 8 if "wv" in name else 4,
    "w3 plain": lambda name: 0 if "w3" in name else 4,
}


@pytest.mark.parametrize("mix", MIXED)
@pytest.mark.parametrize("shape", ["gqa", "tied"])
def test_matrices_that_stay_packed_compute_what_they_mean(
    mix: str, shape: str, tmp_path: Path
) -> None:
    assert shape in SHAPES
    saved(tmp_path, shape)
    checkpoint = PackedCheckpoint(tmp_path, MIXED[mix])
    config = checkpoint.config()
    plain = with_cache(weights.load(checkpoint, config, "fp32", CPU), "contiguous")
    packed_model = weights.load_quantized(checkpoint, config, "fp32", CPU)
    packed = with_cache(packed_model, "contiguous")
    text = next(iter(prompts((24,))))
    assert (plain.all_logits(text) - packed.all_logits(text)).abs().max() <= 1e-4
    kinds = {type(module) for module in packed_model.modules()}
    assert (Int4Linear in kinds) == (mix != "int8")
    assert (Int8Linear in kinds) == (
        mix in ("int8", "wv int8") or ("int8" in mix and shape != "tied")
    )


def test_packed_modules_hold_exactly_the_packed_numbers() -> None:
    parts = [round_to_nearest(torch.randn(n, 96).numpy(), 4) for n in (48, 17)]
    module = from_packed(parts, CPU)
    expected = torch.cat([torch.from_numpy(part.dequantize()) for part in parts])
    assert isinstance(module, Int4Linear)
    assert torch.equal(module.unpacked(torch.float32), expected)
    assert module.codes.numel() == 65 * 48


def test_fp8_errs_by_its_mantissa(tmp_path: Path) -> None:
    weight = torch.randn(64, 128) * torch.logspace(-3, 3, 64).unsqueeze(1)
    weight[5] = 0
    unpacked = Fp8Linear(weight).unpacked(torch.float32)
    # Three bits of mantissa: half a unit of 1/8 for normal numbers; below 2^-6 a fixed step.
    step = (weight.abs() / 16).maximum(weight.abs().amax(-1, keepdim=True) / 448 * 2**-10)
    assert ((unpacked - weight).abs() <= step * 1.01).all()
    saved(tmp_path, "gqa")
    checkpoint = open_checkpoint(tmp_path)
    model = weights.load_quantized(checkpoint, checkpoint.config(), "fp32", CPU, fp8=True)
    assert isinstance(model.output, Fp8Linear)
    logits = with_cache(model, "paged").all_logits(next(iter(prompts((24,)))))
    assert logits.isfinite().all()


@pytest.mark.parametrize(
    ("wish", "says"),
    [
        ({"quant": "fp8"}, "for GPUs"),
        ({"quant": "int3"}, "quant is 'int3'"),
        ({"graphs": True}, "cpu records no graphs"),
        ({"compiled": True}, "cpu records no graphs"),
    ],
)
def test_what_a_cpu_cannot_do_is_refused(
    wish: dict[str, object], says: str, tmp_path: Path
) -> None:
    saved(tmp_path, "gqa")
    with pytest.raises(PaddockError, match=says):
        build(open_checkpoint(tmp_path), device="cpu", **wish)  # type: ignore[arg-type]
