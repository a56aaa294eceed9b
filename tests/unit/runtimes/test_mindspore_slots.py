"""Slots: ragged works become MindFormers' rectangles, and never a position written twice."""

from __future__ import annotations

import pytest

from paddock.errors import GenerationError
from paddock.inference.runtimes.base import Limits, SamplingParams, Work
from paddock.inference.runtimes.mindspore.slots import Decode, Prefill, Slots

LIMITS = Limits(vocab_size=50, max_seq_len=8, page_size=8, n_pages=3, max_batch=3)
GREEDY = SamplingParams()


def work(request: int, tokens: list[int], start: int = 0, slot: int = 0, **more: object) -> Work:
    options: dict[str, object] = {"sampling": GREEDY, **more}
    return Work(request, tokens, start, (slot,), **options)  # type: ignore[arg-type]


def slots(use_past: bool = True) -> Slots:
    return Slots(LIMITS, use_past)


def test_a_prompt_is_a_prefill_and_then_single_tokens_are_decodes() -> None:
    some = slots()
    assert some.plan([work(7, [1, 5])]) == Prefill([[1, 5], [], []], [0])
    assert some.plan([work(7, [9], 2)]) == Decode([9, 0, 0], [3, 1, 1], [0])
    assert some.plan([work(7, [8], 3)]) == Decode([8, 0, 0], [4, 1, 1], [0])


def test_a_newcomer_makes_all_texts_be_computed_again() -> None:
    some = slots()
    some.plan([work(1, [1, 5], slot=1)])
    some.plan([work(1, [6], 2, slot=1)])
    plan = some.plan([work(1, [7], 3, slot=1), work(2, [1], slot=0)])
    assert plan == Prefill([[1], [1, 5, 6, 7], []], [1, 0])
    plan = some.plan([work(1, [8], 4, slot=1), work(2, [3], 1, slot=0)])
    assert plan == Decode([3, 8, 0], [2, 5, 1], [1, 0])


def test_pieces_of_a_prompt_wait_and_others_go_on() -> None:
    some = slots()
    some.plan([work(1, [1, 5])])
    assert some.plan([work(2, [1, 2], slot=1, sampling=None)]) is None
    plan = some.plan([work(1, [6], 2), work(2, [3, 4], 2, slot=1, sampling=None)])
    assert plan == Decode([6, 0, 0], [3, 1, 1], [0])
    plan = some.plan([work(1, [7], 3), work(2, [5], 4, slot=1)])
    assert plan == Prefill([[1, 5, 6, 7], [1, 2, 3, 4, 5], []], [0, 1])


def test_a_text_that_did_not_take_part_is_computed_again() -> None:
    some = slots()
    some.plan([work(1, [1, 5]), work(2, [1, 6], slot=1)])
    some.plan([work(1, [7], 2)])  # the other row took part with a token that spoils it
    plan = some.plan([work(1, [8], 3), work(2, [9], 2, slot=1)])
    assert plan == Prefill([[1, 5, 7, 8], [1, 6, 9], []], [0, 1])


def test_no_position_is_added_to_twice() -> None:
    some = slots()
    some.plan([work(1, [1, 5])])
    some.plan([work(1, [6], 2)])
    assert some.plan([work(1, [6], 2)]) == Prefill([[1, 5, 6], [], []], [0])
    some.plan([work(1, [7], 3)])
    assert some.plan([work(1, [9], 2)]) == Prefill([[1, 5, 9], [], []], [0])


def test_after_a_failed_step_everything_is_computed_again() -> None:
    some = slots()
    some.plan([work(1, [1, 5])])
    some.forget()
    assert some.plan([work(1, [6], 2)]) == Prefill([[1, 5, 6], [], []], [0])


def test_without_use_past_every_step_is_a_prefill() -> None:
    some = slots(use_past=False)
    some.plan([work(1, [1, 5])])
    assert some.plan([work(1, [6], 2)]) == Prefill([[1, 5, 6], [], []], [0])
    # use_past=False of one request: its whole text each time.
    assert some.plan([work(1, [1, 5, 6, 7])]) == Prefill([[1, 5, 6, 7], [], []], [0])


def test_a_slot_is_used_again_by_another_request() -> None:
    some = slots()
    some.plan([work(1, [1, 5, 6, 7])])
    assert some.plan([work(2, [1])]) == Prefill([[1], [], []], [0])
    assert some.plan([work(2, [4], 1)]) == Decode([4, 0, 0], [2, 1, 1], [0])


@pytest.mark.parametrize(
    ("items", "message"),
    [
        ([], "0 requests in a step"),
        ([work(i, [1], slot=0) for i in range(4)], "4 requests in a step; the limit is 3"),
        ([work(1, [1]), work(2, [1])], "the same page"),
        ([work(1, [])], "positions 0 to 0"),
        ([work(1, [1] * 9)], "positions 0 to 9; the context holds 8"),
        ([work(1, [1], -1)], "positions -1"),
        ([work(1, [50])], "a token id outside 0..49"),
        ([work(1, [1], slot=3)], r"pages \(3,\)"),
        ([Work(1, [1], 0, (0, 1), GREEDY)], r"pages \(0, 1\)"),
        ([work(1, [1, 2], n_draft=1)], "1 guesses; MindFormers chooses one"),
        ([work(1, [1], 4)], "goes on at position 4, which was not computed"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_changes(items: list[Work], message: str) -> None:
    some = slots()
    some.plan([work(9, [1, 5])])
    with pytest.raises(GenerationError, match=message):
        some.plan(items)
    assert some.plan([work(9, [6], 2)]) == Decode([6, 0, 0], [3, 1, 1], [0])


def test_another_requests_text_is_not_gone_on_with() -> None:
    some = slots()
    some.plan([work(1, [1, 5])])
    with pytest.raises(GenerationError, match="request 2 goes on at position 2"):
        some.plan([work(2, [6], 2)])
