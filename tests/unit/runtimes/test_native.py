"""The C++ decode step against torch, transformers and plain float64 arithmetic."""

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from paddock.inference.runtimes.torch.native import NativeDecoder

from paddock.errors import DeviceError, GenerationError
from paddock.inference.checkpoint.config import ModelConfig, RopeScaling
from paddock.inference.runtimes.base import Batch, Limits, SamplingParams, Work
from paddock.inference.runtimes.torch import native, weights
from paddock.inference.runtimes.torch.build import build
from paddock.inference.runtimes.torch.cache import new_cache
from paddock.inference.runtimes.torch.llama import Llama
from paddock.inference.runtimes.torch.runtime import TorchRuntime

pytestmark = pytest.mark.skipif(native.available() is not None, reason=str(native.available()))

PLAIN = ModelConfig(
    vocab_size=320,
    dim=64,
    n_layers=2,
    n_heads=4,
    n_kv_heads=4,
    hidden_dim=160,
    head_dim=16,
    max_seq_len=256,
    dtype="fp32",
)
CONFIGS = {
    "mha": PLAIN,
    "gqa": replace(PLAIN, n_heads=8, n_kv_heads=2, head_dim=8),
    "eight heads to one": replace(PLAIN, n_heads=16, n_kv_heads=2, head_dim=32),
    "tied": replace(PLAIN, tie_embeddings=True, n_kv_heads=2),
    "head_dim 64": replace(PLAIN, head_dim=64, n_kv_heads=2),
    "head_dim 128": replace(PLAIN, head_dim=128, n_heads=2, n_kv_heads=1),
    "llama3": replace(PLAIN, rope_scaling=RopeScaling("llama3", 8.0, 1.0, 4.0, 64)),
    "odd sizes": replace(
        PLAIN, dim=40, hidden_dim=56, vocab_size=257, n_heads=3, n_kv_heads=1, head_dim=10
    ),
}
SETS = ("best", "base", "avx2", "avx512")


class Random:
    """A checkpoint of random weights."""

    format = "random"

    def __init__(self, config: ModelConfig, seed: int = 0) -> None:
        self._config = config
        self._random = np.random.default_rng(seed)

    def config(self) -> ModelConfig:
        return self._config

    def tensors(self):
        for name, shape in self._config.shapes().items():
            wide = 1.0 if len(shape) == 1 else 1.5 / np.sqrt(shape[-1])
            offset = 1.0 if len(shape) == 1 else 0.0
            array = self._random.standard_normal(shape) * wide * (0.1 if offset else 1) + offset
            yield name, array.astype(np.float32)


