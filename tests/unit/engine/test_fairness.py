"""Long prompts beside short ones, with a clock that the runtime's work moves."""

from __future__ import annotations

import threading
from collections.abc import Sequence

import pytest
from enginekit import VOCAB, alone, limits, script

from paddock.errors import UsageError
from paddock.inference.engine.budget import FIRST, LEAST, PrefillBudget
from paddock.inference.engine.engine import Engine
from paddock.inference.engine.options import EngineOptions
from paddock.inference.engine.request import Request
from paddock.inference.runtimes.base import Batch, Choice, Limits
from paddock.inference.runtimes.scripted import ScriptedRuntime


def first_token(tokens: Sequence[int]) -> int:
    return tokens[0]


class Timed(ScriptedRuntime):
    """Each token takes a time that grows with its position, and each step some more."""

    def __init__(self, shape: Limits, token_s: float) -> None:
        super().__init__(first_token, shape)
        self.token_s = token_s
        self.now = 0.0

    def clock(self) -> float:
        return self.now

    def step(self, batch: Batch) -> list[Choice]:
        self.now += 0.002
        for work in batch.work:
            self.now += (
                len(work.tokens) * self.token_s * (1 + (work.start + len(work.tokens)) / 2048)
            )
        return super().step(batch)


SHAPE = limits(16, 1024, 8, max_seq_len=4096)
LONG = [1, *(i % VOCAB for i in range(2999))]


@pytest.mark.parametrize("token_s", [0.00002, 0.0004, 0.002])
def test_a_long_prompt_does_not_stall_those_who_decode(token_s: float) -> None:
    runtime = Timed(SHAPE, token_s)
    engine = Engine(runtime, clock=runtime.clock)
    shorts = [engine.add(Request([i], max_new_tokens=2000)) for i in range(3)]
    for _ in range(5):
        engine.step()
    long = engine.add(Request(LONG, max_new_tokens=1))
    waits: list[float] = []
    for _ in range(1800):
        before = runtime.now
        events = engine.step()
        waits.append(runtime.now - before)
        assert {event.request for event in events} >= set(shorts)  # each of them in every step
        if any(event.request == long for event in events):
            break
    else:
        pytest.fail("the long prompt does not get on")
    assert max(waits) <= 0.2
    # And the budget is used: no more steps than twice what the time for the prompt asks for.
    assert len(waits) <= max(12, 2 * sum(waits) / 0.05)


def test_a_short_prompt_does_not_wait_for_a_long_one() -> None:
    runtime = Timed(SHAPE, 0.0001)
    engine = Engine(runtime, clock=runtime.clock)
    engine.add(Request(LONG, max_new_tokens=1))
    engine.step()
    short = engine.add(Request([7, 8, 9], max_new_tokens=1))
    assert [event.request for event in engine.step()] == [short]


def test_a_long_prompt_gets_on_under_a_stream_of_short_ones() -> None:
    runtime = Timed(SHAPE, 0.0001)
    engine = Engine(runtime, options=EngineOptions(prefill_tokens=64), clock=runtime.clock)
    long = engine.add(Request(LONG, max_new_tokens=1))
    for i in range(200):
        for _ in range(3):
            engine.add(Request([2 + i % 40] * 60, max_new_tokens=1))
        if any(event.request == long for event in engine.step()):
            break
    else:
        pytest.fail("the long prompt starves")
    assert i <= 100  # half of each step is its own


def test_alone_the_chunks_do_not_depend_on_the_clock() -> None:
    sizes = []
    for token_s in (1e-6, 1.0):
        runtime = Timed(SHAPE, token_s)
        Engine(runtime, clock=runtime.clock).run([Request(LONG, max_new_tokens=1)])
        sizes.append([len(batch.work[0].tokens) for batch in runtime.batches])
    assert sizes[0] == sizes[1] == [512] * 5 + [440]


