"""Guesses: where they come from, how many there are, and that the answer is none the wiser."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from enginekit import VOCAB, Guesser, alone, limits, script
from hypothesis import given, settings
from hypothesis import strategies as st

from paddock.inference.engine.engine import Engine
from paddock.inference.engine.request import Request
from paddock.inference.engine.speculate.base import Wanted
from paddock.inference.engine.speculate.length import FIRST, LONGEST_PAUSE, MOST, DraftLength
from paddock.inference.engine.speculate.lookup import LookupDrafter, TextIndex
from paddock.inference.engine.speculate.model import ModelDrafter
from paddock.inference.runtimes.base import Limits, SamplingParams
from paddock.inference.runtimes.scripted import ScriptedRuntime
from paddock.inference.tokenizer.sentencepiece import SentencePieceTokenizer


def wanted(tokens: Sequence[int], n: int, number: int = 0) -> Wanted:
    return Wanted(number, tokens, n, SamplingParams(), 1)


@pytest.mark.parametrize(
    ("text", "guess"),
    [
        ([1, 2, 3, 4, 5, 1, 2], [3, 4, 5, 1]),
        ([1, 2, 3, 1, 2, 4, 1, 2], [4, 1, 2, 4]),  # the later of equals, which then repeats
        ([9, 1, 2, 3, 8, 1, 2, 4, 9, 1, 2], [3, 8, 1, 2]),  # the longer beats the later
        ([5, 5, 5], [5, 5, 5, 5]),
        ([1, 2, 1, 2], [1, 2, 1, 2]),
        ([1, 2, 3, 4], []),
        ([7], []),
        ([7, 7], []),
    ],
)
def test_lookup_goes_on_as_after_the_longest_repetition(text: list[int], guess: list[int]) -> None:
    assert LookupDrafter().propose([wanted(text, 4)]) == [guess]


def best_by_hand(text: Sequence[int]) -> int | None:
    """The longest suffix that occurred before, by comparing everything with everything."""
    best, length = None, 1
    for end in range(len(text) - 1, 1, -1):
        common = 0
        while common < end and text[end - common - 1] == text[-common - 1]:
            common += 1
        if common > length:
            best, length = end, common
    return best


@settings(max_examples=500, deadline=None)
@given(st.lists(st.integers(0, 5), min_size=1, max_size=40), st.randoms())
def test_an_index_that_grows_finds_what_comparing_everything_finds(text, random) -> None:  # type: ignore[no-untyped-def]
    index = TextIndex()
    length = 0
    while length < len(text):
        length = min(len(text), length + random.randint(1, 5))
        so_far = text[:length]
        index.extend(so_far)
        found, expected = index.find(so_far), best_by_hand(so_far)
        if found != expected:  # only the latest places of a pair are kept
            pair = tuple(so_far[-2:])
            every = [i for i in range(2, length) if tuple(so_far[i - 2 : i]) == pair]
            assert len(every) > 8
            assert found in every[-8:]


def test_a_long_text_costs_a_token_no_more_than_a_short_one() -> None:
    index = TextIndex()
    text = [i % 3 for i in range(20_000)]
    index.extend(text)
    assert sum(map(len, index._places.values())) <= 3 * 8
    assert index.find(text) == len(text) - 3


def test_lengths_grow_while_right_and_pause_while_wrong() -> None:
    length = DraftLength()
    assert length.next() == FIRST
    for _ in range(5):
        length.update(length.next(), length.next())
    assert length.next() == MOST
    length.update(MOST, 5)
    assert length.next() == 6
    pauses = []
    for _ in range(8):
        length.update(6, 0)
        pause = 0
        while (n := length.next()) == 0:
            pause += 1
        assert n == 1
        pauses.append(pause)
    assert pauses == [1, 2, 4, 8, 16, LONGEST_PAUSE, LONGEST_PAUSE, LONGEST_PAUSE]
    length.update(1, 1)
    assert length.next() == 2
    # A draft that the answer's end cut short does not shorten the next.
    length = DraftLength()
    length.update(1, 1)
    assert length.next() == FIRST


def test_right_guesses_save_steps_and_the_length_is_exact() -> None:
    runtime = ScriptedRuntime(script, limits(4, 16, 1))
    engine = Engine(runtime, drafter=Guesser(1.0, 0))
    for n in range(1, 30):
        request = Request([1, 2, 3], max_new_tokens=n)
        assert engine.run([request]) == [alone(request, 64)]
    stats = engine.stats()
    assert stats.accepted == stats.drafted > 0
    assert stats.steps + stats.accepted == stats.new_tokens


def test_an_answer_of_the_whole_context_with_guesses() -> None:
    engine = Engine(ScriptedRuntime(script, limits(64, 1, 1)), drafter=Guesser(1.0, 0))
    assert len(engine.run([Request([1, 2, 3], max_new_tokens=99)])[0]) == 61


def test_tokens_after_a_stop_inside_a_draft_are_dropped() -> None:
    whole = alone(Request([1, 2, 3], max_new_tokens=12), 64)
    for stop in whole:
        engine = Engine(ScriptedRuntime(script, limits(4, 16, 1)), drafter=Guesser(1.0, 0))
        request = Request([1, 2, 3], max_new_tokens=12, stop_ids=(stop,))
        events = list(engine.stream([request]))
        assert [event.token for event in events] == alone(request, 64)
        assert [event.finish for event in events if event.finish] == ["stop"]
        assert engine.stats().pages_used == 0


def test_a_stop_string_inside_a_draft(small_model: Path) -> None:
    tokenizer = SentencePieceTokenizer(small_model)
    text = "One two three four five. " * 4
    ids = [1, *tokenizer.encode(text)]

    def play(tokens: Sequence[int]) -> int:
        return ids[len(tokens)]

    shape = Limits(tokenizer.vocab_size, 256, 16, 16, 1)
    for drafter in (None, LookupDrafter()):
        engine = Engine(ScriptedRuntime(play, shape), tokenizer, drafter=drafter)
        request = Request(ids[:1], max_new_tokens=len(ids) - 1, stop=("four five. One t",))
        events = list(engine.stream([request]))
        shown = "".join(event.text for event in events).lstrip()
        assert shown == "One two three "
        assert events[-1].stop == "four five. One t"
    prompt = Request(ids[:30], max_new_tokens=len(ids) - 30, stop=("two three",))
    engine = Engine(ScriptedRuntime(play, shape), tokenizer, drafter=LookupDrafter())
    guessed = list(engine.stream([prompt]))
    plain = list(Engine(ScriptedRuntime(play, shape), tokenizer).stream([prompt]))
    assert [(e.token, e.text, e.finish, e.stop) for e in guessed] == [
        (e.token, e.text, e.finish, e.stop) for e in plain
    ]
    assert engine.stats().accepted > 0


def test_no_guesses_where_they_are_not_wanted() -> None:
    runtime = ScriptedRuntime(script, limits(4, 16, 1))
    engine = Engine(runtime, drafter=Guesser(1.0, 0))
    engine.run([Request([1], max_new_tokens=9, speculate=False)])
    engine.run([Request([1], max_new_tokens=9, use_past=False)])
    assert engine.stats().drafted == 0


def test_a_drafting_model_keeps_its_cache_and_computes_nothing_twice() -> None:
    small = ScriptedRuntime(script, limits(4, 40, 2))
    engine = Engine(ScriptedRuntime(script, limits(4, 40, 2)), drafter=ModelDrafter(small))
    request = Request(list(range(12)), max_new_tokens=40)
    assert engine.run([request]) == [alone(request, 64)]
    written = sum(len(work.tokens) for batch in small.batches for work in batch.work)
    assert written <= 12 + 40
    assert engine.stats().accepted == engine.stats().drafted > 20


def test_a_drafting_model_catches_up_with_a_long_prompt_in_chunks() -> None:
    shape = limits(2048, 1, 1, max_seq_len=2048)
    small = ScriptedRuntime(script, shape)
    drafter = ModelDrafter(small)
    text = [i % VOCAB for i in range(1200)]
    assert drafter.propose([wanted(text, 3)]) == [[]]
    assert drafter.propose([wanted(text, 3)]) == [[]]
    (guesses,) = drafter.propose([wanted(text, 3)])
    assert guesses == alone(Request(text, max_new_tokens=3), 2048)
    assert [len(batch.work[0].tokens) for batch in small.batches] == [512, 512, 176, 1, 1]
    drafter.close()
    drafter.close()


@pytest.mark.parametrize(
    "shape", [limits(64, 1, 1), limits(4, 3, 4), limits(4, 40, 4, max_seq_len=10)]
)
def test_what_does_not_fit_the_drafting_model_goes_on_without_guesses(shape: Limits) -> None:
    drafter = ModelDrafter(ScriptedRuntime(script, shape))
    engine = Engine(ScriptedRuntime(script, limits(4, 64, 4)), drafter=drafter)
    many = [Request([i, 2, 3], max_new_tokens=30) for i in range(4)]
    assert engine.run(many) == [alone(request, 64) for request in many]
    assert engine.stats().drafted > 0
    assert drafter._pages.used == 0
