"""From logits to token ids: penalties, temperature, the truncations, and one random number each."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from paddock.errors import GenerationError
from paddock.inference.runtimes.base import SamplingParams, Work


def sample(logits: Tensor, work: Sequence[Work]) -> list[int]:
    """One token id per row of ``logits`` (S, vocab_size; fp32), whose S requests are ``work``.

    Raises GenerationError if logits are NaN, which means weights or a dtype that overflowed.
    """
    if all(item.sampling is None or _plain_greedy(item.sampling) for item in work):
        best = logits.max(-1)
        _check_finite(best.values)
        return best.indices.tolist()
    _check_finite(logits.amax(-1))
    return [_sample_row(logits[i], item) for i, item in enumerate(work)]


def _plain_greedy(params: SamplingParams) -> bool:
    return params.greedy and not params.penalized


def _check_finite(best: Tensor) -> None:
    # As Python numbers: torch.isfinite takes longer than finding the maximum did.
    if not all(map(math.isfinite, best.tolist())):
        raise GenerationError(
            "the model's logits are not finite numbers",
            hint="the weights are damaged or overflow in this dtype; try --dtype fp32",
        )


def _sample_row(row: Tensor, item: Work) -> int:
    params = item.sampling
    assert params is not None
    if params.penalized:
        row = penalize(row, params, item.history, item.n_prompt)
    if params.greedy:
        return int(row.argmax())
    position = item.start + len(item.tokens)
    return draw(row / params.temperature, params, uniform(params.seed, position))


def penalize(row: Tensor, params: SamplingParams, history: Sequence[int], n_prompt: int) -> Tensor:
    """A copy of ``row`` (vocab_size,) with the three penalties applied.

    ``repetition_penalty`` divides positive and multiplies negative logits of tokens seen anywhere;
    presence and frequency are subtracted for tokens of the answer, once and per occurrence.
    """
    row = row.clone()
    if params.repetition_penalty != 1:
        seen = torch.tensor(sorted(set(history)), device=row.device)
        old = row[seen]
        row[seen] = torch.where(
            old > 0, old / params.repetition_penalty, old * params.repetition_penalty
        )
    answer = history[n_prompt:]
    if answer and (params.presence_penalty or params.frequency_penalty):
        counts = torch.tensor(answer, device=row.device).bincount(minlength=row.shape[-1])
        row -= params.presence_penalty * (counts > 0) + params.frequency_penalty * counts
    return row


def draw(row: Tensor, params: SamplingParams, random: float) -> int:
    """The id at which the cumulated probability of what the truncations leave passes ``random``."""
    size = row.shape[-1]
    truncated = params.top_p < 1 or params.min_p > 0
    if params.top_k and params.top_k < size:
        row, ids = row.topk(params.top_k)
    elif truncated:
        row, ids = row.sort(descending=True)
    else:
        ids = None
    # Doubles: a cumulated sum over 32,000 fp32 terms would lose the tail.
    probabilities = torch.softmax(row, -1, dtype=torch.float64)
    total = probabilities.cumsum(-1)
    keep = row.shape[-1]
    if params.top_p < 1:
        keep = 1 + int((total[:-1] < params.top_p).sum())
    if params.min_p > 0:
        keep = min(keep, int((probabilities >= params.min_p * probabilities[0]).sum()))
    at = int(torch.searchsorted(total[:keep], random * float(total[keep - 1]), right=True))
    at = min(at, keep - 1)
    return at if ids is None else int(ids[at])


def uniform(seed: int, position: int) -> float:
    """A number in [0, 1) that depends on ``seed`` and ``position`` alone.

    SplitMix64's finalizer (Steele, Lea, Flood 2014) over both. Not cryptographic.
    """
    mask = 0xFFFFFFFFFFFFFFFF
    z = (seed * 0xD1B54A32D192ED03 + (position + 1) * 0x9E3779B97F4A7C15) & mask
    for _ in range(2):
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & mask
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & mask
        z ^= z >> 31
    return (z >> 11) / float(1 << 53)
