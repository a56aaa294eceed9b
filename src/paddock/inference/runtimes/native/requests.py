"""From works to the structs of a step, checked; what did not change since the last step stays."""

from __future__ import annotations

import ctypes
from array import array
from collections.abc import Sequence
from ctypes import c_double, c_int32

from paddock.errors import GenerationError
from paddock.inference.runtimes.base import Choice, Limits, SamplingParams, Work
from paddock.inference.runtimes.native.library import Request, Results, Sampling

_MASK = (1 << 64) - 1
_OUTCOMES = {
    1: (
        "the model's logits are not finite numbers",
        "the weights are damaged or overflow in this dtype; try --dtype fp32",
    ),
    2: ("no token is allowed at this place", "allow at least one that the model can make"),
    3: ("the history has a token that does not exist", None),
}


class Slots:
    """The requests of a step as the library reads them: one slot for each place in a batch."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self.requests = (Request * limits.max_batch)()
        self._slots = [_Slot(request, limits) for request in self.requests]
        self._wanted = 0
        self._plain = True  # no work asks for log probabilities
        self.results = Results()
        self._capacity = self._top = 0
        self._room(limits.max_batch, 0)

    def fill(self, work: Sequence[Work]) -> int:
        """Lays out ``work`` and room for its choices; how many choices there will be.

        Raises GenerationError before anything is computed if a number does not exist.
        """
        limits = self._limits
        if not work:
            raise GenerationError("a step without work")
        if len(work) > limits.max_batch:
            raise GenerationError(
                f"{len(work)} requests in a step; the limit is {limits.max_batch}"
            )
        wanted = most = 0
        self._plain = True
        for slot, item in zip(self._slots, work, strict=False):
            if slot.goes_on(item):
                wanted += 1
                continue
            check(item, limits)
            slot.place(item)
            if item.sampling is None:
                continue
            wanted += 1 + item.n_draft
            if item.logprobs is not None:
                self._plain = False
                most = max(most, item.logprobs)
        self._wanted = wanted
        self._room(wanted, min(most, limits.vocab_size))
        return wanted

    def choices(self, work: Sequence[Work]) -> list[Choice]:
        """What the library chose. Raises GenerationError for the first choice that is none."""
        if self._plain and not any(self._outcomes[: self._wanted]):
            return list(map(Choice, self._tokens[: self._wanted]))
        found: list[Choice] = []
        for item in work:
            if item.sampling is None:
                continue
            for _ in range(1 + item.n_draft):
                found.append(self._choice(len(found), item))
        return found

    def _choice(self, at: int, item: Work) -> Choice:
        if outcome := self._outcomes[at]:
            message, hint = _OUTCOMES[outcome]
            raise GenerationError(message, hint=hint)
        if item.logprobs is None:
            return Choice(self._tokens[at])
        first = at * self._top
        n = min(item.logprobs, self._limits.vocab_size)
        top = zip(self._ids[first : first + n], self._likely[first : first + n], strict=True)
        return Choice(self._tokens[at], self._logprobs[at], tuple(top))

    def _room(self, wanted: int, top: int) -> None:
        """Makes the arrays hold ``wanted`` choices of ``top`` log probabilities each."""
        if wanted <= self._capacity and top <= self._top:
            return
        self._capacity, self._top = wanted, top
        self._tokens = (c_int32 * wanted)()
        self._outcomes = (c_int32 * wanted)()
        self._logprobs = (c_double * wanted)()
        self._ids = (c_int32 * (wanted * top))()
        self._likely = (c_double * (wanted * top))()
        self.results = Results(
            None,
            ctypes.addressof(self._tokens),
            ctypes.addressof(self._logprobs),
            ctypes.addressof(self._ids),
            ctypes.addressof(self._likely),
            ctypes.addressof(self._outcomes),
            top,
        )


class _Slot:
    """One request's arrays, and what they were made from."""

    def __init__(self, request: Request, limits: Limits) -> None:
        self._request = request
        self._vocab = limits.vocab_size
        self._page_size = limits.page_size
        self._longest = limits.max_seq_len
        self._one = (c_int32 * 1)()
        self._tokens = array("i")
        self._pages: tuple[int, ...] | None = None
        self._room = 0  # positions that the pages hold
        self._numbers = array("i")
        self._params: SamplingParams | None = None
        self._sampling = Sampling()
        request.sampling = ctypes.addressof(self._sampling)
        self._special = True  # history, allowed or logprobs are set
        self._decoding = False  # a step of one token that is sampled as usual
        self._history = array("i")
        self._allowed: ctypes.Array[ctypes.c_char] | None = None

    def goes_on(self, item: Work) -> bool:
        """Takes one more token of what was there; False, and nothing taken, if more has changed."""
        tokens = item.tokens
        if not (
            self._decoding
            and item.pages is self._pages
            and item.sampling is self._params
            and len(tokens) == 1
            and item.allowed is None
            and item.logprobs is None
            and not item.n_draft
            and 0 <= tokens[0] < self._vocab
            and 0 <= item.start < self._room
        ):
            return False
        self._one[0] = tokens[0]
        self._request.start = item.start
        return True

    def place(self, item: Work) -> None:
        """The tokens, the position, the pages, and how to choose."""
        request, tokens, params = self._request, item.tokens, item.sampling
        if len(tokens) == 1:
            self._one[0] = tokens[0]
            request.tokens = ctypes.addressof(self._one)
        else:
            self._tokens = array("i", tokens)
            request.tokens = self._tokens.buffer_info()[0]
        request.n_tokens = len(tokens)
        request.start = item.start
        if item.pages is not self._pages:
            self._pages = item.pages
            self._numbers = array("i", item.pages)
            self._room = min(len(item.pages) * self._page_size, self._longest)
        request.pages = self._numbers.buffer_info()[0]
        request.wanted = 0 if params is None else 1 + item.n_draft
        if params is not None:
            self._sample(item, params)
        self._decoding = len(tokens) == 1 and params is not None and not self._special

    def _sample(self, item: Work, params: SamplingParams) -> None:
        """How to choose; the usual case changes nothing."""
        s = self._sampling
        if params is not self._params:
            self._params = params
            s.temperature, s.top_p, s.min_p = params.temperature, params.top_p, params.min_p
            s.repetition_penalty = params.repetition_penalty
            s.presence_penalty = params.presence_penalty
            s.frequency_penalty = params.frequency_penalty
            s.seed, s.top_k = params.seed & _MASK, params.top_k
        special = params.penalized or item.allowed is not None or item.logprobs is not None
        if not special and not self._special:
            return
        self._special = special
        self._history = array("i", _history(item) if params.penalized else ())
        s.history = self._history.buffer_info()[0]
        s.n_history = len(self._history) - item.n_draft if params.penalized else 0
        s.n_prompt = item.n_prompt
        s.n_top = -1 if item.logprobs is None else item.logprobs
        s.allowed, s.n_allowed_bytes = None, 0
        if item.allowed is not None:
            self._allowed = ctypes.create_string_buffer(item.allowed, len(item.allowed))
            s.allowed, s.n_allowed_bytes = ctypes.addressof(self._allowed), len(item.allowed)


