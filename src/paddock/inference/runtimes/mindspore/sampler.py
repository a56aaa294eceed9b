"""From the worker's logits to token ids, in numpy: the rules and random numbers of base.py."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from paddock.errors import GenerationError
from paddock.inference.runtimes.base import Choice, SamplingParams, Work

Floats = npt.NDArray[np.float32]
_MASK = 0xFFFFFFFFFFFFFFFF


def sample(logits: Floats, work: Sequence[Work]) -> list[Choice]:
    """The choice of each of ``work`` from its row of ``logits`` (S, vocab_size).

    Raises GenerationError for logits that are no numbers and for a mask that allows nothing.
    """
    if not np.isfinite(logits.max(-1)).all():
        raise GenerationError(
            "the model's logits are not finite numbers",
            hint="the weights are damaged or overflow in this dtype; try --dtype fp32",
        )
    return [_choice(row, item) for row, item in zip(logits, work, strict=True)]


def _choice(row: Floats, item: Work) -> Choice:
    token = _token(row, item)
    if item.logprobs is None:
        return Choice(token)
    scores = row.astype(np.float64)
    scores -= scores.max()
    scores -= np.log(np.exp(scores).sum())
    likeliest = np.argsort(-scores, kind="stable")[: item.logprobs]
    top = tuple((int(i), float(scores[i])) for i in likeliest)
    return Choice(token, float(scores[token]), top)


def _token(row: Floats, item: Work) -> int:
    params = item.sampling
    assert params is not None
    if params.penalized:
        row = penalize(row, params, item.history, item.n_prompt)
    if item.allowed is not None:
        bits = np.unpackbits(np.frombuffer(item.allowed, np.uint8), bitorder="little")
        allowed = bits[: len(row)].astype(bool)
        if not allowed.any():
            raise GenerationError(f"request {item.request}: no token is allowed")
        row = np.where(allowed, row, np.float32(-np.inf))
    if params.greedy:
        return int(row.argmax())
    position = item.start + len(item.tokens)
    return draw(row / np.float32(params.temperature), params, uniform(params.seed, position))


def penalize(row: Floats, params: SamplingParams, history: Sequence[int], n_prompt: int) -> Floats:
    """A copy of ``row`` with the three penalties of SamplingParams applied."""
    row = row.copy()
    if params.repetition_penalty != 1:
        seen = np.unique(np.asarray(history))
        old = row[seen]
        factor = np.float32(params.repetition_penalty)
        row[seen] = np.where(old > 0, old / factor, old * factor)
    answer = np.asarray(history[n_prompt:], np.int64)
    if answer.size and (params.presence_penalty or params.frequency_penalty):
        counts = np.bincount(answer, minlength=len(row))
        row -= (params.presence_penalty * (counts > 0)).astype(np.float32)
        row -= (params.frequency_penalty * counts).astype(np.float32)
    return row


def draw(row: Floats, params: SamplingParams, random: float) -> int:
    """The id at which the cumulated probability of what the truncations leave passes ``random``."""
    ids = None
    most = params.top_k if 0 < params.top_k < len(row) else None
    if most is not None or params.top_p < 1 or params.min_p > 0:
        ids = np.argsort(-row, kind="stable")[:most]
        row = row[ids]
    scores = row.astype(np.float64)
    weights = np.exp(scores - scores.max())
    probabilities = weights / weights.sum()
    total = probabilities.cumsum()
    keep = len(row)
    if params.top_p < 1:
        keep = 1 + int((total[:-1] < params.top_p).sum())
    if params.min_p > 0:
        keep = min(keep, int((probabilities >= params.min_p * probabilities[0]).sum()))
    at = int(np.searchsorted(total[:keep], random * total[keep - 1], side="right"))
    if at == keep:
        # The product was rounded up to the sum: the last that has a probability at all.
        at = int(np.searchsorted(total[:keep], total[keep - 1]))
    return at if ids is None else int(ids[at])


def uniform(seed: int, position: int) -> float:
    """A number in [0, 1) that depends on ``seed`` and ``position`` alone (decision 0005).

    SplitMix64's finalizer (Steele, Lea, Flood 2014) over both. Not cryptographic.
    """
    z = (seed * 0xD1B54A32D192ED03 + (position + 1) * 0x9E3779B97F4A7C15) & _MASK
    for _ in range(2):
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & _MASK
        z ^= z >> 31
    return (z >> 11) / float(1 << 53)
