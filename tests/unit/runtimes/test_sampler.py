"""The sampler against transformers' logits processors, which we did not write."""

from __future__ import annotations

import math
from collections import Counter

import pytest
import torch
from transformers.generation.logits_process import (
    LogitsProcessorList,
    MinPLogitsWarper,
    RepetitionPenaltyLogitsProcessor,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from paddock.errors import GenerationError, UsageError
from paddock.inference.runtimes.base import SamplingParams, Work
from paddock.inference.runtimes.torch.sampler import draw, penalize, uniform
from paddock.inference.runtimes.torch.sampler import sample as choose

VOCAB = 60
CASES = [
    SamplingParams(temperature=1.0),
    SamplingParams(temperature=0.3),
    SamplingParams(temperature=2.0, top_k=5),
    SamplingParams(temperature=1.0, top_k=VOCAB + 5),
    SamplingParams(temperature=1.0, top_p=0.9),
    SamplingParams(temperature=1.0, top_p=0.01),
    SamplingParams(temperature=1.0, min_p=0.2),
    SamplingParams(temperature=0.8, top_k=20, top_p=0.8, min_p=0.05),
]


def theirs(logits: torch.Tensor, params: SamplingParams) -> torch.Tensor:
    steps = LogitsProcessorList([TemperatureLogitsWarper(params.temperature)])
    if params.top_k:
        steps.append(TopKLogitsWarper(params.top_k))
    if params.top_p < 1:
        steps.append(TopPLogitsWarper(params.top_p))
    if params.min_p:
        steps.append(MinPLogitsWarper(params.min_p))
    return steps(torch.zeros(1, 1, dtype=torch.long), logits[None])[0].softmax(-1)


@pytest.mark.parametrize("params", CASES, ids=str)
def test_frequencies_are_those_of_transformers(params: SamplingParams) -> None:
    logits = torch.randn(VOCAB, generator=torch.Generator().manual_seed(3)) * 2
    n = 4000
    drawn = Counter(draw(logits / params.temperature, params, (i + 0.5) / n) for i in range(n))
    expected = theirs(logits, params)
    # Inverse transform sampling at n even points is exact to one point per token.
    for token in range(VOCAB):
        assert abs(drawn[token] / n - float(expected[token])) <= 1.5 / n


def test_repetition_penalty_is_that_of_transformers() -> None:
    logits = torch.randn(VOCAB)
    history = [3, 5, 5, 9, 0]
    expected = RepetitionPenaltyLogitsProcessor(1.3)(torch.tensor([history]), logits[None])[0]
    params = SamplingParams(repetition_penalty=1.3)
    assert torch.equal(penalize(logits, params, history, 2), expected)


def test_presence_and_frequency_count_the_answer_only() -> None:
    params = SamplingParams(presence_penalty=0.5, frequency_penalty=0.25)
    out = penalize(torch.zeros(VOCAB), params, [1, 2, 7, 7, 8], n_prompt=2)
    assert out[7] == -1.0
    assert out[8] == -0.75
    assert out.count_nonzero() == 2


def sample(logits: torch.Tensor, works: list[Work]) -> list[int]:
    return [choice.token for choice in choose(logits, works)]


def work(params: SamplingParams, start: int = 0, history: tuple[int, ...] = ()) -> Work:
    return Work(0, [1], start, (0,), params, history, 0)


def test_greedy_takes_the_largest_and_penalties_change_it() -> None:
    logits = torch.zeros(2, VOCAB)
    logits[:, 4], logits[:, 6] = 2.0, 1.5
    penalized = SamplingParams(repetition_penalty=2.0)
    assert sample(logits, [work(SamplingParams()), work(SamplingParams())]) == [4, 4]
    assert sample(logits, [work(SamplingParams()), work(penalized, history=(4,))]) == [4, 6]


def test_a_choice_depends_on_seed_and_position_not_on_neighbours() -> None:
    logits = torch.randn(3, VOCAB)
    params = SamplingParams(temperature=1.0, seed=11)
    together = sample(logits, [work(params, 5), work(params, 6), work(SamplingParams())])
    assert sample(logits[1:2], [work(params, 6)]) == together[1:2]


def test_random_numbers_are_even_and_uncorrelated() -> None:
    numbers = torch.tensor([[uniform(s, p) for p in range(200)] for s in range(200)])
    assert ((numbers >= 0) & (numbers < 1)).all()
    counts = torch.histc(numbers, 20, 0, 1)
    expected = numbers.numel() / 20
    chi2 = float(((counts - expected) ** 2 / expected).sum())
    assert chi2 < 50  # 19 degrees of freedom: above 43.8 once in a thousand; seeds are fixed
    for other in (numbers.roll(1, 0), numbers.roll(1, 1), numbers.T):
        pair = torch.stack((numbers.flatten(), other.flatten()))
        assert abs(float(torch.corrcoef(pair)[0, 1])) < 4 / math.sqrt(numbers.numel())


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_logits_that_are_no_numbers_are_an_error(bad: float) -> None:
    logits = torch.zeros(1, VOCAB)
    logits[0, 3] = bad
    for params in (SamplingParams(), SamplingParams(temperature=1.0)):
        with pytest.raises(GenerationError, match="not finite"):
            sample(logits, [work(params)])


@pytest.mark.parametrize(
    "wrong",
    [
        {"temperature": -1},
        {"temperature": math.nan},
        {"top_k": -1},
        {"top_p": 0},
        {"top_p": 1.1},
        {"min_p": -0.1},
        {"repetition_penalty": 0},
        {"presence_penalty": 3},
        {"frequency_penalty": -3},
    ],
)
def test_parameters_out_of_range_name_themselves(wrong: dict[str, float]) -> None:
    with pytest.raises(UsageError, match=next(iter(wrong))):
        SamplingParams(**wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize("params", [*CASES, SamplingParams(), SamplingParams(seed=3)], ids=str)
def test_only_allowed_tokens_are_chosen_in_the_proportions_that_they_have(
    params: SamplingParams,
) -> None:
    logits = torch.randn(1, VOCAB, generator=torch.Generator().manual_seed(5)) * 2
    permitted = [0, 3, 7, 8, 21, VOCAB - 1]
    bits = bytearray(-(-VOCAB // 8))
    for token in permitted:
        bits[token // 8] |= 1 << token % 8
    masked = torch.full((VOCAB,), -math.inf)
    masked[permitted] = logits[0, permitted]
    for position in range(50):
        item = Work(0, [1], position, (0,), params, allowed=bytes(bits))
        plain = Work(0, [1], position, (0,), params)
        (token,) = sample(logits, [item])
        assert token in permitted
        if params.greedy:
            assert token == int(masked.argmax())
        else:
            drawn = draw(masked / params.temperature, params, uniform(params.seed, position + 1))
            assert token == drawn
        assert sample(logits.repeat(2, 1), [plain, item]) == [*sample(logits, [plain]), token]


def test_a_mask_without_a_bit_is_an_error() -> None:
    item = Work(0, [1], 0, (0,), SamplingParams(), allowed=bytes(-(-VOCAB // 8)))
    with pytest.raises(GenerationError, match="no token is allowed"):
        choose(torch.zeros(1, VOCAB), [item])


def test_the_largest_random_number_does_not_choose_what_has_no_probability() -> None:
    row = torch.full((VOCAB,), -math.inf)
    row[:3] = torch.tensor([0.3, 0.1, 0.2])
    for random in (1 - 2**-53, 1.0):
        assert draw(row, SamplingParams(temperature=1.0), random) == 2


@pytest.mark.parametrize("params", [SamplingParams(), SamplingParams(temperature=0.7, top_k=3)])
def test_log_probabilities_are_those_of_the_model_itself(params: SamplingParams) -> None:
    logits = torch.randn(2, VOCAB, generator=torch.Generator().manual_seed(5))
    expected = torch.log_softmax(logits.double(), -1)
    item = Work(0, [1, 2], 0, (0,), params, n_draft=1, logprobs=4)
    for row, choice in enumerate(choose(logits, [item])):
        assert choice.logprob == pytest.approx(float(expected[row, choice.token]), abs=1e-5)
        best = expected[row].topk(4)
        assert [token for token, _ in choice.top] == best.indices.tolist()
        assert [x for _, x in choice.top] == pytest.approx(best.values.tolist(), abs=1e-5)
    (choice,) = choose(logits[:1], [Work(0, [1], 0, (0,), params, logprobs=0)])
    assert choice.top == ()
    (choice,) = choose(logits[:1], [Work(0, [1], 0, (0,), params, logprobs=999)])
    assert len(choice.top) == VOCAB


def test_each_guess_has_the_history_and_the_random_number_of_its_position() -> None:
    logits = torch.randn(4, VOCAB, generator=torch.Generator().manual_seed(6))
    params = SamplingParams(
        temperature=1.0, repetition_penalty=1.5, frequency_penalty=1.0, presence_penalty=0.5, seed=9
    )
    text = [5, 6, 7, 8, 9, 10, 11]
    item = Work(0, text[2:], 2, (0,), params, text, 4, n_draft=3)
    together = sample(logits, [item])
    for i, end in enumerate(range(4, 8)):
        alone = Work(0, [text[end - 1]], end - 1, (0,), params, text[:end], 4)
        assert sample(logits[i : i + 1], [alone]) == together[i : i + 1]
