"""Random schedules: whatever happens, every answer is the one it is alone, and no page is lost."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest
from enginekit import (
    HEADS,
    VOCAB,
    Diary,
    Guesser,
    Thirds,
    alone,
    limits,
    requests,
    script,
    shapes,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from paddock.inference.engine.engine import Engine
from paddock.inference.engine.options import EngineOptions
from paddock.inference.engine.request import Request
from paddock.inference.engine.speculate.base import Drafter
from paddock.inference.engine.speculate.lookup import LookupDrafter
from paddock.inference.engine.speculate.model import ModelDrafter
from paddock.inference.engine.stats import EngineStats
from paddock.inference.runtimes.base import Limits, SamplingParams
from paddock.inference.runtimes.scripted import ScriptedRuntime


def mumble(tokens: list[int]) -> int:
    """Mostly what ``script`` says."""
    token = script(tokens)
    return token if sum(tokens) % 4 else (token + 1) % VOCAB


DRAFTERS: tuple[Callable[[], Drafter | None], ...] = (
    lambda: None,
    LookupDrafter,
    lambda: Guesser(1.0, 1),
    lambda: Guesser(0.6, 2),
    lambda: Guesser(0.0, 3),
    lambda: ModelDrafter(ScriptedRuntime(mumble, limits(4, 40, 8))),
    lambda: ModelDrafter(ScriptedRuntime(script, limits(8, 5, 2, max_seq_len=32))),
)
drafters = st.sampled_from(DRAFTERS)
options = st.builds(
    EngineOptions,
    prefill_tokens=st.sampled_from([1, 3, 16, 512]),
    stall_s=st.sampled_from([1e-9, 0.1]),
    reuse_prefixes=st.booleans(),
)
doings = st.lists(
    st.one_of(
        requests,
        st.just("step"),
        st.just("step"),
        st.just("steps"),
        st.integers(0, 30).map(lambda i: ("cancel", i)),
    ),
    min_size=1,
    max_size=40,
)


def consistent(engine: Engine) -> None:
    """Every page's references are those of the running answers; nothing is both free and used."""
    scheduler, pages = engine._scheduler, engine._scheduler.pages
    held = [page for one in scheduler.running for page in one.pages]
    for page, references in enumerate(pages._references):
        assert references == held.count(page)
    free, cached = set(pages._free), set(pages._unused)
    assert len(free) == len(pages._free)
    assert not free & cached
    assert {page for page, n in enumerate(pages._references) if n == 0} == free | cached
    assert {page for page, _ in pages._registered.values()} == set(pages._contents)
    assert cached <= set(pages._contents)
    assert len(scheduler.running) <= engine.runtime.limits.max_batch
    numbers = [one.number for one in scheduler.running]
    assert numbers == sorted(numbers)
    waiting = [one.number for one in scheduler.waiting]
    assert waiting == sorted(waiting)
    assert not any(one.pages for one in scheduler.waiting)
    stats = engine.stats()
    assert stats.pages_used + stats.pages_cached + stats.pages_free == stats.pages_total


def room(shape: Limits) -> int:
    return min(shape.max_seq_len, shape.n_pages * shape.page_size)


def play(
    shape: Limits, drafter: Drafter | None, chosen: EngineOptions, doing: list[Any]
) -> EngineStats:
    engine = Engine(ScriptedRuntime(script, shape), options=chosen, drafter=drafter)
    diary = Diary()
    asked: dict[int, Request] = {}
    cancelled: set[int] = set()

    def step() -> None:
        for event in engine.step():
            diary.add(event)
        consistent(engine)

    for what in doing:
        if isinstance(what, Request):
            if len(what.prompt) < room(shape):
                asked[engine.add(what)] = what
        elif what == "step":
            step()
        elif what == "steps":
            for _ in range(12):
                step()
        elif asked:
            number = sorted(asked)[what[1] % len(asked)]
            if engine.cancel(number):
                cancelled.add(number)
            consistent(engine)
    steps = 0
    while not engine.idle:
        step()
        steps += 1
        assert steps < 30_000, "somebody starves"
    assert engine.stats().pages_used == 0
    for number, request in asked.items():
        expected = alone(request, room(shape))
        for index in range(request.n):
            said, last = diary.tokens[number, index], diary.last[number, index]
            if last.finish == "cancelled":
                assert number in cancelled
                assert said == expected[: len(said)]
            else:
                assert said == expected
    if isinstance(drafter, ModelDrafter):
        assert drafter._pages.used == 0
        assert not drafter._texts
    if isinstance(drafter, LookupDrafter):
        assert not drafter._texts
    if isinstance(drafter, Guesser):
        assert not drafter.known
    return engine.stats()


