"""Contestants take turns, and figures, shares and ratios are those of their turns."""

from __future__ import annotations

import os
import time
from dataclasses import replace
from pathlib import Path

import pytest
from benchkit import SHAPE, FakeCeilings, FakeEngine

from paddock.bench import cost
from paddock.bench.ceilings import KINDS, NumpyCeilings, best, buffer_bytes, open_ceilings
from paddock.bench.cost import Storage
from paddock.bench.passes import Passes
from paddock.bench.processes import competing
from paddock.bench.result import Run
from paddock.bench.rounds import Contestant, compare, measure
from paddock.bench.turn import Turn, common_prefix
from paddock.bench.workload import Workload
from paddock.errors import BenchError

INT4 = Storage("int4", "int8", "bf16", "fp32", "fp16")
WORK = Workload(100, prompt_tokens=8, new_tokens=5, repeats=3)


def contestant(name: str, calls: list[str], sleep: float = 0.002) -> Contestant:
    return Contestant(name, FakeEngine(name, calls, sleep), WORK, INT4, Run(name))


def test_turns_go_round() -> None:
    calls: list[str] = []
    seen: list[tuple[int, int]] = []
    names = ("a", "b", "c")
    measure(
        [contestant(name, calls) for name in names], SHAPE, FakeCeilings(), 2,
        lambda done, total: seen.append((done, total)),
    )  # fmt: skip
    assert [call for call in calls if call in names] == [*names] * 3, "a warm-up and two rounds"
    assert calls[:2] == ["a", "pause a"], "who is not in turn takes nothing from the others"
    assert seen == [(i + 1, 9) for i in range(9)]


def test_figures_are_those_of_the_turns() -> None:
    one = contestant("a", [])
    (run,), ceilings = measure([one], SHAPE, FakeCeilings(), 3)
    turns = one.turns[1:]
    assert len(one.turns) == 4
    assert run.warm_up["ttft_s"] == one.turns[0].first_s, "told, and not among the samples"
    figures = run.figures
    assert figures["ttft"].values.samples == tuple(turn.first_s for turn in turns)
    assert figures["prefill"].values.samples == tuple(8 / turn.first_s for turn in turns)
    assert figures["decode"].values.samples == tuple(4 / turn.decode_s for turn in turns)
    steps = list(cost.decode_steps(SHAPE, INT4, 8, 1, 4))
    bound = sum(max(step.bytes / 1e9, step.operations / 1e10) for step in steps)
    decode = figures["decode"]
    assert decode.share is not None
    assert decode.share.samples == pytest.approx([bound / turn.decode_s for turn in turns])
    assert decode.bytes == sum(step.bytes for step in steps)
    assert ceilings.bytes_per_s.samples == (1e9,) * 3
    assert ceilings.operations_per_s["int8"].median == 1e10
    assert run.workload == WORK.to_dict()


def test_a_round_is_held_against_the_better_ceiling_around_it() -> None:
    class Moving(FakeCeilings):
        speeds = iter([1e9] * 3 + [3e9] * 3 + [2e9] * 3)

        def read(self) -> float:
            return next(self.speeds)

    _, ceilings = measure([contestant("a", [])], SHAPE, Moving(), 2)
    assert ceilings.bytes_per_s.samples == (3e9, 3e9)


def test_without_storage_there_is_no_share() -> None:
    (run,), ceilings = measure(
        [replace_storage(contestant("a", []), None)], SHAPE, FakeCeilings(), 1
    )
    assert run.figures["decode"].share is None
    assert run.figures["decode"].seconds is not None
    assert ceilings.operations_per_s == {}


def replace_storage(one: Contestant, storage: Storage | None) -> Contestant:
    one.storage = storage
    return one


def test_one_that_fails_leaves_the_others_alone() -> None:
    calls: list[str] = []

    class Failing(FakeEngine):
        def run(self, prompts, new_tokens):  # type: ignore[no-untyped-def]
            if calls.count("bad") == 2:
                raise BenchError("memory is short")
            return super().run(prompts, new_tokens)

    bad = Contestant("bad", Failing("bad", calls), WORK, INT4, Run("bad"))
    runs, _ = measure([bad, contestant("good", calls)], SHAPE, FakeCeilings(), 3)
    assert (runs[0].state, runs[0].note, runs[0].figures) == ("failed", "memory is short", {})
    assert calls.count("discard bad") == 1
    assert calls.count("good") == 4
    assert runs[1].state == "ok"
    assert compare(runs, [("good", "bad")]) == []


def test_ratios_of_figures_that_both_have() -> None:
    runs, _ = measure(
        [contestant("a", [], 0.001), contestant("b", [], 0.01)], SHAPE, FakeCeilings(), 2
    )
    found = {ratio.figure: ratio.values.median for ratio in compare(runs, [("a", "b")])}
    assert set(found) == {"prefill", "decode"}
    assert found["decode"] > 2


def turn(count: int = 5, **changes: object) -> Turn:
    one = Turn(((4,) * count,), (tuple(0.1 * (i + 1) for i in range(count)),))
    return replace(one, **changes)  # type: ignore[arg-type]


