"""A script whose every answer is known, and requests and drafters to try the engine with."""

from __future__ import annotations

import random
from collections.abc import Sequence

from hypothesis import strategies as st

from paddock.inference.engine.request import Event, Request
from paddock.inference.engine.speculate.base import Wanted
from paddock.inference.runtimes.base import Limits, SamplingParams

VOCAB = 50
NOTHING = bytes(-(-VOCAB // 8))


def script(tokens: Sequence[int]) -> int:
    """A next token that depends on the whole text, so that any mix-up shows."""
    mixed = 7
    for token in tokens:
        mixed = (mixed * 31 + token + 1) % 1_000_003
    return mixed % VOCAB


def mask(tokens: Sequence[int]) -> bytes:
    bits = bytearray(NOTHING)
    for token in tokens:
        bits[token // 8] |= 1 << token % 8
    return bytes(bits)


class Thirds:
    """A constraint that forbids a third of the ids, another one each time, and ends after some."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.said: list[int] = []

    def permits(self, token: int) -> bool:
        return len(self.said) < self.most and (token + len(self.said)) % 3 != 0

    def allowed(self) -> bytes | None:
        if len(self.said) == 1:
            return None
        return mask([token for token in range(VOCAB) if self.permits(token)])

    def accept(self, token: int) -> None:
        assert len(self.said) == 1 or self.permits(token)
        self.said.append(token)


def alone(request: Request, room: int) -> list[int]:
    """What the script answers to one request, worked out without an engine."""
    tokens = list(request.prompt)
    constraint = request.constrain() if request.constrain else None
    while len(tokens) < room and len(tokens) - len(request.prompt) < request.max_new_tokens:
        token = script(tokens)
        allowed = constraint.allowed() if constraint else None
        if allowed is not None:
            if not any(allowed):
                break
            while not allowed[token // 8] >> token % 8 & 1:
                token = (token + 1) % VOCAB
        if constraint:
            constraint.accept(token)
        tokens.append(token)
        if token in request.stop_ids:
            break
    return tokens[len(request.prompt) :]


def limits(page_size: int, n_pages: int, max_batch: int, max_seq_len: int = 64) -> Limits:
    return Limits(VOCAB, max_seq_len, page_size, n_pages, max_batch)


HEADS = ([], list(range(10)), list(range(20)), [*range(10), *range(30, 45)])
"""Beginnings that prompts share, also with each other."""

prompts = st.builds(
    lambda head, rest: [*HEADS[head], *rest],
    st.integers(0, len(HEADS) - 1),
    st.lists(st.integers(0, VOCAB - 1), min_size=1, max_size=20),
)
requests = st.builds(
    Request,
    prompt=prompts,
    sampling=st.builds(SamplingParams, repetition_penalty=st.sampled_from([1.0, 1.2])),
    max_new_tokens=st.integers(1, 40),
    stop_ids=st.sets(st.integers(0, VOCAB - 1), max_size=3).map(tuple),
    use_past=st.sampled_from([True, True, True, False]),
    n=st.sampled_from([1, 1, 1, 2, 3]),
    constrain=st.sampled_from([None, None, lambda: Thirds(99), lambda: Thirds(3)]),
    logprobs=st.sampled_from([None, None, 0, 3]),
    prompt_logprobs=st.sampled_from([None, None, None, 1]),
)
shapes = st.sampled_from(
    [
        limits(64, 1, 1),
        limits(64, 3, 3),
        limits(4, 16, 8),
        limits(4, 20, 5),
        limits(4, 40, 4),
        limits(8, 10, 4),
        limits(1, 70, 9),
        limits(4, 9, 3),  # less than one context
    ]
)


class Guesser:
    """Guesses right with a probability, in drafts of any length up to what is wanted."""

    def __init__(self, right: float, seed: int) -> None:
        self.right = right
        self.random = random.Random(seed)
        self.known: set[int] = set()

    def propose(self, wanted: Sequence[Wanted]) -> list[list[int]]:
        return [self._one(each) for each in wanted]

    def _one(self, wanted: Wanted) -> list[int]:
        assert wanted.n > 0
        self.known.add(wanted.number)
        guesses: list[int] = []
        for _ in range(self.random.randint(0, wanted.n)):
            right = self.random.random() < self.right
            token = script([*wanted.tokens, *guesses])
            guesses.append(token if right else self.random.randrange(VOCAB))
        return guesses

    def forget(self, number: int) -> None:
        self.known.discard(number)

    def close(self) -> None:
        self.known.clear()


class Diary:
    """Collects events and checks each answer's order."""

    def __init__(self) -> None:
        self.tokens: dict[tuple[int, int], list[int]] = {}
        self.last: dict[tuple[int, int], Event] = {}

    def add(self, event: Event) -> None:
        key = (event.request, event.index)
        assert key not in self.last, "an event after the last"
        assert not event.prompt or key not in self.tokens
        said = self.tokens.setdefault(key, [])
        if event.token is not None:
            said.append(event.token)
        else:
            assert event.finish is not None
        if event.finish:
            self.last[key] = event
            assert event.usage is not None
            assert event.usage.new_tokens == len(said)
            assert event.usage.accepted <= event.usage.drafted
