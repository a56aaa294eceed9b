"""The native runtime: the same bits however a step is put together, and what it refuses."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import float64_llama
from float64_llama import RandomCheckpoint
from paddock.errors import DeviceError, DoesNotFit, GenerationError, UsageError
from paddock.inference.checkpoint.config import ModelConfig, RopeScaling
from paddock.inference.checkpoint.quantized import quantized
from paddock.inference.runtimes.base import Batch, SamplingParams, Work
from paddock.inference.runtimes.native import library
from paddock.inference.runtimes.native.build import build
from paddock.inference.runtimes.native.cache import bytes_per_position
from paddock.inference.runtimes.native.runtime import NativeRuntime

pytestmark = pytest.mark.skipif(
    library.unavailable() is not None, reason=str(library.unavailable())
)

GREEDY = SamplingParams()
PLAIN = ModelConfig(
    vocab_size=320,
    dim=64,
    n_layers=2,
    n_heads=4,
    n_kv_heads=4,
    hidden_dim=160,
    head_dim=16,
    max_seq_len=700,
    dtype="fp32",
)
CONFIGS = {
    "mha": PLAIN,
    "gqa": replace(PLAIN, n_heads=8, n_kv_heads=2, head_dim=8),
    "eight heads to one": replace(PLAIN, n_heads=16, n_kv_heads=2, head_dim=32),
    "forty heads to one": replace(PLAIN, n_heads=40, n_kv_heads=1, head_dim=4),
    "tied": replace(PLAIN, tie_embeddings=True, n_kv_heads=2),
    "head_dim 128": replace(PLAIN, head_dim=128, n_heads=2, n_kv_heads=1),
    "llama3": replace(PLAIN, rope_scaling=RopeScaling("llama3", 8.0, 1.0, 4.0, 64)),
    "odd sizes": replace(
        PLAIN, dim=40, hidden_dim=56, vocab_size=257, n_heads=3, n_kv_heads=1, head_dim=10
    ),
}
RANDOM = np.random.default_rng(3)
TEXTS = [[int(i) for i in RANDOM.integers(257, size=n)] for n in (620, 300, 1, 33)]


def runtime(
    config: ModelConfig = PLAIN, quant: str | None = None, **options: object
) -> NativeRuntime:
    checkpoint = quantized(RandomCheckpoint(config), quant)
    return build(checkpoint, **{"max_batch": 4, **options})  # type: ignore[arg-type]


def pages_of(ours: NativeRuntime, i: int) -> tuple[int, ...]:
    limits = ours.limits
    each = -(-limits.max_seq_len // limits.page_size)
    return tuple(range(i * each, (i + 1) * each))


def in_pieces(ours: NativeRuntime, texts: list[list[int]], sizes: list[int]) -> list[np.ndarray]:
    """Logits at every position of each text, computed together, ``sizes`` tokens at a time."""
    found: list[list[np.ndarray]] = [[] for _ in texts]
    done = [0] * len(texts)
    for step in range(10**6):
        work = []
        for i, text in enumerate(texts):
            part = text[done[i] : done[i] + sizes[(step + i) % len(sizes)]]
            if part:
                work.append(
                    Work(i, part, done[i], pages_of(ours, i), GREEDY, n_draft=len(part) - 1)
                )
        if not work:
            break
        rows = ours.logits(Batch(tuple(work)))
        for item in work:
            found[item.request].append(rows[: len(item.tokens)])
            rows = rows[len(item.tokens) :]
            done[item.request] += len(item.tokens)
    return [np.concatenate(parts) for parts in found]


@pytest.mark.parametrize(
    ("quant", "kv", "cache"),
    [
        (None, "fp32", "contiguous"),
        (None, "fp16", "paged"),
        ("int8", "int8", "paged"),
        ("int4", "fp16", "contiguous"),
    ],
)
@pytest.mark.parametrize("name", ["mha", "eight heads to one", "forty heads to one", "odd sizes"])
def test_bits_do_not_depend_on_neighbours_pieces_or_threads(
    name: str, quant: str | None, kv: str, cache: str
) -> None:
    results = []
    for threads, sizes in ((1, [1000]), (2, [1]), (3, [7, 600, 2, 64])):
        ours = runtime(CONFIGS[name], quant, kv=kv, cache=cache)
        # The models are too small for threads by themselves.
        ours = with_threads(ours, threads)
        texts = [text[:150] for text in TEXTS] if sizes == [1] else TEXTS
        results.append(in_pieces(ours, texts, sizes))
        if threads == 1:
            results.append([in_pieces(ours, [text], [1000])[0] for text in TEXTS])
    whole, alone, single, mixed = results
    for i in range(len(TEXTS)):
        assert np.array_equal(whole[i], alone[i])
        assert np.array_equal(whole[i], mixed[i])
        assert np.array_equal(whole[i][: len(single[i])], single[i])


def with_threads(ours: NativeRuntime, threads: int) -> NativeRuntime:
    weights, cache, *_ = ours._kept
    return NativeRuntime(ours.config, weights, cache, ours.limits, threads)  # type: ignore[arg-type]


@pytest.mark.parametrize("instructions", ["best", "base", "avx2", "avx512vnni", "dotprod"])
@pytest.mark.parametrize("name", CONFIGS)
def test_logits_are_those_of_doubles(name: str, instructions: str) -> None:
    try:
        ours = runtime(CONFIGS[name], instructions=instructions)
    except DeviceError as reason:
        pytest.skip(str(reason))
    tokens = TEXTS[1]
    want = float64_llama.logits(RandomCheckpoint(CONFIGS[name]), tokens)
    assert np.abs(ours.all_logits(tokens) - want).max() <= 2e-5 * np.abs(want).max()


@pytest.mark.parametrize("kv", ["fp32", "fp16", "int8"])
@pytest.mark.parametrize("quant", ["int4", "int8"])
@pytest.mark.parametrize("name", ["mha", "eight heads to one", "tied"])
def test_quantized_logits_differ_by_what_rounding_activations_does(
    name: str, quant: str, kv: str
) -> None:
    checkpoint = quantized(RandomCheckpoint(CONFIGS[name]), quant)
    tokens = TEXTS[3]
    exact = float64_llama.logits(checkpoint, tokens)
    emulated = float64_llama.logits(checkpoint, tokens, float64_llama.rounded)
    bound = np.sqrt(((emulated - exact) ** 2).mean())
    got = build(checkpoint, kv=kv).all_logits(tokens)  # type: ignore[arg-type]
    # The error in size that rounding each activation to 8 bits has in double arithmetic, times 1.2
    # for sets whose scales have few bits (native/products.h: the next one is at most 1.2 times as
    # large), and some for chance. fp16 is nothing beside it, int8 adds about as much again.
    allowed = 1.2 * bound * (1.2 if kv != "int8" else 2.5)
    assert np.sqrt(((got - exact) ** 2).mean()) <= allowed
    if kv == "fp32":
        # With exact scales error by error the same, but for roundings that fall to the other side.
        plain = build(checkpoint, kv=kv, instructions="base").all_logits(tokens)  # type: ignore[arg-type]
        assert np.sqrt(((plain - emulated) ** 2).mean()) <= 0.25 * bound


@pytest.mark.parametrize(("kv", "error"), [("fp16", 3e-3), ("int8", 6e-2)])
def test_smaller_caches_cost_little(kv: str, error: float) -> None:
    exact = runtime(CONFIGS["gqa"], kv="fp32").all_logits(TEXTS[1])
    got = runtime(CONFIGS["gqa"], kv=kv).all_logits(TEXTS[1])
    assert 0 < np.abs(got - exact).max() <= error * np.abs(exact).max()


def test_guesses_choose_what_single_steps_choose() -> None:
    params = SamplingParams(
        temperature=1.1, top_p=0.9, repetition_penalty=1.2, frequency_penalty=0.2, seed=5
    )
    prompt = TEXTS[3]
    ours = runtime(CONFIGS["gqa"])
    text = list(prompt)
    pages = pages_of(ours, 0)
    ours.step(Batch((Work(0, prompt[:-1], 0, pages, None),)))
    single = []
    for _ in range(12):
        at = len(text) - 1
        work = Work(0, text[-1:], at, pages, params, text, len(prompt), logprobs=2)
        single += ours.step(Batch((work,)))
        text.append(single[-1].token)
    guesses = [choice.token for choice in single[:-1]]
    tokens = [prompt[-1], *guesses]
    for history in (prompt, [*prompt, *guesses]):  # without the guesses, and with them
        work = Work(
            1, tokens, len(prompt) - 1, pages_of(ours, 1), params, history, len(prompt),
            n_draft=len(guesses), logprobs=2,
        )  # fmt: skip
        ours.step(Batch((Work(1, prompt[:-1], 0, pages_of(ours, 1), None),)))
        assert ours.step(Batch((work,))) == single
    wrong = [prompt[-1], guesses[0], guesses[1] ^ 1, *guesses[2:]]
    work = replace(work, tokens=wrong, history=[*prompt, *wrong[1:]])
    assert ours.step(Batch((work,)))[:2] == single[:2]


def test_numbers_that_do_not_exist_are_refused_before_anything_is_touched() -> None:
    ours = runtime(cache="paged")
    good = Work(3, (5,), 40, (0, 1), GREEDY)
    for change, message in (
        ({"tokens": (320,)}, r"outside 0\.\.319"),
        ({"tokens": (-1,)}, "outside"),
        ({"tokens": (5, 320, 6)}, "outside"),
        ({"tokens": ()}, "no tokens"),
        ({"start": 700}, "position 701"),
        ({"start": -1}, "position -1"),
        ({"pages": (0,)}, "positions up to 41"),
        ({"pages": ()}, "0 pages"),
        ({"pages": (0, 88)}, "page 88"),
        ({"pages": (0, -1)}, "page -1"),
        ({"n_draft": 1}, "1 guesses among 1"),
        ({"n_draft": -1}, "-1 guesses"),
        ({"n_draft": 1, "tokens": (1, 2), "sampling": None}, "guesses"),
        ({"n_draft": 1, "tokens": (1, 2), "allowed": b"\xff"}, "restricts"),
    ):
        with pytest.raises(GenerationError, match=message):
            ours.step(Batch((replace(good, **change),)))  # type: ignore[arg-type]
    with pytest.raises(GenerationError, match="5 requests"):
        ours.step(Batch((good,) * 5))
    with pytest.raises(GenerationError, match="without work"):
        ours.step(Batch(()))
    assert not ours._kept[1].data.any()  # type: ignore[attr-defined]
    with pytest.raises(GenerationError, match="no token is allowed"):
        ours.step(Batch((replace(good, allowed=b""),)))
    history = replace(good, sampling=SamplingParams(presence_penalty=1), history=(999,))
    with pytest.raises(GenerationError, match="history"):
        ours.step(Batch((history,)))
    ours.close()
    ours.close()
    with pytest.raises(GenerationError, match="closed"):
        ours.step(Batch((good,)))


def test_the_same_pages_tuple_may_come_back_for_a_shorter_or_longer_text() -> None:
    ours = runtime(cache="paged")
    pages = (3, 5)
    short = Batch((Work(0, (5,), 10, pages, GREEDY),))
    first = ours.logits(short)
    with pytest.raises(GenerationError, match="positions up to 65"):
        ours.step(Batch((Work(0, (5,), 64, pages, GREEDY),)))
    assert np.array_equal(ours.logits(short), first)


def test_works_that_do_not_sample_give_nothing() -> None:
    ours = runtime()
    a, b = (Work(i, (5 + i,), 0, pages_of(ours, i), GREEDY) for i in range(2))
    both = ours.logits(Batch((a, b)))
    assert np.array_equal(ours.logits(Batch((replace(a, sampling=None), b))), both[1:])
    assert ours.step(Batch((replace(a, sampling=None),))) == []


def test_a_tokenizer_with_fewer_ids_than_the_model_has_rows() -> None:
    whole, fewer = runtime(), runtime(vocab_size=300)
    assert np.array_equal(fewer.all_logits([5, 6]), whole.all_logits([5, 6])[:, :300])
    with pytest.raises(GenerationError, match=r"outside 0\.\.299"):
        fewer.all_logits([300])


@pytest.mark.parametrize("quant", [None, "int4"])
def test_nan_weights_are_noticed(quant: str | None) -> None:
    ours = runtime(quant=quant)
    ours._kept[0].kept[1][3] = np.nan  # type: ignore[attr-defined]  # a norm
    with pytest.raises(GenerationError, match="not finite"):
        ours.step(Batch((Work(0, (5,), 0, pages_of(ours, 0), GREEDY),)))


@pytest.mark.parametrize(
    ("wrong", "error", "says"),
    [
        ({"dtype": "int7"}, UsageError, "dtype is 'int7'"),
        ({"kv": "fp61"}, UsageError, "did you mean 'fp16'"),
        ({"cache": "round"}, UsageError, "cache"),
        ({"threads": 0}, UsageError, "threads"),
        ({"max_batch": 0}, UsageError, "max_batch"),
        ({"max_seq_len": 701}, UsageError, "1 to 700"),
        ({"device": "cuda"}, UsageError, "runs on cpu"),
        ({"instructions": "avx3"}, UsageError, "did you mean 'avx2'"),
    ],
)
def test_wishes_that_cannot_be_honoured(
    wrong: dict[str, object], error: type[Exception], says: str
) -> None:
    with pytest.raises(error, match=says):
        runtime(**wrong)


def test_a_model_that_does_not_fit_is_refused_with_numbers() -> None:
    # A cache of 2^40 positions; the model itself is small.
    endless = replace(PLAIN, max_seq_len=1 << 40)
    with pytest.raises(DoesNotFit, match=r"beside them\), available are"):
        runtime(endless, max_seq_len=1 << 40)


def test_bytes_per_position() -> None:
    # Llama 2 7B in fp16: 2 * 32 layers * 4,096 * 2 bytes = 512 KiB a token; int8 has scales too.
    seven = ModelConfig(32000, 4096, 32, 32, 32, 11008, 128)
    assert bytes_per_position(seven, "fp16") == 512 * 1024
    assert bytes_per_position(seven, "int8") == 256 * 1024 + 2 * 32 * 32 * 4


def test_a_library_of_another_abi_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(library, "ABI", -1)
    library._library.cache_clear()
    try:
        assert "other sources" in str(library.unavailable())
        with pytest.raises(DeviceError, match="other sources"):
            runtime()
    finally:
        library._library.cache_clear()


def kernel_threads() -> int:
    return sum(1 for _ in Path("/proc/self/task").iterdir())


def test_closing_ends_the_threads() -> None:
    before = kernel_threads()
    ours = with_threads(runtime(), 3)
    assert kernel_threads() == before + 2
    ours.close()
    assert kernel_threads() == before


def test_a_forked_child_computes_the_same() -> None:
    ours = with_threads(runtime(replace(PLAIN, vocab_size=20000)), 2)
    batch = Batch((Work(0, TEXTS[3], 0, pages_of(ours, 0), GREEDY),))
    want = ours.logits(batch)
    child = os.fork()
    if child == 0:
        same = np.array_equal(ours.logits(batch), want)
        ours.close()
        os._exit(0 if same else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert np.array_equal(ours.logits(batch), want)