def pages_of(limits: Limits, i: int) -> tuple[int, ...]:
    each = -(-limits.max_seq_len // limits.page_size)
    return tuple(range(i * each, (i + 1) * each))


def single(limits: Limits, rows: list[tuple[int, int]]) -> Batch:
    """A step with one token each: (token, position), request i having the i-th share of pages."""
    return Batch(
        tuple(
            Work(i, (token,), start, pages_of(limits, i), SamplingParams())
            for i, (token, start) in enumerate(rows)
        )
    )


def fill(*caches, seed: int = 1) -> None:
    """The same random keys and values in all caches."""
    for cache in caches:
        generator = torch.Generator().manual_seed(seed)
        for layer in cache.kv:
            layer.copy_(torch.randn(layer.shape, generator=generator))


def error(got: torch.Tensor, want: torch.Tensor) -> float:
    return float((got - want).abs().max() / want.abs().max())


@pytest.mark.parametrize("kind", ["contiguous", "paged"])
@pytest.mark.parametrize("name", CONFIGS)
def test_logits_and_cache_are_those_of_the_torch_path(name: str, kind: str) -> None:
    options = {"device": "cpu", "dtype": "fp32", "cache": kind, "threads": 2}
    ours = build(Random(CONFIGS[name]), native=True, **options)
    torchs = build(Random(CONFIGS[name]), native=False, **options)
    assert (ours.decode_path, torchs.decode_path) == ("native", "torch")
    fill(ours.cache, torchs.cache)
    last = ours.limits.max_seq_len - 1
    ragged = [(5, 0), (256, 1), (7, 31), (8, 32), (9, 130), (10, last), (11, 64), (12, 200)]
    for rows in (ragged[:1], ragged[5:6], ragged[:3], ragged):
        batch = single(ours.limits, rows)
        assert error(ours.logits(batch), torchs.logits(batch)) < 1e-5
        for mine, other in zip(ours.cache.kv, torchs.cache.kv, strict=True):
            assert error(mine, other) < 1e-5
    ours.close()
    ours.close()


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_a_request_gets_the_same_bits_alone_and_in_a_batch(threads: int) -> None:
    model = weights.load(Random(CONFIGS["gqa"]), CONFIGS["gqa"], "fp32", torch.device("cpu"))
    limits = Limits(320, 256, 256, 40, 40)
    cache = new_cache("contiguous", CONFIGS["gqa"], "fp32", torch.device("cpu"), limits)
    decoder = NativeDecoder(model, cache, limits, threads)
    decoder_alone = NativeDecoder(model, cache, limits, 1)
    fill(cache)
    rows = [(i, (i * 13) % 256) for i in range(40)]
    batch = single(limits, rows).work
    together = decoder.step(batch)
    for i, work in enumerate(batch):
        assert torch.equal(decoder_alone.step([work])[0], together[i])


@pytest.mark.parametrize("cases", [12, pytest.param(1000, marks=pytest.mark.slow)])
@pytest.mark.parametrize("instructions", SETS)
def test_random_shapes_against_float64(instructions: str, cases: int) -> None:
    random = np.random.default_rng(SETS.index(instructions))
    for case in range(cases):
        group, kv_heads = int(random.integers(1, 10)), int(random.integers(1, 4))
        config = ModelConfig(
            vocab_size=int(random.integers(1, 90)),
            dim=int(random.integers(1, 90)),
            n_layers=int(random.integers(1, 3)),
            n_heads=group * kv_heads,
            n_kv_heads=kv_heads,
            hidden_dim=int(random.integers(1, 140)),
            head_dim=2 * int(random.integers(1, 40)),
            max_seq_len=int(random.integers(1, 300)),
            norm_eps=float(random.choice([1e-5, 1e-6])),
            dtype="fp32",
        )
        rows = int(random.integers(1, 9))
        kind = ("contiguous", "paged")[case % 2]
        page = config.max_seq_len if kind == "contiguous" else int(random.integers(1, 40))
        limits = Limits(
            config.vocab_size,
            config.max_seq_len,
            page,
            rows * -(-config.max_seq_len // page),
            rows,
        )
        model = weights.load(Random(config, case), config, "fp32", torch.device("cpu"))
        cache = new_cache(kind, config, "fp32", torch.device("cpu"), limits)
        fill(cache, seed=case)
        try:
            decoder = NativeDecoder(model, cache, limits, 1 + case % 2, instructions)
        except DeviceError as reason:
            pytest.skip(str(reason))
        places = [
            (int(random.integers(config.vocab_size)), int(random.integers(config.max_seq_len)))
            for _ in range(rows)
        ]
        places[0] = (places[0][0], config.max_seq_len - 1)
        batch = single(limits, places)
        before = [layer.double().numpy() for layer in cache.kv]
        got = decoder.step(batch.work).numpy()
        decoder.close()
        for i, work in enumerate(batch.work):
            want = float64_logits(model, work, before, page, kind)
            # Logits are of size 1 or so; one alone may happen to be near 0.
            assert np.abs(got[i] - want).max() <= 2e-5 * max(1, np.abs(want).max()), (config, work)


def float64_logits(model: Llama, work: Work, layers, page_size: int, kind: str) -> np.ndarray:
    """One token through the model in plain numpy; the caches of ``layers`` are not changed."""
    config = model.config
    half, group = config.head_dim // 2, config.n_heads // config.n_kv_heads
    n = config.n_heads + config.n_kv_heads
    position = work.start

    def get(parameter: torch.Tensor) -> np.ndarray:
        return parameter.double().numpy()

    def norm(x: np.ndarray, weight: torch.Tensor) -> np.ndarray:
        return x / np.sqrt((x * x).mean() + config.norm_eps) * get(weight)

    x = get(model.tok_embeddings.weight)[work.tokens[0]]
    cos, sin = get(model.cos)[position, :half], get(model.sin)[position, half:]
    for block, cached in zip(model.layers, layers, strict=True):
        qkv = get(block.attention.wqkv.weight) @ norm(x, block.attention_norm.weight)
        qkv = qkv.reshape(-1, config.head_dim)
        a, b = qkv[:n, :half].copy(), qkv[:n, half:].copy()
        qkv[:n, :half], qkv[:n, half:] = a * cos - b * sin, b * cos + a * sin
        if kind == "contiguous":
            past = cached[work.pages[0]].swapaxes(0, 1)[:position]
        else:
            slots = [
                work.pages[p // page_size] * page_size + p % page_size for p in range(position)
            ]
            past = cached[slots]
        seen = np.concatenate((past, qkv[None, config.n_heads :]))
        heads = []
        for head in range(config.n_heads):
            key = seen[:, head // group]
            value = seen[:, config.n_kv_heads + head // group]
            scores = key @ qkv[head] / np.sqrt(config.head_dim)
            weight = np.exp(scores - scores.max())
            heads.append(weight @ value / weight.sum())
        x = x + get(block.attention.wo.weight) @ np.concatenate(heads)
        gate, up = np.split(get(block.feed_forward.w13.weight) @ norm(x, block.ffn_norm.weight), 2)
        x = x + get(block.feed_forward.w2.weight) @ (gate / (1 + np.exp(-gate)) * up)
    return get(model.output.weight) @ norm(x, model.norm.weight)


def runtime(**options: object) -> TorchRuntime:
    return build(Random(PLAIN), device="cpu", dtype="fp32", threads=2, native=True, **options)


def test_numbers_that_do_not_exist_are_refused_before_anything_is_touched() -> None:
    ours = runtime(cache="paged")
    decoder = ours._decoder
    good = Work(3, (5,), 40, (0, 1), SamplingParams())
    before = [layer.clone() for layer in ours.cache.kv]
    for change, message in (
        ({"tokens": (320,)}, "token id"),
        ({"tokens": (-1,)}, "token id"),
        ({"start": 256}, "position 256"),
        ({"start": -1}, "position -1"),
        ({"pages": (0,)}, "positions up to 41"),
        ({"pages": (0, 64)}, "page 64"),
        ({"pages": (0, -1)}, "page -1"),
    ):
        with pytest.raises(GenerationError, match=message):
            decoder.step([replace(good, **change)])
    with pytest.raises(GenerationError, match="9 requests"):
        decoder.step([good] * 9)
    assert all(torch.equal(a, b) for a, b in zip(before, ours.cache.kv, strict=True))
    ours.close()
    with pytest.raises(GenerationError, match="closed"):
        decoder.step([good])


def test_the_same_pages_tuple_may_come_back_for_a_shorter_or_longer_text() -> None:
    ours = runtime(cache="paged")
    pages = (3, 5)
    first = ours._decoder.step([Work(0, (5,), 10, pages, SamplingParams())])
    with pytest.raises(GenerationError, match="positions up to 65"):
        ours._decoder.step([Work(0, (5,), 64, pages, SamplingParams())])
    assert torch.equal(ours._decoder.step([Work(0, (5,), 10, pages, SamplingParams())]), first)


def test_works_that_do_not_sample_give_no_logits() -> None:
    ours = runtime()
    a, b = single(ours.limits, [(5, 0), (6, 0)]).work
    both = ours.logits(Batch((a, b)))
    assert torch.equal(ours.logits(Batch((replace(a, sampling=None), b))), both[1:])
    assert ours.step(Batch((replace(a, sampling=None),))) == []


def test_a_tokenizer_with_fewer_ids_than_the_model_has_rows() -> None:
    options = {"device": "cpu", "dtype": "fp32"}
    few = replace(CONFIGS["gqa"], vocab_size=320)
    model = weights.load(Random(few), few, "fp32", torch.device("cpu"))
    limits = Limits(300, 256, 256, 2, 2)
    cache = new_cache("contiguous", few, "fp32", torch.device("cpu"), limits)
    ours = TorchRuntime(model, cache, limits, "fp32", NativeDecoder(model, cache, limits))
    whole = build(Random(few), native=True, **options)
    batch = single(limits, [(5, 0), (6, 0)])
    assert torch.equal(ours.logits(batch), whole.logits(batch)[:, :300])
    with pytest.raises(GenerationError, match="token id"):
        ours.step(single(limits, [(300, 0)]))


def test_nan_weights_are_noticed() -> None:
    ours = runtime()
    ours.model.layers[0].feed_forward.w2.weight[3, 3] = float("nan")
    with pytest.raises(GenerationError, match="not finite"):
        ours.step(single(ours.limits, [(5, 0)]))


def test_what_it_cannot_do_is_left_to_torch_or_refused() -> None:
    assert build(Random(PLAIN), device="cpu", dtype="bf16").decode_path == "torch"
    with pytest.raises(DeviceError, match="bf16 on cpu"):
        build(Random(PLAIN), device="cpu", dtype="bf16", native=True)
    wide = replace(PLAIN, head_dim=1024, n_heads=1, n_kv_heads=1)
    with pytest.raises(DeviceError, match="1024 dimensions"):
        build(Random(wide), device="cpu", dtype="fp32", native=True)
    transposed = build(Random(PLAIN), device="cpu", dtype="fp32", native=False)
    with pytest.raises(DeviceError, match="row by row"):
        NativeDecoder(transposed.model, transposed.cache, transposed.limits)


def test_a_library_of_another_abi_is_not_used(monkeypatch) -> None:
    monkeypatch.setattr(native, "ABI", -1)
    native._library.cache_clear()
    try:
        assert "other sources" in native.available()
        assert build(Random(PLAIN), device="cpu", dtype="fp32").decode_path == "torch"
        with pytest.raises(DeviceError, match="other sources"):
            build(Random(PLAIN), device="cpu", dtype="fp32", native=True)
    finally:
        native._library.cache_clear()


def kernel_threads() -> int:
    return sum(1 for _ in Path("/proc/self/task").iterdir())


def test_closing_ends_the_threads() -> None:
    config = replace(PLAIN, vocab_size=20000)  # 10 MB: worth more than one thread
    before = kernel_threads()
    ours = build(Random(config), device="cpu", dtype="fp32", native=True, threads=2)
    assert ours._decoder.threads == 2
    assert kernel_threads() == before + 1
    ours.close()
    assert kernel_threads() == before


def test_a_forked_child_computes_the_same() -> None:
    config = replace(PLAIN, vocab_size=20000)
    ours = build(Random(config), device="cpu", dtype="fp32", native=True, threads=2)
    work = single(ours.limits, [(5, 0)]).work
    want = ours._decoder.step(work)
    child = os.fork()
    if child == 0:
        same = torch.equal(ours._decoder.step(work), want)
        ours._decoder.close()
        os._exit(0 if same else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert torch.equal(ours._decoder.step(work), want)
