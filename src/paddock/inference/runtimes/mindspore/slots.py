"""How the engine's ragged steps become MindFormers' fixed rectangles, one slot for each request.

MindFormers 1.0 keeps one cache of batch_size x seq_length positions and knows two kinds of step:
the first iteration computes whole rows of seq_length positions and writes the whole cache, every
later one adds one token to each row. So a prompt cannot be computed beside running answers without
computing these again: a step with a prompt computes the texts of all slots, which takes no longer
than one of them, the rectangle being computed in any case.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from paddock.errors import GenerationError
from paddock.inference.runtimes.base import Limits, Work


@dataclass(frozen=True, slots=True)
class Prefill:
    """Compute ``rows`` from position 0 on: the text of each slot, empty where it is idle."""

    rows: list[list[int]]
    wanted: list[int]


@dataclass(frozen=True, slots=True)
class Decode:
    """Compute one token of each slot, which makes its text ``lengths`` long."""

    tokens: list[int]
    lengths: list[int]
    wanted: list[int]


@dataclass(slots=True)
class _Slot:
    request: int = -1
    text: list[int] = field(default_factory=list)
    cached: int = 0


class Slots:
    """What each row of the cache holds. A request's only page is the number of its slot."""

    def __init__(self, limits: Limits, use_past: bool) -> None:
        self._limits = limits
        self._use_past = use_past
        self._slots = [_Slot() for _ in range(limits.max_batch)]

    def plan(self, work: Sequence[Work]) -> Prefill | Decode | None:
        """What is to be computed; ``wanted`` are the slots of the works that sample, in order.

        None for pieces of prompts alone: they wait until the last piece is there. Raises
        GenerationError, before anything changes, for works that break the contract or that need
        what this runtime does not have.
        """
        if not 0 < len(work) <= self._limits.max_batch:
            raise GenerationError(
                f"{len(work)} requests in a step; the limit is {self._limits.max_batch}"
            )
        for item in work:
            self._check(item)
        if len({item.pages[0] for item in work}) < len(work):
            raise GenerationError("two requests in a step have the same page")
        for item in work:
            self._place(item)
        wanted = [item.pages[0] for item in work if item.sampling is not None]
        if not wanted:
            return None
        if self._use_past and all(map(self._lacks_one, wanted)):
            return self._decode(wanted)
        for slot in self._slots:
            slot.cached = len(slot.text)
        return Prefill([list(slot.text) for slot in self._slots], wanted)

    def forget(self) -> None:
        """Takes the cache for lost, after a step that failed; the texts are computed again."""
        for slot in self._slots:
            slot.cached = 0

    def _decode(self, wanted: list[int]) -> Decode:
        tokens, lengths = [0] * len(self._slots), [1] * len(self._slots)
        for i, slot in enumerate(self._slots):
            if i in wanted:
                tokens[i], lengths[i] = slot.text[-1], len(slot.text)
                slot.cached = len(slot.text)
            else:
                slot.cached = 0  # its row takes part with a token of its own, which spoils it
        return Decode(tokens, lengths, wanted)

    def _lacks_one(self, number: int) -> bool:
        """Whether the row holds all of the text but its last token, and nothing behind it."""
        slot = self._slots[number]
        return 0 < slot.cached == len(slot.text) - 1

    def _place(self, item: Work) -> None:
        slot = self._slots[item.pages[0]]
        if item.start == 0:
            slot.text, slot.request = [], item.request
        slot.text[item.start :] = item.tokens
        if slot.cached > item.start:
            slot.cached = 0  # positions are added to what is there, so none can be written twice

    def _check(self, item: Work) -> None:
        limits, end = self._limits, item.start + len(item.tokens)
        name = f"request {item.request}"
        if not item.tokens or item.start < 0 or end > limits.max_seq_len:
            raise GenerationError(
                f"{name} has positions {item.start} to {end}; the context holds"
                f" {limits.max_seq_len}"
            )
        if not 0 <= min(item.tokens) <= max(item.tokens) < limits.vocab_size:
            raise GenerationError(f"{name} has a token id outside 0..{limits.vocab_size - 1}")
        if len(item.pages) != 1 or not 0 <= item.pages[0] < limits.n_pages:
            raise GenerationError(f"{name} has the pages {item.pages}; a request has one slot here")
        if item.n_draft:
            raise GenerationError(
                f"{name} has {item.n_draft} guesses; MindFormers chooses one token a step",
                hint="leave speculation out with the MindSpore runtime",
            )
        slot = self._slots[item.pages[0]]
        if item.start and (slot.request != item.request or len(slot.text) < item.start):
            raise GenerationError(
                f"{name} goes on at position {item.start}, which was not computed"
            )
