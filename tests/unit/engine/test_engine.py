"""The engine against the scripted runtime: every request gets its own answer, pages come back."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from paddock.errors import GenerationError, PromptTooLong, UsageError
from paddock.inference.engine.engine import PREFILL_CHUNK, Engine
from paddock.inference.engine.pages import PageAllocator
from paddock.inference.engine.request import Request
from paddock.inference.runtimes.base import Batch, Limits, SamplingParams, Work
from paddock.inference.runtimes.scripted import ScriptedRuntime

VOCAB = 50


def script(tokens: Sequence[int]) -> int:
    """A next token that depends on the whole text, so that any mix-up shows."""
    mixed = 7
    for token in tokens:
        mixed = (mixed * 31 + token + 1) % 1_000_003
    return mixed % VOCAB


def alone(request: Request, max_seq_len: int) -> list[int]:
    """What the script answers to one request, worked out without an engine."""
    tokens = list(request.prompt)
    while len(tokens) < max_seq_len and len(tokens) - len(request.prompt) < request.max_new_tokens:
        tokens.append(script(tokens))
        if tokens[-1] in request.stop_ids:
            break
    return tokens[len(request.prompt) :]


def limits(page_size: int, n_pages: int, max_batch: int, max_seq_len: int = 64) -> Limits:
    return Limits(VOCAB, max_seq_len, page_size, n_pages, max_batch)


requests = st.builds(
    Request,
    prompt=st.lists(st.integers(0, VOCAB - 1), min_size=1, max_size=40),
    sampling=st.builds(SamplingParams, repetition_penalty=st.sampled_from([1.0, 1.2])),
    max_new_tokens=st.integers(1, 40),
    stop_ids=st.sets(st.integers(0, VOCAB - 1), max_size=3).map(tuple),
    use_past=st.booleans(),
)
shapes = st.sampled_from(
    [limits(64, 1, 1), limits(64, 3, 3), limits(4, 16, 8), limits(4, 40, 4), limits(1, 70, 9)]
)


@settings(max_examples=300, deadline=None)
@given(st.lists(requests, min_size=1, max_size=12), shapes)
def test_each_request_gets_the_answer_it_gets_alone(many: list[Request], shape: Limits) -> None:
    engine = Engine(ScriptedRuntime(script, shape))
    assert engine.run(many) == [alone(request, shape.max_seq_len) for request in many]
    assert engine._pages.free == shape.n_pages


@settings(max_examples=100, deadline=None)
@given(st.lists(requests, min_size=2, max_size=6), st.integers(0, 20))
def test_leaving_early_gives_all_pages_back(many: list[Request], events: int) -> None:
    engine = Engine(ScriptedRuntime(script, limits(4, 40, 4)))
    stream = engine.stream(many)
    for _ in range(events):
        if next(stream, None) is None:
            break
    stream.close()
    assert engine._pages.free == 40


def test_a_long_prompt_is_computed_in_chunks() -> None:
    size = 2 * PREFILL_CHUNK + 3
    runtime = ScriptedRuntime(script, limits(4096, 1, 1, max_seq_len=4096))
    prompt = [i % VOCAB for i in range(size)]
    Engine(runtime).run([Request(prompt, max_new_tokens=1)])
    assert [len(batch.work[0].tokens) for batch in runtime.batches] == [512, 512, 3]
    assert [batch.work[0].sampling is None for batch in runtime.batches] == [True, True, False]


def test_without_past_every_token_costs_the_whole_text() -> None:
    runtime = ScriptedRuntime(script, limits(64, 1, 1))
    Engine(runtime).run([Request([1, 2, 3], max_new_tokens=3, use_past=False)])
    assert [len(batch.work[0].tokens) for batch in runtime.batches] == [3, 4, 5]


def test_an_answer_ends_with_the_context() -> None:
    runtime = ScriptedRuntime(script, limits(8, 1, 1, max_seq_len=8))
    events = list(Engine(runtime).stream([Request([1, 2, 3, 4, 5], max_new_tokens=99)]))
    assert [event.finish for event in events] == [None, None, "length"]


@pytest.mark.parametrize(
    ("make", "error", "says"),
    [
        (lambda: Request([]), GenerationError, "no tokens"),
        (lambda: Request([1], max_new_tokens=0), UsageError, "max_new_tokens is 0"),
        (lambda: Request([1], stop=("",)), UsageError, "stop string is empty"),
        (lambda: Request([1] * 64), PromptTooLong, "64 tokens"),
        (lambda: Request([1], stop=("x",)), UsageError, "need a tokenizer"),
    ],
)
def test_bad_requests_are_refused_before_any_step(make, error, says) -> None:  # type: ignore[no-untyped-def]
    runtime = ScriptedRuntime(script, limits(64, 1, 1))
    with pytest.raises(error, match=says):
        Engine(runtime).run([make()])
    assert runtime.batches == []


def test_pages_are_handed_out_once() -> None:
    pages = PageAllocator(3)
    assert pages.take(2) == (0, 1)
    pages.give_back([0])
    assert pages.take(2) == (0, 2)
    assert pages.free == 0
    with pytest.raises(AssertionError):
        pages.take(1)
    with pytest.raises(KeyError):
        PageAllocator(1).give_back([0])


@pytest.mark.parametrize(
    "work",
    [
        Work(0, [], 0, (0,), SamplingParams()),
        Work(0, [1], 3, (0,), SamplingParams()),
        Work(0, [1] * 5, 0, (0,), SamplingParams()),
        Work(0, [1], 0, (9,), SamplingParams()),
        Work(0, [1] * 99, 0, tuple(range(4)) * 9, SamplingParams()),
        Work(0, [1], 0, (0,), SamplingParams(presence_penalty=1.0), history=[2]),
    ],
)
def test_the_scripted_runtime_finds_bad_batches(work: Work) -> None:
    runtime = ScriptedRuntime(script, limits(4, 4, 2))
    with pytest.raises(GenerationError):
        runtime.step(Batch((work,)))
