"""From logits to token ids: penalties, temperature, the truncations, and one random number each."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from paddock.errors import GenerationError
from paddock.inference.runtimes.base import Choice, SamplingParams, Work


def sample(logits: Tensor, work: Sequence[Work]) -> list[Choice]:
    """The choices for ``logits`` (S, vocab_size; fp32): ``1 + n_draft`` rows for each of ``work``.

    Raises GenerationError if logits are NaN, which means weights or a dtype that overflowed, and
    if a mask allows nothing.
    """
    if all(map(_plain_greedy, work)):
        best = logits.max(-1)
        _check_finite(best.values)
        return [Choice(token) for token in best.indices.tolist()]
    _check_finite(logits.amax(-1))
    choices: list[Choice] = []
    for item in work:
        rows = logits[len(choices) : len(choices) + 1 + item.n_draft]
        tokens = [_sample_row(row, item, i) for i, row in enumerate(rows)]
        if item.logprobs is None:
            choices.extend(map(Choice, tokens))
        else:
            choices.extend(_with_logprobs(rows, tokens, item.logprobs))
    return choices


def _plain_greedy(item: Work) -> bool:
    params = item.sampling
    plain = params is None or (params.greedy and not params.penalized)
    return plain and item.allowed is None and item.logprobs is None


def _check_finite(best: Tensor) -> None:
    # As Python numbers: torch.isfinite takes longer than finding the maximum did.
    if not all(map(math.isfinite, best.tolist())):
        raise GenerationError(
            "the model's logits are not finite numbers",
            hint="the weights are damaged or overflow in this dtype; try --dtype fp32",
        )


def _sample_row(row: Tensor, item: Work, at: int) -> int:
    """The token after guess ``at`` of the work, 0 being the position before the first guess."""
    params = item.sampling
    assert params is not None
    left = item.n_draft - at  # guesses that come after this position
    if params.penalized:
        row = penalize(row, params, item.history[: len(item.history) - left], item.n_prompt)
    if item.allowed is not None:
        row = row.masked_fill(~_bits(item, row), -math.inf)
    if params.greedy:
        return int(row.argmax())
    position = item.start + len(item.tokens) - left
    return draw(row / params.temperature, params, uniform(params.seed, position))


def _bits(item: Work, row: Tensor) -> Tensor:
    """``item.allowed`` as (vocab_size,) of bool. Raises GenerationError if no bit is set."""
    assert item.allowed is not None
    packed = torch.frombuffer(bytearray(item.allowed), dtype=torch.uint8)
    bits = (packed.unsqueeze(1) >> torch.arange(8)) & 1
    allowed = bits.view(-1)[: row.shape[-1]].bool()
    if not allowed.any():
        raise GenerationError(f"request {item.request}: no token is allowed")
    return allowed.to(row.device)


def _with_logprobs(rows: Tensor, tokens: Sequence[int], count: int) -> list[Choice]:
    """Each row's token with its log probability and the ``count`` likeliest."""
    scores = torch.log_softmax(rows, -1)
    chosen = scores.gather(1, torch.tensor(tokens, device=rows.device).unsqueeze(1)).view(-1)
    best = scores.topk(min(count, scores.shape[-1]), -1)
    tops = zip(best.indices.tolist(), best.values.tolist(), strict=True)
    return [
        Choice(token, logprob, tuple(zip(ids, values, strict=True)))
        for token, logprob, (ids, values) in zip(tokens, chosen.tolist(), tops, strict=True)
    ]


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
    sum_kept = total[keep - 1].item()
    at = int(torch.searchsorted(total[:keep], random * sum_kept, right=True))
    if at == keep:
        # The product was rounded up to the sum: the last that has a probability at all.
        at = int(torch.searchsorted(total[:keep], sum_kept))
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
