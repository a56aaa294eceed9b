"""What is handed on and when: nothing lost, nothing late, first tokens and ends at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from paddock.inference.engine.request import Event, Finish, Usage
from paddock.inference.runtimes.base import Limits, SamplingParams
from paddock.inference.serve.outgoing import Outgoing
from paddock.inference.serve.wire import (
    Add,
    Ask,
    Broken,
    Cancel,
    Failed,
    Lost,
    Message,
    Piece,
    Ready,
    Refused,
    Scored,
    Stop,
    Told,
    decode,
    encode,
)

USAGE = Usage(3, 4, 0, 0, 0)


def ask(*, stream: bool = True, n: int = 1) -> Ask:
    return Ask([1, 2], SamplingParams(), 9, n=n, stream=stream)


def said(text: str, finish: Finish | None = None, *, request: int = 0, index: int = 0) -> Event:
    return Event(request, ord(text), text, finish, index, usage=USAGE if finish else None)


def lasting(seconds: float) -> Callable[[], float]:
    return lambda: seconds


def texts(pieces: list[Piece]) -> list[tuple[int, str]]:
    return [(piece.request, piece.text) for piece in pieces]


def test_first_tokens_and_ends_wait_for_nothing() -> None:
    out = Outgoing(1.0)
    out.open(0, 70, ask())
    out.open(1, 71, ask())
    assert texts(out.take([said("a"), said("x", request=1)], 0.0, lasting(0.1))) == [
        (70, "a"), (71, "x"),
    ]  # fmt: skip
    assert out.take([said("b"), said("y", request=1)], 0.1, lasting(0.1)) == []
    assert out.take([said("c"), said("z", request=1)], 0.2, lasting(0.1)) == []
    (last,) = out.take([said("d", "length")], 0.3, lasting(0.1))
    # The end takes along what was held, and nothing of others.
    assert (last.request, last.text, last.tokens, last.finish) == (70, "bcd", 3, "length")
    assert (last.first_s, last.last_s, last.usage) == (0.1, 0.3, USAGE)
    assert out.added(70) is None and out.added(71) == 1 and len(out) == 1


def test_what_is_held_goes_out_together_and_in_time() -> None:
    out = Outgoing(1.0)
    out.open(0, 70, ask())
    out.take([said("a")], 0.0, lasting(0.3))
    assert out.take([said("b")], 0.3, lasting(0.3)) == []
    assert out.take([said("c")], 0.6, lasting(0.3)) == []
    # At 1.2 it would be in time still, at 1.5 no longer.
    assert out.take([said("d")], 0.9, lasting(0.3)) == []
    (piece,) = out.take([said("e")], 1.2, lasting(0.3))
    assert (piece.text, piece.tokens, piece.first_s, piece.last_s) == ("bcde", 4, 0.3, 1.2)
    # A step that takes long, as with a prompt, is not waited for.
    assert texts(out.take([said("f")], 1.5, lasting(5.0))) == [(70, "f")]
    assert out.take([], 1.6, lasting(5.0)) == []


def test_no_interval_holds_nothing() -> None:
    out = Outgoing(0.0)
    out.open(0, 70, ask())
    for at, text in enumerate("abc"):
        assert texts(out.take([said(text)], float(at), lasting(0.0))) == [(70, text)]


def test_whole_answers_are_told_once() -> None:
    out = Outgoing(0.0)
    out.open(5, 70, ask(stream=False, n=2))
    assert out.take([said("a", request=5), said("x", request=5, index=1)], 0.0, lasting(9)) == []
    assert out.flush() == []
    (first,) = out.take(
        [said("b", request=5), said("y", "stop", request=5, index=1)], 1.0, lasting(9)
    )
    assert (first.index, first.text, first.tokens) == (1, "xy", 2)
    # Times are those of the tokens, not of the telling.
    assert (first.first_s, first.last_s) == (0.0, 1.0)
    assert len(out) == 1
    (last,) = out.take([said("c", "length", request=5)], 2.0, lasting(9))
    assert (last.index, last.text, len(out)) == (0, "abc", 0)


def test_a_request_that_is_told_to_be_broken_says_nothing_more() -> None:
    out = Outgoing(1.0)
    out.open(0, 70, ask())
    out.take([said("a")], 0.0, lasting(0.1))
    out.take([said("b")], 0.1, lasting(0.1))
    assert out.numbers() == [(0, 70)]
    assert texts(out.flush()) == [(70, "b")]
    assert out.drop(0) == 70
    end = Event(0, None, "", "cancelled", usage=USAGE)
    assert out.take([end], 5.0, lasting(0.1)) == [] and len(out) == 0


def test_log_probabilities_come_token_by_token() -> None:
    out = Outgoing(1.0)
    out.open(0, 70, ask(stream=False))
    out.take([Event(0, 5, "é", logprob=-0.5, top=((5, -0.5), (6, -1.5)))], 0.0, lasting(0.1))
    end = Event(0, 2, "", "stop", logprob=-0.25, stop=2, usage=USAGE)
    (piece,) = out.take([end], 0.1, lasting(0.1))
    assert piece.scored == (Scored(5, "é", -0.5, ((5, -0.5), (6, -1.5))), Scored(2, "", -0.25))
    # An end without a token is no token.
    out.open(1, 71, ask(stream=False))
    (piece,) = out.take([Event(1, None, "", "cancelled", usage=USAGE)], 0.1, lasting(0.1))
    assert (piece.tokens, piece.scored) == (0, ())


steps = st.lists(
    st.tuples(
        st.sets(st.integers(0, 4)),  # which answers have a token
        st.sampled_from([0.0, 0.001, 0.02, 0.5]),  # how long the step took
        st.sampled_from([0.0, 0.001, 0.02, 0.5]),  # and how long the next one may
    ),
    max_size=60,
)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(steps, st.sampled_from([0.0, 0.01, 0.1]), st.lists(st.booleans(), min_size=5, max_size=5))
def test_every_answer_is_whole_and_in_order(
    taken: list[tuple[set[int], float, float]], interval: float, streamed: list[bool]
) -> None:
    out = Outgoing(interval)
    for number, stream in enumerate(streamed):
        out.open(number, 100 + number, ask(stream=stream))
    made: dict[int, str] = dict.fromkeys(range(5), "")
    told: dict[int, list[Piece]] = {number: [] for number in range(5)}
    now = 0.0
    for i, (answers, took, following) in enumerate(taken):
        now += took
        events = [said(chr(65 + i), request=number) for number in sorted(answers)]
        for number in answers:
            made[number] += chr(65 + i)
        for piece in out.take(events, now, lasting(following)):
            told[piece.request - 100].append(piece)
        for number, stream in enumerate(streamed):
            late = made[number][sum(piece.tokens for piece in told[number]) :]
            if not stream:
                assert not told[number]
            elif late:
                # It would still be in time after the next step, by what is known of that.
                first = made[number].index(late[0])
                assert first > 0, "a first token was held back"
                held_since = sum(one[1] for one in taken[: ord(late[0]) - 65 + 1])
                assert now + following < held_since + interval + 1e-9
    ends = [said(".", "stop", request=number) for number in range(5)]
    for piece in out.take(ends, now, lasting(0.0)):
        told[piece.request - 100].append(piece)
    for number, pieces in told.items():
        assert "".join(piece.text for piece in pieces) == made[number] + "."
        assert sum(piece.tokens for piece in pieces) == len(made[number]) + 1
        assert [piece.finish for piece in pieces][-1] == "stop"
        assert not any(piece.finish for piece in pieces[:-1])
        assert all(piece.first_s <= piece.last_s for piece in pieces)
    assert len(out) == 0


def test_messages_go_through_the_pipe_as_they_are() -> None:
    sampling = SamplingParams(temperature=0.7, seed=-(2**63), top_k=5)
    asked: dict[str, Any] = {"stop_ids": (2,), "stop": ("é\n",), "logprobs": 3, "grammar": "x"}
    messages: list[Message] = [
        Add(3, Ask([1, 2, 3], sampling, 7, n=2, stream=True, **asked)),
        Cancel(3),
        Stop(),
        Ready(Limits(100, 64, 16, 4, 2)),
        Failed("DoesNotFit", "too large"),
        Told([Piece(3, 1, "é", 2, 0.5, 0.75, "stop", USAGE, (Scored(5, "é", -0.125),))], {"a": 1}),
        Told([]),
        Refused(3, "no"),
        Broken(3, "died"),
        Lost("a rank died"),
    ]
    for message in messages:
        assert decode(encode(message)) == message
