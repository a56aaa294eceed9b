"""An answer's share of a step: as work for the runtime, and the choices that come back."""

from __future__ import annotations

from collections.abc import Sequence

from paddock.inference.engine.generation import Generation
from paddock.inference.runtimes.base import Choice, SamplingParams, Work

GREEDY = SamplingParams()


def work_of(one: Generation, n: int, guesses: Sequence[int], vocab: int) -> Work | None:
    """The next ``n`` tokens that the cache lacks, and ``guesses``; None if nothing may follow."""
    start = one.computed
    tokens = one.tokens[start : start + n]
    if one.scoring:
        # The only token allowed is the one that is there: what it gets is its log probability.
        only = bytearray(-(-vocab // 8))
        then = one.tokens[start + 1]
        only[then // 8] = 1 << then % 8
        wanted = one.request.prompt_logprobs
        return Work(
            one.number, tokens, start, one.pages, GREEDY, logprobs=wanted, allowed=bytes(only)
        )
    if start + n < len(one.tokens):
        return Work(one.number, tokens, start, one.pages, None)
    allowed = None
    if one.constraint is not None:
        allowed = one.constraint.allowed()
        if allowed is not None and not any(allowed):
            return None
    history: Sequence[int] = ()
    if one.sampling.penalized:
        history = [*one.tokens, *guesses] if guesses else one.tokens
    if guesses:
        tokens += guesses
    return Work(
        one.number,
        tokens,
        start,
        one.pages,
        one.sampling,
        history,
        one.n_prompt,
        len(guesses),
        one.request.logprobs,
        allowed,
    )


def right_choices(work: Work, choices: list[Choice]) -> list[Choice]:
    """The choices up to the first that differs from its guess, which is right all the same."""
    guesses = work.tokens[len(work.tokens) - work.n_draft :]
    for i, guess in enumerate(guesses):
        if choices[i].token != guess:
            return choices[: i + 1]
    return choices