LIES = {
    "answered 0 of 1": (turn(tokens=()), 0.5),
    "made 4 tokens": (turn(4), 0.5),
    "with 3 times": (turn(times=((0.1, 0.2, 0.3),)), 0.5),
    "outside the vocabulary": (turn(tokens=((4, 4, 4, 4, 100),)), 0.5),
    "do not grow": (turn(times=((0.1, 0.3, 0.2, 0.4, 0.5),)), 0.5),
    "claims 0.500 s, but 0.400 s went by": (turn(), 0.4),
    "needed 0.500 s of the 2.000 s": (turn(), 2.0),
}


@pytest.mark.parametrize("message", LIES)
def test_lies_are_found_out(message: str) -> None:
    claimed, wall = LIES[message]
    with pytest.raises(BenchError, match=message):
        claimed.check(WORK, wall, "it")
    turn().check(WORK, 0.55, "it")


def test_decoding_counts_while_all_sequences_are_at_it() -> None:
    """One may begin while another's prompt is still read, and end while that goes on alone."""
    one = Turn(((1, 2, 3), (1, 2, 3)), ((0.1, 0.2, 0.4), (0.3, 0.35, 0.5)))
    assert (one.first_s, one.total_s, one.decoded) == (0.3, 0.5, 2)

    class Server(FakeEngine):
        def run(self, prompts, new_tokens):  # type: ignore[no-untyped-def]
            time.sleep(0.5)
            return one

    two = Contestant("s", Server("s", []), replace(WORK, batch=2, new_tokens=3), None, Run("s"))
    (run,), _ = measure([two], SHAPE, FakeCeilings(), 1)
    assert run.figures["decode"].values.median == pytest.approx(2 / 0.1)

    one = Turn(((1, 2, 3), (1, 2, 3)), ((0.1, 0.2, 0.3), (0.3, 0.4, 0.5)))
    with pytest.raises(BenchError, match="2 sequences of 3 tokens were never decoded at once"):
        measure([replace(two, turns=[])], SHAPE, FakeCeilings(), 1)


def test_passes_between_steps_are_the_turn_s_ceiling() -> None:
    class Passing(FakeEngine):
        def run(self, prompts, new_tokens):  # type: ignore[no-untyped-def]
            return replace(super().run(prompts, new_tokens), read=5e8)

    def share(work: Workload, engine: FakeEngine) -> float:
        one = Contestant("a", engine, work, INT4, Run("a"))
        (run,), _ = measure([one], SHAPE, FakeCeilings(), 1)
        figure = run.figures["decode"]
        assert figure.share is not None and figure.seconds is not None
        assert (figure.memory is not None) == (one.turns[1].read is not None and not work.busy)
        return figure.share.median * figure.seconds.median

    alone, between = share(WORK, FakeEngine("a", [])), share(WORK, Passing("a", []))
    assert between == pytest.approx(2 * alone, rel=0.01), "half the bytes a second, twice the bound"
    busy = share(replace(WORK, busy=1), Passing("a", []))
    assert busy == pytest.approx(alone, rel=0.01), "a neighbour slows the passes too"


def test_passes_take_a_tenth_of_the_time() -> None:
    class Slow(FakeCeilings):
        speeds = iter([1e9, 3e9, 1e9, 1e9])

        def read(self) -> float:
            time.sleep(0.01)
            return next(self.speeds)

    passes = Passes(Slow())
    assert passes.bytes_per_s is None
    assert passes.between(0.0) >= 0.01
    assert passes.between(0.02) == 0.0, "a second one is not due yet"
    assert passes.between(60.0) >= 0.01
    assert passes.bytes_per_s == pytest.approx(1.5e9), "bytes of both over the seconds of both"
    passes.begin()
    assert passes.bytes_per_s is None


def test_common_prefix() -> None:
    def of(*tokens: int | None) -> Turn:
        return Turn((tokens,), ((0.1,) * len(tokens),))

    assert common_prefix(of(1, 2, 3), of(1, 2, 4)) == 2
    assert common_prefix(of(1, 2, 3), of(1, 2, 3)) == 3
    assert common_prefix(of(1, 2), of(None, None)) is None


def test_competitors_come_and_go() -> None:
    def children() -> int:
        me = os.getpid()
        text = Path(f"/proc/{me}/task/{me}/children").read_text()
        return len(text.split())

    before = children()
    with competing(2):
        assert children() == before + 2
    assert children() == before


def test_ceilings_in_both_ways() -> None:
    with_library = open_ceilings(2, 8 << 20)
    plain = NumpyCeilings(2, 8 << 20)
    for test in (with_library, plain):
        try:
            assert best(test, None) > 1e8  # type: ignore[operator]
            assert (best(test, "fp32") or 1e9) > 1e8
            for kind in KINDS:
                assert (best(test, kind) is None) == (test.instruction(kind) is None)
            assert best(test, "fp8") is None
        finally:
            test.close()


def test_the_buffer_is_far_larger_than_caches() -> None:
    assert buffer_bytes() >= 512 << 20
