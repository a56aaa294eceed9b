"""The engine's side of several ranks, with ranks that are threads and speak the real protocol."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from paddock.errors import DoesNotFit, GenerationError, PaddockError, RanksLost
from paddock.inference.checkpoint.config import ModelConfig
from paddock.inference.checkpoint.parts import Split
from paddock.inference.engine.engine import Engine
from paddock.inference.engine.request import Request
from paddock.inference.runtimes.base import Batch, Limits, SamplingParams, Work
from paddock.inference.runtimes.ranks import group, wire
from paddock.inference.runtimes.ranks.group import GroupRuntime, Meeting
from paddock.inference.runtimes.ranks.wire import Link
from paddock.inference.runtimes.scripted import ScriptedRuntime

LIMITS = Limits(vocab_size=100, max_seq_len=64, page_size=4, n_pages=64, max_batch=4)
CONFIG = ModelConfig(100, 8, 2, 2, 2, 16, 4)
STEP = Batch((Work(0, [5], 0, (0,), SamplingParams()),))

Trouble = Callable[["Rank", wire.Step], bool]


class Rank:
    """One rank; ``trouble`` may do something to a step, and says whether to go on with it."""

    def __init__(self, meeting: Meeting, rank: int, size: int, trouble: Trouble | None) -> None:
        self.rank = rank
        self.trouble = trouble
        self.link = Link(socket.create_connection((meeting.host, meeting.port)))
        self.link.send(wire.Hello(meeting.secret, rank, size, "here", 1))
        self.runtime = ScriptedRuntime(lambda text: (text[-1] + 1) % 100, LIMITS)
        self.silent = False
        threading.Thread(target=self.run, daemon=True).start()
        threading.Thread(target=self.beat, daemon=True).start()

    def beat(self) -> None:
        try:
            while not self.silent:
                self.link.send(wire.Beat())
                time.sleep(0.05)
        except OSError:
            pass

    def run(self) -> None:
        try:
            while not isinstance(message := self.link.receive(), wire.Stop):
                if isinstance(message, wire.Begin):
                    self.link.send(wire.Ready(LIMITS, 0.1, 0.1, 1, 2, 3, "cpu", "fp32"))
                elif isinstance(message, wire.Step):
                    if self.trouble is not None and not self.trouble(self, message):
                        continue
                    self.answer(message)
        except OSError:
            pass

    def answer(self, step: wire.Step) -> None:
        try:
            choices = self.runtime.step(step.batch)
        except GenerationError as error:
            reply: wire.Message = wire.Refused(error.message, error.hint)
        else:
            reply = wire.Choices(choices)
        if self.rank == 0:
            self.link.send(reply)


class Threads:
    """A Launcher whose ranks are threads; ``again`` starts a new group whenever one is lost."""

    host = "127.0.0.1"

    def __init__(self, size: int = 2, trouble: Trouble | None = None) -> None:
        self.size, self.trouble = size, trouble
        self.ranks: list[Rank] = []
        self.why: str | None = None
        self.stopped = False

    def start(self, meeting: Meeting) -> None:
        self.meeting = meeting
        self.again()

    def again(self) -> None:
        self.ranks = [Rank(self.meeting, i, self.size, self.trouble) for i in range(self.size)]

    def failure(self) -> str | None:
        return self.why

    def stop(self, seconds: float) -> None:
        self.stopped = True


Made = Callable[..., GroupRuntime]


@pytest.fixture
def opened() -> Iterator[Made]:
    made: list[GroupRuntime] = []

    def make(launcher: Threads) -> GroupRuntime:
        made.append(GroupRuntime(Split(launcher.size), launcher, {"dtype": "fp32"}, CONFIG))
        return made[-1]

    yield make
    for one in made:
        one.close()


def test_steps_go_to_all_and_one_answers(opened: Made) -> None:
    launcher = Threads(3)
    runtime = opened(launcher)
    assert runtime.limits == LIMITS
    assert sorted(runtime.reports) == [0, 1, 2]
    answers = Engine(runtime).run([Request([5, 6], max_new_tokens=4), Request([9])])
    assert answers[0] == [7, 8, 9, 10]
    batches = [rank.runtime.batches for rank in launcher.ranks]
    # One rank answers; the others may still be at the last step.
    end = time.monotonic() + 30
    while len({len(each) for each in batches}) > 1 and time.monotonic() < end:
        time.sleep(0.01)
    assert batches[0] == batches[1] == batches[2]
    runtime.close()
    assert launcher.stopped
    with pytest.raises(RanksLost, match="closed"):
        runtime.step(STEP)


def test_what_all_refuse_is_an_error_of_the_step_only(opened: Made) -> None:
    runtime = opened(Threads())
    with pytest.raises(GenerationError, match="no such page"):
        runtime.step(Batch((Work(0, [5], 0, (99,), SamplingParams()),)))
    assert runtime.step(STEP)[0].token == 6


def once(what: Callable[[Rank], None], at: int) -> Trouble:
    """Trouble on rank 1 in step ``at``, once."""
    seen: list[int] = []

    def trouble(rank: Rank, step: wire.Step) -> bool:
        if rank.rank != 1:
            return True
        seen.append(1)
        if len(seen) == at:
            what(rank)
        return True

    return trouble


def test_a_dead_rank_ends_the_step_and_waiting_requests_are_served(opened: Made) -> None:
    # The rank that answers would never do so: in a real group it waits for the dead one.
    def trouble(rank: Rank, step: wire.Step) -> bool:
        started = any(len(work.tokens) == 1 and work.start > 3 for work in step.batch.work)
        if len(launcher.ranks) == 2 and started and not died:
            if rank.rank == 1:
                died.append(time.monotonic())
                rank.link.close()
            return False
        return True

    died: list[float] = []
    launcher = Threads(2, trouble)
    runtime = opened(launcher)
    engine = Engine(runtime)
    first = engine.add(Request([1, 2, 3], max_new_tokens=20))
    with pytest.raises(RanksLost, match=r"rank \d on here \(process 1\) died"):
        for _ in range(10):
            engine.step()
    second = engine.add(Request([40], max_new_tokens=3))
    launcher.again()
    with pytest.raises(RanksLost):
        engine.step()  # nobody has said yet that the cache is known to be empty
    assert engine.lost() == [first]
    runtime.recover()
    events = []
    while not engine.idle:
        events += engine.step()
    assert [e.token for e in events if e.request == second] == [41, 42, 43]
    assert [e.finish for e in events if e.request == first][-1] == "cancelled"


def test_a_loss_between_steps_costs_nobody_anything(opened: Made) -> None:
    launcher = Threads()
    runtime = opened(launcher)
    engine = Engine(runtime)
    assert engine.run([Request([5], max_new_tokens=2)]) == [[6, 7]]
    launcher.ranks[1].link.close()
    number = engine.add(Request([5], max_new_tokens=2))
    with pytest.raises(RanksLost):
        for _ in range(200):
            engine.step()
            time.sleep(0.01)
            engine.add(Request([5], max_new_tokens=1)) if engine.idle else None
    engine.lost()
    launcher.again()
    runtime.recover()
    del number
    while not engine.idle:
        engine.step()


def test_a_request_that_ranks_die_of_twice_is_given_up() -> None:
    class Dying(ScriptedRuntime):
        def step(self, batch: Batch) -> list:  # type: ignore[type-arg]
            raise RanksLost("again")

    engine = Engine(Dying(lambda text: 1, LIMITS))
    number = engine.add(Request([5], max_new_tokens=2))
    for expected in ([], [number]):
        with pytest.raises(RanksLost):
            engine.step()
        assert engine.lost() == expected


def test_a_silent_rank_is_lost(opened: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "SILENCE_S", 0.4)
    monkeypatch.setattr(wire, "BEAT_S", 0.05)

    def trouble(rank: Rank, step: wire.Step) -> bool:
        rank.silent = rank.rank == 1
        return False

    runtime = opened(Threads(2, trouble))
    with pytest.raises(RanksLost, match=r"rank 1 .* said nothing for 0.4 s"):
        runtime.step(STEP)


def test_a_group_that_dies_again_and_again_is_given_up(
    opened: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(group, "LOSSES", 2)
    launcher = Threads(2, lambda rank, step: rank.link.close() or False)  # type: ignore[func-returns-value]
    runtime = opened(launcher)
    for _ in range(2):
        with pytest.raises(RanksLost, match="died"):
            runtime.step(STEP)
        launcher.again()
        runtime.recover()
    with pytest.raises(RanksLost):
        runtime.step(STEP)
    with pytest.raises(RanksLost, match="lost 3 times"):
        runtime.recover()


def test_strangers_are_not_listened_to(opened: Made) -> None:
    launcher = Threads()
    runtime = opened(launcher)
    place = (launcher.meeting.host, launcher.meeting.port)
    assert launcher.meeting.secret not in repr(launcher.meeting)
    for said in (
        wire.encode(wire.Hello("guess", 1, 2, "there", 2)),
        wire.encode(wire.Choices([])),
        b"GET / HTTP/1.1\r\n\r\n",
        (1 << 31).to_bytes(4, "big"),
        b"\x00\x00\x00\x02\xff\xff",
    ):
        with socket.create_connection(place, timeout=10) as stranger:
            stranger.sendall(said)
            with contextlib.suppress(ConnectionResetError):
                assert stranger.recv(1) == b""
    assert runtime.step(STEP)[0].token == 6


def test_why_a_rank_cannot_load_is_raised_here(opened: Made) -> None:
    class Full(Rank):
        def run(self) -> None:
            self.link.receive()
            self.link.send(wire.Failed("DoesNotFit", "99 GiB are needed", "use more ranks"))

    class Launcher(Threads):
        def again(self) -> None:
            self.ranks = [Full(self.meeting, i, 2, None) for i in range(2)]

    with pytest.raises(DoesNotFit, match=r"rank \d: 99 GiB are needed \(use more ranks\)"):
        opened(Launcher())


def test_hosts_that_disagree_about_the_size_are_told(opened: Made) -> None:
    class Launcher(Threads):
        def again(self) -> None:
            self.ranks = [Rank(self.meeting, 0, 4, None)]

    with pytest.raises(PaddockError, match="a group of 4, this is one of 2"):
        opened(Launcher())


def test_ranks_that_never_come_are_an_error(opened: Made) -> None:
    class Launcher(Threads):
        def again(self) -> None:
            self.why = "their agent ended with exit code 1"

    with pytest.raises(RanksLost, match="cannot be started: their agent ended with exit code 1"):
        opened(Launcher())
