"""The engine against the scripted runtime: what a caller sees, case by case."""

from __future__ import annotations

import math

import pytest
from enginekit import VOCAB, Diary, Thirds, alone, limits, mask, script

from paddock.errors import GenerationError, PromptTooLong, QueueFull, UsageError
from paddock.inference.engine.engine import Engine
from paddock.inference.engine.options import EngineOptions
from paddock.inference.engine.request import Request
from paddock.inference.runtimes.base import Batch, Choice, SamplingParams
from paddock.inference.runtimes.scripted import ScriptedRuntime


def test_a_long_prompt_is_computed_in_chunks() -> None:
    runtime = ScriptedRuntime(script, limits(4096, 1, 1, max_seq_len=4096))
    prompt = [i % VOCAB for i in range(2 * 512 + 3)]
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


def test_an_answer_ends_with_the_pages_where_those_hold_less_than_the_context() -> None:
    engine = Engine(ScriptedRuntime(script, limits(4, 3, 2)))
    answers = engine.run([Request([1, 2, 3], max_new_tokens=99), Request([4], max_new_tokens=99)])
    assert [len(answer) for answer in answers] == [9, 11]
    with pytest.raises(PromptTooLong, match="the context 12 in all"):
        engine.add(Request([1] * 12))


@pytest.mark.parametrize(
    ("make", "error", "says"),
    [
        (lambda: Request([]), GenerationError, "no tokens"),
        (lambda: Request([1], max_new_tokens=0), UsageError, "max_new_tokens is 0"),
        (lambda: Request([1], stop=("",)), UsageError, "stop string is empty"),
        (lambda: Request([1], n=0), UsageError, "n is 0"),
        (lambda: Request([1], logprobs=-1), UsageError, "logprobs is -1"),
        (lambda: Request([1], prompt_logprobs=-1), UsageError, "prompt_logprobs is -1"),
        (lambda: Request([1] * 64), PromptTooLong, "64 tokens"),
        (lambda: Request([1], stop=("x",)), UsageError, "need a tokenizer"),
        (lambda: Request([1, VOCAB]), GenerationError, r"outside 0\.\.49"),
        (lambda: Request([-1]), GenerationError, r"outside 0\.\.49"),
    ],
)
def test_bad_requests_are_refused_before_any_step(make, error, says) -> None:  # type: ignore[no-untyped-def]
    runtime = ScriptedRuntime(script, limits(64, 1, 1))
    with pytest.raises(error, match=says):
        Engine(runtime).run([make()])
    with pytest.raises(error, match=says):
        Engine(runtime).add(make())
    assert runtime.batches == []


@pytest.mark.parametrize("wrong", [{"prefill_tokens": 0}, {"stall_s": 0}, {"max_waiting": -1}])
def test_bad_options_name_themselves(wrong: dict[str, int]) -> None:
    with pytest.raises(UsageError, match=next(iter(wrong))):
        EngineOptions(**wrong)


def test_requests_join_and_leave_while_others_run() -> None:
    engine = Engine(ScriptedRuntime(script, limits(4, 16, 4)))
    first = engine.add(Request([1, 2], max_new_tokens=8))
    diary = Diary()
    for _ in range(3):
        for event in engine.step():
            diary.add(event)
    second = engine.add(Request([3], max_new_tokens=2))
    third = engine.add(Request([4], max_new_tokens=30))
    for _ in range(2):
        for event in engine.step():
            diary.add(event)
    assert diary.last[second, 0].finish == "length"
    assert engine.cancel(third)
    assert not engine.cancel(third)
    assert not engine.cancel(second)
    assert not engine.cancel(99)
    while not engine.idle:
        for event in engine.step():
            diary.add(event)
    assert diary.tokens[first, 0] == alone(Request([1, 2], max_new_tokens=8), 64)
    assert diary.last[third, 0].finish == "cancelled"
    assert diary.tokens[third, 0] == alone(Request([4], max_new_tokens=30), 64)[:2]
    assert engine.step() == []
    stats = engine.stats()
    assert (stats.stopped, stats.ended_by_length, stats.cancelled) == (0, 2, 1)
    assert stats.new_tokens == 12


def test_cancelling_gives_pages_back_at_once() -> None:
    engine = Engine(ScriptedRuntime(script, limits(4, 16, 4)))
    number = engine.add(Request([1, 2, 3, 4, 5], max_new_tokens=30, n=2))
    engine.step()
    engine.step()
    assert engine.stats().pages_used > 0
    assert engine.cancel(number)
    assert engine.stats().pages_used == 0
    assert not engine.idle  # two last events are to be fetched
    assert [event.finish for event in engine.step()][-2:] == ["cancelled", "cancelled"]
    assert engine.idle