def _history(item: Work) -> Sequence[int]:
    """The tokens so far, the guesses at the end."""
    if not item.n_draft or len(item.history) >= item.start + len(item.tokens):
        return item.history
    return [*item.history, *item.tokens[-item.n_draft :]]


def check(item: Work, limits: Limits) -> None:
    """Raises GenerationError for numbers that do not exist."""
    tokens, start = item.tokens, item.start
    end = start + len(tokens)
    who = f"request {item.request}"
    if start < 0 or end > limits.max_seq_len:
        raise GenerationError(
            f"{who} reaches position {end}; the context holds {limits.max_seq_len}"
            if start >= 0
            else f"{who} starts at position {start}"
        )
    if not tokens:
        raise GenerationError(f"{who} has no tokens in this step")
    if not 0 <= min(tokens) <= max(tokens) < limits.vocab_size:
        raise GenerationError(f"{who} has a token id outside 0..{limits.vocab_size - 1}")
    if len(item.pages) * limits.page_size < end:
        raise GenerationError(
            f"{who} needs positions up to {end}, its {len(item.pages)} pages hold"
            f" {len(item.pages) * limits.page_size}"
        )
    if not 0 <= min(item.pages) <= max(item.pages) < limits.n_pages:
        bad = next(page for page in item.pages if not 0 <= page < limits.n_pages)
        raise GenerationError(f"{who} names page {bad}; there are {limits.n_pages}")
    if item.n_draft and not (item.sampling and 0 < item.n_draft < len(tokens)):
        raise GenerationError(
            f"{who} has {item.n_draft} guesses among {len(tokens)} tokens",
            hint="at least one token that is no guess goes before them, and sampling is given",
        )
    if item.n_draft and item.allowed is not None:
        raise GenerationError(f"{who} restricts the choice and has guesses; only one is possible")