@settings(max_examples=300, deadline=None)
@given(shapes, drafters, options, doings)
def test_any_schedule(shape: Limits, drafter, chosen: EngineOptions, doing: list[Any]) -> None:  # type: ignore[no-untyped-def]
    play(shape, drafter(), chosen, doing)


@pytest.mark.slow
@settings(max_examples=3000, deadline=None)
@given(shapes, drafters, options, doings)
def test_thousands_of_schedules(
    shape: Limits, drafter, chosen: EngineOptions, doing: list[Any]
) -> None:  # type: ignore[no-untyped-def]
    play(shape, drafter(), chosen, doing)


def busy(seed: int) -> EngineStats:
    """A schedule with many long answers at once, which hypothesis seldom makes."""
    rng = random.Random(seed)

    def request() -> Request:
        head = rng.choice(HEADS)
        return Request(
            [*head, *rng.choices(range(VOCAB), k=rng.randint(1, 9))],
            SamplingParams(repetition_penalty=rng.choice([1.0, 1.0, 1.3])),
            max_new_tokens=rng.randint(1, 50),
            stop_ids=tuple(rng.sample(range(VOCAB), rng.choice([0, 0, 1]))),
            use_past=rng.random() < 0.9,
            n=rng.choice([1, 1, 1, 3]),
            constrain=rng.choice([None, None, None, lambda: Thirds(7)]),
            prompt_logprobs=rng.choice([None, None, None, 0]),
        )

    doing: list[Any] = []
    for _ in range(rng.randint(5, 40)):
        doing.append(
            rng.choice([request(), request(), "step", "steps", ("cancel", rng.randint(0, 40))])
        )
    shape = limits(rng.choice([1, 2, 4]), rng.choice([40, 64]), rng.choice([2, 4, 8]))
    chosen = EngineOptions(
        prefill_tokens=rng.choice([2, 8, 512]), reuse_prefixes=rng.random() < 0.8
    )
    return play(shape, rng.choice(DRAFTERS)(), chosen, doing)


SEEN = ("preemptions", "cached_tokens", "drafted", "accepted", "stopped", "ended_by_length",
        "cancelled")  # fmt: skip


def busy_range(seeds: range) -> None:
    every = [busy(seed) for seed in seeds]
    for name in SEEN:
        assert sum(getattr(stats, name) > 0 for stats in every) > len(every) // 10, name


def test_busy_schedules() -> None:
    busy_range(range(80))


@pytest.mark.slow
def test_thousands_of_busy_schedules() -> None:
    busy_range(range(1000, 3000))


@settings(max_examples=150, deadline=None)
@given(st.lists(requests, min_size=1, max_size=12), shapes)
def test_each_request_gets_the_answer_it_gets_alone(many: list[Request], shape: Limits) -> None:
    many = [request for request in many if len(request.prompt) < room(shape)]
    engine = Engine(ScriptedRuntime(script, shape))
    expected = [alone(one, room(shape)) for one in many for _ in range(one.n)]
    assert engine.run(many) == expected
    assert engine.stats().pages_used == 0


@settings(max_examples=100, deadline=None)
@given(st.lists(requests, min_size=2, max_size=6), st.integers(0, 20))
def test_leaving_early_gives_all_pages_back(many: list[Request], events: int) -> None:
    engine = Engine(ScriptedRuntime(script, limits(4, 40, 4)))
    stream = engine.stream(many)
    for _ in range(events):
        if next(stream, None) is None:
            break
    stream.close()
    assert engine.stats().pages_used == 0
    assert engine.idle