def test_the_budget_follows_what_was_measured() -> None:
    budget = PrefillBudget(512, 0.1)
    assert budget.tokens(decoding=False) == 512
    assert budget.tokens(decoding=True) == FIRST
    budget.measured(100, 0.1, decoding=False)
    assert budget.tokens(decoding=True) == 100
    budget.measured(2, 1.0, decoding=True)  # too few to tell
    assert budget.tokens(decoding=True) == 100
    budget.measured(100, 0.2, decoding=True)  # slower: at once
    assert budget.tokens(decoding=True) == 50
    budget.measured(50, 0.025, decoding=True)  # quicker: half of it
    assert budget.tokens(decoding=True) == 80
    budget.measured(100, 100.0, decoding=True)
    assert budget.tokens(decoding=True) == LEAST
    for _ in range(60):
        budget.measured(100, 0.0, decoding=True)
    assert budget.tokens(decoding=True) == 512
    assert PrefillBudget(3, 0.1).tokens(decoding=True) == 3


def test_how_long_the_next_step_may_take() -> None:
    budget = PrefillBudget(512, 0.1)
    assert budget.expected_s(0) == 0 and budget.expected_s(5) == 0.1
    for _ in range(60):
        budget.measured(0, 0.02, decoding=True)
    budget.measured(100, 0.12, decoding=True)
    assert budget.expected_s(0) == pytest.approx(0.02)
    assert budget.expected_s(10) == pytest.approx(0.03)
    # No more of a long prompt than the budget allows.
    assert budget.expected_s(3000) == pytest.approx(0.1)


def test_what_decoding_costs_is_not_put_down_to_the_prompt() -> None:
    budget = PrefillBudget(512, 0.1)
    for _ in range(20):
        budget.measured(0, 0.03, decoding=True)
    # 30 ms for the others and 0.2 ms for each token: 350 of them fit into what is left.
    for _ in range(20):
        tokens = budget.tokens(decoding=True)
        budget.measured(tokens, 0.03 + 0.0002 * tokens, decoding=True)
    assert 340 <= budget.tokens(decoding=True) <= 350
    for _ in range(20):
        budget.measured(0, 5.0, decoding=True)
    assert budget.tokens(decoding=True) >= 240  # half of stall_s is always for prompts


def test_other_threads_add_and_cancel_while_steps_run() -> None:
    engine = Engine(ScriptedRuntime(script, limits(4, 64, 4)))
    requests = [Request([i, 2 * i % VOCAB], max_new_tokens=10 + i % 20) for i in range(40)]
    numbers: dict[int, int] = {}
    done = threading.Event()

    def client(share: range) -> None:
        for i in share:
            numbers[engine.add(requests[i])] = i
            if i % 5 == 0:
                engine.cancel(next(n for n, k in numbers.items() if k == i))
            engine.stats()

    threads = [threading.Thread(target=client, args=(range(k, 40, 4),)) for k in range(4)]
    for thread in threads:
        thread.start()
    threading.Thread(target=lambda: [*(t.join() for t in threads), done.set()]).start()
    said: dict[int, list[int]] = {}
    ends: dict[int, str] = {}
    while not (done.is_set() and engine.idle):
        for event in engine.step():
            if event.token is not None:
                said.setdefault(event.request, []).append(event.token)
            if event.finish:
                ends[event.request] = event.finish
    assert len(ends) == 40
    for number, i in numbers.items():
        expected = alone(requests[i], 64)
        if ends[number] == "cancelled":
            assert i % 5 == 0
            assert said.get(number, []) == expected[: len(said.get(number, []))]
        else:
            assert said[number] == expected
    assert engine.stats().pages_used == 0


def test_a_step_inside_a_step_is_refused_and_a_cancel_waits_for_its_end() -> None:
    class Nosy(ScriptedRuntime):
        def step(self, batch: Batch) -> list[Choice]:
            if len(self.batches) == 3:
                with pytest.raises(UsageError, match="another thread"):
                    engine.step()
                assert engine.cancel(number)
                assert engine.cancel(number)
                assert engine.stats().pages_used > 0
            return super().step(batch)

    engine = Engine(Nosy(script, limits(4, 64, 4)))
    number = engine.add(Request([1], max_new_tokens=30))
    other = engine.add(Request([2], max_new_tokens=9))
    events = []
    while not engine.idle:
        events += engine.step()
    assert [e.finish for e in events if e.request == number and e.finish] == ["cancelled"]
    assert len([e for e in events if e.request == number]) == 3 + 1
    assert [e.token for e in events if e.request == other] == alone(
        Request([2], max_new_tokens=9), 64
    )