def test_the_queue_has_an_end() -> None:
    options = EngineOptions(max_waiting=2)
    engine = Engine(ScriptedRuntime(script, limits(4, 16, 2)), options=options)
    for _ in range(4):  # two places, two may wait
        engine.add(Request([1], max_new_tokens=5))
    with pytest.raises(QueueFull, match="the limit is 2"):
        engine.add(Request([1]))
    engine.step()
    with pytest.raises(QueueFull):
        engine.add(Request([1]))
    while engine.stats().waiting:
        engine.step()
    with pytest.raises(QueueFull):
        engine.add(Request([1], n=3))
    engine.add(Request([1], n=2))
    assert engine.stats().refused == 3


def test_several_answers_have_seeds_of_their_own_and_compute_the_prompt_once() -> None:
    runtime = ScriptedRuntime(script, limits(4, 40, 4))
    engine = Engine(runtime)
    prompt = list(range(17))
    sampling = SamplingParams(temperature=1.0, seed=7)
    request = Request(prompt, sampling, max_new_tokens=3, n=3)
    events = list(engine.stream([request]))
    assert sorted({event.index for event in events}) == [0, 1, 2]
    seeds = {w.sampling.seed for b in runtime.batches for w in b.work if w.sampling}
    assert seeds == {7, 8, 9}
    usages = {event.index: event.usage for event in events if event.usage}
    assert [usages[i].cached_tokens for i in range(3)] == [0, 16, 16]
    assert engine.run([request, Request([1], max_new_tokens=2)])[3] == alone(
        Request([1], max_new_tokens=2), 64
    )


def test_a_prefix_is_computed_once_and_found_again() -> None:
    runtime = ScriptedRuntime(script, limits(4, 40, 4))
    engine = Engine(runtime)
    system = list(range(20))
    engine.run([Request([*system, 30], max_new_tokens=2)])
    before = engine.stats()
    engine.run([Request([*system, 31], max_new_tokens=2), Request([*system[:9]], max_new_tokens=1)])
    after = engine.stats()
    assert after.cached_tokens - before.cached_tokens == 20 + 8
    assert after.pages_used == 0
    assert after.pages_cached > 0
    assert after.pages_cached + after.pages_free == 40


def test_requests_that_come_together_wait_for_the_prefix_that_one_of_them_computes() -> None:
    runtime = ScriptedRuntime(script, limits(4, 40, 4))
    engine = Engine(runtime)
    system = list(range(20))
    engine.run([Request([*system, 30 + i], max_new_tokens=2) for i in range(4)])
    assert engine.stats().computed_tokens == 21  # the last tokens of the others are decoded
    assert engine.stats().cached_tokens == 60


def test_reuse_can_be_switched_off_and_does_not_happen_with_one_page_per_request() -> None:
    for shape, options in (
        (limits(4, 40, 4), EngineOptions(reuse_prefixes=False)),
        (limits(64, 4, 4), EngineOptions()),
    ):
        engine = Engine(ScriptedRuntime(script, shape), options=options)
        for _ in range(2):
            engine.run([Request(list(range(20)), max_new_tokens=2)])
        assert engine.stats().cached_tokens == engine.stats().pages_cached == 0


def test_as_many_run_as_have_pages_for_their_whole_answer() -> None:
    """A page is kept for who will need another one, not for who has all that it needs."""
    runtime = ScriptedRuntime(script, limits(page_size=64, n_pages=8, max_batch=8))
    engine = Engine(runtime)
    for i in range(8):
        engine.add(Request([i, 1, 2], max_new_tokens=20))
    engine.step()
    assert engine.stats().running == 8


def test_the_newest_makes_room_and_nothing_of_its_answer_is_lost() -> None:
    engine = Engine(ScriptedRuntime(script, limits(4, 10, 4)))
    many = [Request([i, i + 1], max_new_tokens=30) for i in range(4)]
    order = [event.request for event in engine.stream(many) if event.finish]
    assert order[0] == 0
    assert engine.stats().preemptions > 0
    assert engine.run(many) == [alone(request, 40) for request in many]


