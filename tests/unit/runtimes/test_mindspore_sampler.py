"""The numpy sampler chooses what the torch one does, which is held against transformers."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from paddock.errors import GenerationError
from paddock.inference.runtimes.base import SamplingParams, Work
from paddock.inference.runtimes.mindspore import sampler
from paddock.inference.runtimes.torch import sampler as torch_sampler

VOCAB = 60
params = st.builds(
    SamplingParams,
    temperature=st.sampled_from([0.0, 0.3, 1.0, 2.0]),
    top_k=st.sampled_from([0, 1, 5, VOCAB + 5]),
    top_p=st.sampled_from([0.01, 0.5, 0.9, 1.0]),
    min_p=st.sampled_from([0.0, 0.05, 0.5]),
    repetition_penalty=st.sampled_from([1.0, 1.5, 0.8]),
    presence_penalty=st.sampled_from([0.0, 1.0]),
    frequency_penalty=st.sampled_from([0.0, -0.5, 1.5]),
    seed=st.integers(0, 2**63),
)


def work(chosen: SamplingParams, history: list[int], **more: object) -> Work:
    kept = history if chosen.penalized else []
    start = len(history) - 1
    return Work(0, history[-1:], start, (0,), chosen, kept, 2, **more)  # type: ignore[arg-type]


@settings(max_examples=300, deadline=None)
@given(
    params,
    st.lists(st.integers(0, VOCAB - 1), min_size=2, max_size=12),
    st.integers(0, 2**32 - 1),
    st.booleans(),
)
def test_the_same_choice_as_torch(
    chosen: SamplingParams, history: list[int], seed: int, masked: bool
) -> None:
    logits = np.random.default_rng(seed).normal(0, 3, (1, VOCAB)).astype(np.float32)
    allowed = bytes([0b10101010] * 8) if masked else None
    item = work(chosen, history, allowed=allowed, logprobs=3)
    (ours,) = sampler.sample(logits, [item])
    (theirs,) = torch_sampler.sample(torch.tensor(logits), [item])
    assert ours.token == theirs.token
    assert ours.logprob == pytest.approx(theirs.logprob, abs=1e-5)
    assert [token for token, _ in ours.top] == [token for token, _ in theirs.top]


def test_random_numbers_are_the_houses() -> None:
    for seed, position in [(0, 0), (1, 5), (2**63, 4095), (12345, 1)]:
        assert sampler.uniform(seed, position) == torch_sampler.uniform(seed, position)


def test_the_last_token_is_reached_and_never_passed() -> None:
    row = np.zeros(7, np.float32)
    for chosen in (SamplingParams(temperature=1.0), SamplingParams(temperature=1.0, top_k=3)):
        assert sampler.draw(row, chosen, 0.0) == 0
        assert sampler.draw(row, chosen, np.nextafter(1.0, 0.0)) == (6 if not chosen.top_k else 2)


def test_what_is_no_number_or_allows_nothing_is_an_error() -> None:
    item = work(SamplingParams(), [1, 2])
    with pytest.raises(GenerationError, match="not finite"):
        sampler.sample(np.full((1, VOCAB), np.nan, np.float32), [item])
    nothing = work(SamplingParams(), [1, 2], allowed=bytes(8))
    with pytest.raises(GenerationError, match="no token is allowed"):
        sampler.sample(np.zeros((1, VOCAB), np.float32), [nothing])
