"""What is asked of the engine and what it says back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

import msgspec

from paddock.errors import GenerationError, UsageError
from paddock.inference.runtimes.base import Choice, SamplingParams

Finish = Literal["stop", "length", "cancelled"]
"""``stop``: a stop token or string, or nothing more was allowed. ``length``: ``max_new_tokens`` or
the end of the context. ``cancelled``: somebody called ``Engine.cancel``."""


class Constraint(Protocol):
    """Restricts one answer token by token, such as to a grammar. Neither method may raise."""

    def allowed(self) -> bytes | None:
        """What may come next, laid out as ``Work.allowed``; None: anything.

        A mask without a bit ends the answer. The engine may ask more than once for a token.
        """
        ...

    def accept(self, token: int) -> None:
        """Goes on by the token that was chosen."""
        ...


@dataclass(frozen=True, slots=True)
class Request:
    """One prompt and how to go on from it.

    ``stop_ids`` end the answer and are its last token; ``stop`` strings end the text before them
    (they need an engine with a tokenizer). ``use_past=False`` computes the whole text anew for
    every token, as MindFormers does by default: slow, kept so that its cost can be shown.
    ``fresh``: the answer is a text of its own (chat), not the rest of the prompt's last word.

    ``n`` answers are made, answer ``i`` with ``sampling.seed + i``. ``logprobs`` asks for the log
    probability of each token and of that many likeliest ones (see ``Choice``). ``constrain`` is
    called once for each answer, by ``add``, and gives what restricts it; whatever takes long, such
    as compiling a grammar, is done before. ``speculate=False`` makes no guesses for this request.
    ``prompt_logprobs`` asks for the log probabilities of the prompt's own tokens, which are then
    computed one a step.
    """

    prompt: Sequence[int]
    sampling: SamplingParams = field(default_factory=SamplingParams)
    max_new_tokens: int = 128
    stop_ids: tuple[int, ...] = ()
    stop: tuple[str, ...] = ()
    use_past: bool = True
    fresh: bool = False
    n: int = 1
    logprobs: int | None = None
    constrain: Callable[[], Constraint] | None = None
    speculate: bool = True
    prompt_logprobs: int | None = None

    def __post_init__(self) -> None:
        if not self.prompt:
            raise GenerationError("the prompt has no tokens", hint="give at least one, such as <s>")
        if self.max_new_tokens < 1:
            raise UsageError(f"max_new_tokens is {self.max_new_tokens}", hint="use 1 or more")
        if any(not text for text in self.stop):
            raise UsageError("a stop string is empty", hint="leave it out")
        if self.n < 1:
            raise UsageError(f"n is {self.n}", hint="ask for 1 answer or more")
        for name in ("logprobs", "prompt_logprobs"):
            value = getattr(self, name)
            if value is not None and value < 0:
                raise UsageError(f"{name} is {value}", hint="use 0 or more, or None")


@dataclass(frozen=True, slots=True)
class Usage:
    """What one answer cost.

    ``cached_tokens`` of the prompt were found in the cache instead of computed. Of ``drafted``
    guesses the model agreed with ``accepted``.
    """

    prompt_tokens: int
    new_tokens: int
    cached_tokens: int
    drafted: int
    accepted: int

    @property
    def acceptance_rate(self) -> float | None:
        """The share of guesses that were right; None where none was made."""
        return self.accepted / self.drafted if self.drafted else None


class Event(msgspec.Struct, frozen=True):  # a tenth of a dataclass's time, for every token
    """One new token and the text that it made certain (often ``""``).

    ``request`` is what ``Engine.add`` returned or, from ``Engine.stream``, the place in the list;
    ``index`` says which of the request's ``n`` answers this is. ``token`` is not part of ``text``
    if it is a stop token, and None if the answer ended without one (it was cancelled, or nothing
    was allowed). ``logprob`` and ``top`` are as in ``Choice``.

    The last event of an answer carries ``finish``, all text that was held back, the ``usage``, and
    in ``stop`` the stop string or token that ended it. The first event of answer 0 carries in
    ``prompt`` the log probabilities of the prompt's tokens from the second on, if asked for.
    """

    request: int
    token: int | None
    text: str
    finish: Finish | None = None
    index: int = 0
    logprob: float | None = None
    top: tuple[tuple[int, float], ...] = ()
    stop: str | int | None = None
    usage: Usage | None = None
    prompt: tuple[Choice, ...] = ()