def test_log_probabilities_come_with_the_events() -> None:
    engine = Engine(ScriptedRuntime(script, limits(64, 1, 1)))
    events = list(engine.stream([Request([1], max_new_tokens=2, logprobs=2)]))
    assert all(event.logprob == -math.log(2) for event in events)
    assert [event.top[0][0] for event in events] == [event.token for event in events]
    assert [len(event.top) for event in events] == [2, 2]
    plain = list(engine.stream([Request([1], max_new_tokens=2)]))
    assert [(event.logprob, event.top) for event in plain] == [(None, ())] * 2


def test_log_probabilities_of_the_prompt_come_with_the_first_event() -> None:
    engine = Engine(ScriptedRuntime(script, limits(4, 40, 4)))
    prompt = list(range(3, 20))
    plain = Request(prompt, max_new_tokens=4)
    engine.run([plain])  # cached pages do not help: every position has to be seen
    events = list(engine.stream([Request(prompt, max_new_tokens=4, prompt_logprobs=2, n=2)]))
    first = next(event for event in events if event.index == 0)
    assert [choice.token for choice in first.prompt] == prompt[1:]
    assert all(choice.logprob == -math.log(2) for choice in first.prompt)
    assert sum(bool(event.prompt) for event in events) == 1
    for index in (0, 1):
        tokens = [event.token for event in events if event.index == index]
        assert tokens == alone(plain, 64)


def test_a_constraint_is_kept_and_may_end_the_answer() -> None:
    engine = Engine(ScriptedRuntime(script, limits(64, 1, 1)))
    request = Request([1], max_new_tokens=20, constrain=lambda: Thirds(6))
    events = list(engine.stream([request]))
    assert [event.token for event in events] == [*alone(request, 64), None]
    assert len(events) == 7
    assert (events[-1].finish, events[-1].stop) == ("stop", None)
    assert engine.stats().pages_used == 0


def test_the_last_event_names_the_stop_token() -> None:
    stop = alone(Request([1], max_new_tokens=3), 64)[-1]
    engine = Engine(ScriptedRuntime(script, limits(64, 1, 1)))
    events = list(engine.stream([Request([1], stop_ids=(stop,))]))
    assert (events[-1].finish, events[-1].stop) == ("stop", stop)


def test_streams_can_be_interleaved_with_each_other_and_with_steps() -> None:
    engine = Engine(ScriptedRuntime(script, limits(4, 40, 4)))
    requests = [Request([i], max_new_tokens=5) for i in range(3)]
    number = engine.add(requests[2])
    first, second = engine.stream(requests[:1]), engine.stream(requests[1:2])
    got: list[list[int]] = [[], [], []]
    for a, b in zip(first, second, strict=True):
        got[0].append(a.token or 0)
        got[1].append(b.token or 0)
    while not engine.idle:
        for event in engine.step():
            assert event.request == number
            got[2].append(event.token or 0)
    assert got == [alone(request, 64) for request in requests]


class Failing(ScriptedRuntime):
    """Raises once, before anything is computed."""

    failures = 1

    def step(self, batch: Batch) -> list[Choice]:
        if self.failures and len(self.batches) == 2:
            self.failures -= 1
            raise GenerationError("broken")
        return super().step(batch)


def test_after_an_error_of_the_runtime_the_same_step_can_be_tried_again() -> None:
    engine = Engine(Failing(script, limits(4, 40, 4)))
    request = Request([1, 2, 3], max_new_tokens=6)
    engine.add(request)
    tokens: list[int | None] = []
    failed = 0
    while not engine.idle:
        try:
            tokens.extend(event.token for event in engine.step())
        except GenerationError:
            failed += 1
    assert failed == 1
    assert tokens == alone(request, 64)


def test_a_constraint_that_cannot_be_made_leaves_nothing_behind() -> None:
    def broken() -> Thirds:
        raise ValueError("no grammar")

    engine = Engine(ScriptedRuntime(script, limits(4, 40, 4)))
    with pytest.raises(ValueError, match="no grammar"):
        engine.run([Request([1]), Request([2], constrain=broken)])
    with pytest.raises(ValueError, match="no grammar"):
        engine.add(Request([2], constrain=broken))
    assert engine.idle


def test_closing_cancels_and_frees() -> None:
    engine = Engine(ScriptedRuntime(script, limits(4, 40, 4)))
    engine.add(Request([1]))
    engine.step()
    engine.close()
    assert engine.stats().pages_used == 0
    assert [event.finish for event in engine.step()] == ["cancelled"]


def test_masks_of_the_kit_are_those_of_the_contract() -> None:
    assert mask([0, 9]) == bytes([1, 2, 0, 0, 0, 0, 0])
