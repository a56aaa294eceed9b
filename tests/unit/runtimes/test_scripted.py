"""The shipped fake finds what engines get wrong."""

from __future__ import annotations

import pytest

from paddock.errors import GenerationError
from paddock.inference.runtimes.base import Batch, Limits, SamplingParams, Work
from paddock.inference.runtimes.scripted import ScriptedRuntime

GREEDY = SamplingParams()
LIMITS = Limits(50, 64, 4, 6, 3)


def runtime() -> ScriptedRuntime:
    return ScriptedRuntime(lambda tokens: sum(tokens) % 50, LIMITS)


@pytest.mark.parametrize(
    ("work", "says"),
    [
        (Work(0, [], 0, (0,), GREEDY), "positions 0 to 0"),
        (Work(0, [1], -1, (0,), GREEDY), "positions -1"),
        (Work(0, [1], 3, (0,), GREEDY), "position 0, which nobody wrote"),
        (Work(0, [1] * 5, 0, (0,), GREEDY), "do not fit its pages"),
        (Work(0, [1], 0, (9,), GREEDY), "no such page"),
        (Work(0, [1], 0, (1, 1), GREEDY), "a page twice"),
        (Work(0, [1] * 99, 0, tuple(range(6)), GREEDY), "positions 0 to 99"),
        (Work(0, [50], 0, (0,), GREEDY), "token id outside"),
        (Work(0, [1], 0, (0,), SamplingParams(presence_penalty=1.0), [2]), "history differs"),
        (Work(0, [1, 2], 0, (0,), GREEDY, n_draft=2), "2 guesses"),
        (Work(0, [1, 2], 0, (0,), None, n_draft=1), "1 guesses"),
        (Work(0, [1], 0, (0,), GREEDY, allowed=b"1"), "mask of 1 bytes"),
        (Work(0, [1, 2], 0, (0,), GREEDY, n_draft=1, allowed=b"1234567"), "mask of 7 bytes"),
        (Work(0, [1], 0, (0,), GREEDY, allowed=bytes(7)), "no token is allowed"),
        (Work(0, [1], 0, (0,), GREEDY, logprobs=-1), "-1 log prob"),
    ],
)
def test_bad_works(work: Work, says: str) -> None:
    with pytest.raises(GenerationError, match=says):
        runtime().step(Batch((work,)))


def test_bad_batches() -> None:
    works = [Work(i, [1], 0, (i,), GREEDY) for i in range(4)]
    for batch, says in (
        ((), "with 0 requests"),
        (works, "with 4 requests"),
        ((works[0], works[0]), "twice in a step"),
        ((works[0], Work(1, [1], 0, (0,), GREEDY)), "writes page 0, in use"),
    ):
        with pytest.raises(GenerationError, match=says):
            runtime().step(Batch(tuple(batch)))


def test_full_pages_can_be_shared_and_nothing_else() -> None:
    fake = runtime()
    fake.step(Batch((Work(0, [1, 2, 3, 4, 5], 0, (0, 1), None),)))
    # A full page of another request, then tokens of its own.
    fake.step(Batch((Work(1, [9], 4, (0, 2), GREEDY), Work(0, [6], 5, (0, 1), GREEDY))))
    with pytest.raises(GenerationError, match="page not full"):
        fake.step(Batch((Work(2, [9], 6, (0, 1), GREEDY),)))
    with pytest.raises(GenerationError, match="computed from another text"):
        # Request 1 says it goes on with 0's second page, whose tokens followed others.
        fake.step(Batch((Work(1, [7], 5, (2, 1), GREEDY),)))


def test_an_overwritten_page_is_noticed() -> None:
    fake = runtime()
    fake.step(Batch((Work(0, [1, 2, 3, 4, 5], 0, (0, 1), None),)))
    fake.step(Batch((Work(1, [1, 2, 8], 0, (0,), None),)))
    with pytest.raises(GenerationError, match="position 3, computed from another text"):
        fake.step(Batch((Work(0, [6], 5, (0, 1), GREEDY),)))


def test_guesses_get_a_choice_each_and_wrong_ones_are_overwritten() -> None:
    fake = runtime()
    choices = fake.step(Batch((Work(0, [1, 2, 40], 0, (0,), GREEDY, n_draft=2),)))
    assert [choice.token for choice in choices] == [1, 3, 43]
    assert fake.step(Batch((Work(0, [1], 1, (0,), GREEDY),)))[0].token == 2
    with pytest.raises(GenerationError, match="position 2, computed from another text"):
        fake.step(Batch((Work(0, [1], 3, (0,), GREEDY),)))
