"""The C++ sampler against the torch runtime's and against torch's own log_softmax."""

from __future__ import annotations

import ctypes
from dataclasses import replace

import numpy as np
import pytest
import torch

from paddock.inference.runtimes.base import Limits, SamplingParams, Work
from paddock.inference.runtimes.native import library
from paddock.inference.runtimes.native.requests import Slots
from paddock.inference.runtimes.torch.sampler import draw, penalize, uniform

pytestmark = pytest.mark.skipif(
    library.unavailable() is not None, reason=str(library.unavailable())
)


def choose(
    logits: np.ndarray,
    params: SamplingParams,
    history: list[int] | None = None,
    n_prompt: int = 0,
    position: int = 1,
    **more: object,
) -> tuple[int, int, float, list[tuple[int, float]]]:
    """Outcome, token, log probability and the likeliest ones, chosen as a step does."""
    limits = Limits(len(logits), 10**6, 10**6, 1, 1)
    slots = Slots(limits)
    work = Work(0, [0], position - 1, (0,), params, history or (), n_prompt, **more)  # type: ignore[arg-type]
    slots.fill([work])
    request, results = slots.requests[0], slots.results
    outcome = library.library().paddock_choose(
        request.sampling,
        np.ascontiguousarray(logits, np.float32).ctypes.data,
        len(logits),
        position,
        results.tokens,
        results.logprobs,
        results.top_ids,
        results.top_logprobs,
    )
    if outcome:
        return outcome, -1, 0.0, []
    ctypes.c_int32.from_address(results.outcomes).value = 0
    found = slots.choices([work])[0]
    return 0, found.token, found.logprob or 0.0, list(found.top)


def torchs(
    logits: np.ndarray, params: SamplingParams, history: list[int], n_prompt: int, position: int
) -> int:
    row = torch.from_numpy(logits)
    if params.penalized:
        row = penalize(row, params, history, n_prompt)
    if params.greedy:
        return int(row.argmax())
    return draw(row / params.temperature, params, uniform(params.seed, position))


@pytest.mark.parametrize("cases", [3000, pytest.param(100_000, marks=pytest.mark.slow)])
def test_decisions_are_those_of_the_torch_sampler(cases: int) -> None:
    random = np.random.default_rng(7)
    for case in range(cases):
        vocab = int(random.choice([1, 2, 7, 65, 300, 2000]))
        logits = (random.standard_normal(vocab) * random.choice([0.1, 1, 5])).astype(np.float32)
        history = [int(i) for i in random.integers(vocab, size=random.integers(1, 30))]
        params = SamplingParams(
            temperature=float(random.choice([0, 0.2, 0.7, 1, 1.7])),
            top_k=int(random.choice([0, 0, 1, 5, 40, vocab, vocab + 3])),
            top_p=float(random.choice([1, 1, 0.999, 0.9, 0.5, 0.01])),
            min_p=float(random.choice([0, 0, 0.02, 0.3, 1])),
            repetition_penalty=float(random.choice([1, 1, 1.3, 0.8])),
            presence_penalty=float(random.choice([0, 0, 0.5, -1.1])),
            frequency_penalty=float(random.choice([0, 0, 0.3, -0.7])),
            seed=int(random.integers(1 << 62)),
        )
        n_prompt, position = len(history) // 2, int(random.integers(1, 5000))
        found = choose(logits, params, history, n_prompt, position)
        want = torchs(logits, params, history, n_prompt, position)
        assert found[:2] == (0, want), (case, params)


def test_a_large_vocabulary_and_huge_seeds() -> None:
    random = np.random.default_rng(8)
    for seed in (0, -1, 2**64 - 1, 2**70 + 3):
        logits = random.standard_normal(128_256).astype(np.float32) * 3
        for params in (
            SamplingParams(temperature=1.0, seed=seed),
            SamplingParams(temperature=1.0, top_p=0.95, seed=seed),
            SamplingParams(temperature=2.0, min_p=0.01, seed=seed),
        ):
            assert choose(logits, params, position=17)[1] == torchs(logits, params, [], 0, 17)


def test_log_probabilities_are_of_the_models_own_distribution() -> None:
    logits = np.random.default_rng(9).standard_normal(500).astype(np.float32) * 4
    want = torch.log_softmax(torch.from_numpy(logits).double(), -1)
    order = want.argsort(descending=True).tolist()
    for params in (
        SamplingParams(),
        SamplingParams(temperature=1.5, top_k=50, repetition_penalty=1.5, seed=3),
    ):
        _, token, logprob, top = choose(logits, params, [order[0]], 0, logprobs=5)
        assert logprob == pytest.approx(float(want[token]), abs=1e-9)
        assert [i for i, _ in top] == order[:5]
        assert [p for _, p in top] == pytest.approx([float(want[i]) for i in order[:5]], abs=1e-9)
    assert choose(logits, SamplingParams(), logprobs=0)[3] == []
    assert len(choose(logits, SamplingParams(), logprobs=900)[3]) == 500


def test_only_what_is_allowed_is_chosen() -> None:
    random = np.random.default_rng(10)
    logits = random.standard_normal(100).astype(np.float32)
    some = [3, 17, 64, 99]
    mask = bytearray(13)
    for i in some:
        mask[i // 8] |= 1 << i % 8
    best = max(some, key=lambda i: logits[i])
    assert choose(logits, SamplingParams(), allowed=bytes(mask))[1] == best
    alone = np.full(100, -np.inf, np.float32)
    alone[some] = logits[some]
    for seed in range(50):
        params = SamplingParams(temperature=1.3, top_p=0.9, seed=seed)
        got = choose(logits, params, allowed=bytes(mask))[1]
        assert got in some
        assert got == torchs(alone, params, [], 0, 1)
    assert choose(logits, SamplingParams(), allowed=bytes(13))[0] == 2
    # A mask that is too short allows none of the others.
    assert choose(logits, SamplingParams(), allowed=bytes(mask[:1]))[1] == 3


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("place", [0, 50, 99])
def test_logits_that_are_no_numbers(bad: float, place: int) -> None:
    logits = np.zeros(100, np.float32)
    logits[place] = bad
    for params in (SamplingParams(), SamplingParams(temperature=1.0)):
        assert choose(logits, params)[0] == 1
    assert choose(np.full(100, -np.inf, np.float32), SamplingParams())[0] == 1


def test_ties_and_temperatures_near_zero() -> None:
    logits = np.array([1, 5, 5, 2], np.float32)
    assert choose(logits, SamplingParams())[1] == 1
    tiny = SamplingParams(temperature=1e-42, seed=4)
    assert choose(logits, replace(tiny, temperature=1e-40))[1] == 1
    assert choose(logits, SamplingParams(repetition_penalty=1.5), [200])[0] == 3
