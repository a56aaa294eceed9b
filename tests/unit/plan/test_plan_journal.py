"""The journal: any part of the file can be gone on from, and what was there first counts."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from paddock.deploy.host import Host
from paddock.deploy.plan import apply, contexts, prepare, undo
from paddock.deploy.plan.checking import MAKES_CONTAINER
from paddock.deploy.plan.events import nobody
from paddock.deploy.plan.journal import Journal, standing
from paddock.deploy.plan.reach import Target
from paddock.deploy.provision import Context
from paddock.deploy.stackfile import HostEntry, Stackfile
from paddock.deploy.step import CONTAINER, HOST, Ask, Change, Log, Machine, State, Step
from paddock.errors import JournalError
from paddock.shell import RecordedRunner

ROOT = Path(__file__).parents[3]
CONTEXT = Context(Stackfile(), Host(), Host(), None, "/nowhere")
ENTRY = HostEntry(name="here")
MACHINE = Machine(RecordedRunner(), "/nowhere")


@dataclass(frozen=True)
class Value:
    """A step that sets a value in a dictionary, in two halves."""

    world: dict[str, int]
    id: str
    wanted: int
    title: str = "a value"
    why: str = "test"
    on: str = HOST

    @property
    def asks(self) -> tuple[Ask, ...]:
        return ()

    def check(self, machine: Machine) -> State:
        now = self.world.get(self.id)
        changes = () if now == self.wanted else (Change(self.id, str(now), str(self.wanted)),)
        return State(changes, {"now": now})

    def apply(self, machine: Machine, log: Log) -> None:
        self.world[self.id] = self.wanted

    def undo(self, machine: Machine, before: Mapping[str, Any], log: Log) -> None:
        if before["now"] is None:
            self.world.pop(self.id, None)
        else:
            self.world[self.id] = before["now"]

    def script(self) -> str:
        return ":"


@contextmanager
def made_of(steps: tuple[Step, ...]) -> Iterator[None]:
    """Contexts give these steps."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(prepare, "steps", lambda context: list(steps))
        yield


def work(folder: Path) -> apply.Work:
    return apply.Work(Journal(folder / "journal.jsonl"), folder, nobody, threading.Event())


def prepared(steps: tuple[Step, ...]) -> prepare.Prepared:
    return prepare.Prepared(Target(ENTRY, MACHINE), CONTEXT, steps, MACHINE, True)


@dataclass
class Worlds:
    """The world before every event of the journal, as a crash there would leave it."""

    seen: list[dict[str, int]] = field(default_factory=list)


worlds = st.dictionaries(st.sampled_from("abcd"), st.integers(0, 2), max_size=4)


@settings(max_examples=60, deadline=None)
@given(initial=worlds, goal=st.lists(st.integers(0, 2), min_size=1, max_size=4), data=st.data())
def test_any_prefix_can_be_gone_on_from(
    tmp_path_factory: pytest.TempPathFactory,
    initial: dict[str, int],
    goal: list[int],
    data: st.DataObject,
) -> None:
    world = dict(initial)
    steps: tuple[Step, ...] = tuple(
        Value(world, name, value) for name, value in zip("abcd", goal, strict=False)
    )
    folder = tmp_path_factory.mktemp("journal")
    with made_of(steps):
        doing = work(folder)
        seen = [(0, dict(world))]
        real = Journal._append

        def append(self: Journal, event: Mapping[str, Any]) -> None:
            real(self, event)
            seen.append((self.path.stat().st_size, dict(world)))

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Journal, "_append", append)
            apply.apply(prepared(steps), doing, lambda: prepared(steps))
        # A crash at any event, with the step in flight not applied or applied; any torn rest.
        number = data.draw(st.integers(0, len(seen) - 1))
        size, then = seen[number]
        later = seen[min(number + 1, len(seen) - 1)]
        # drawn apart from the sizes, which the time in a line makes differ from run to run
        torn = min(data.draw(st.integers(0, 1000)), max(0, later[0] - size - 1))
        world.clear()
        world.update(data.draw(st.sampled_from([then, later[1]])))
        path = doing.journal.path
        if path.exists():
            path.write_bytes(path.read_bytes()[: size + torn])
        apply.apply(prepared(steps), doing, lambda: prepared(steps))
        assert all(step.check(MACHINE).right for step in steps)
        entries = doing.journal.entries("here")
        assert {entry.event for entry in entries} <= {"done"}
        list(undo.undo(Target(ENTRY, MACHINE), entries, doing))
        assert {k: v for k, v in world.items() if k in "abcd"[: len(goal)]} == {
            k: v for k, v in initial.items() if k in "abcd"[: len(goal)]
        }
        assert not doing.journal.entries()


@settings(max_examples=50, deadline=None)
@given(cut=st.integers(0, 2000))
def test_any_cut_of_the_file_is_read(tmp_path_factory: pytest.TempPathFactory, cut: int) -> None:
    path = tmp_path_factory.mktemp("journal") / "j" / "journal.jsonl"
    journal = Journal(path)
    for step in ("a", "b", "é"):
        journal.begin("h", "local", step, HOST, {"text": "x\ny"}, "c")
        journal.done("h", step)
    journal.undone("h", "b")
    whole = path.read_bytes()
    path.write_bytes(whole[:cut])
    lines = whole[: whole.rfind(b"\n", 0, cut) + 1].splitlines()
    assert journal.entries() == standing(json.loads(line) for line in lines)
    journal.begin("h", "local", "z", HOST, {}, "c")  # and it can be written on
    assert journal.entries()[-1].step == "z"
    assert path.read_bytes().endswith(b"\n")


def test_what_was_there_first_counts(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.jsonl")
    journal.begin("h", "local", "a", HOST, {"was": 1}, "one")
    journal.failed("h", "a", "no")
    journal.begin("h", "local", "a", HOST, {"was": 2}, "two")
    (entry,) = journal.entries("h")
    assert (entry.before, entry.context, entry.event) == ({"was": 1}, "two", "begin")
    journal.done("h", "a")
    journal.undone("h", "a")
    assert journal.entries() == ()
    journal.begin("h", "local", "a", HOST, {"was": 3}, "three")
    assert journal.entries()[0].before == {"was": 3}


def test_it_is_the_owners_alone(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "new" / "journal.jsonl")
    journal.begin("h", "local", "a", HOST, {}, "c")
    assert journal.path.stat().st_mode & 0o777 == 0o600
    assert journal.path.parent.stat().st_mode & 0o777 == 0o700


def test_a_line_of_somebody_else_is_named(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.jsonl")
    journal.begin("h", "local", "a", HOST, {}, "c")
    with journal.path.open("a") as stream:
        stream.write("hello\n")
    with pytest.raises(JournalError, match=r"journal.jsonl:2 is not an event"):
        journal.entries()


def test_many_threads_write_whole_lines(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.jsonl")

    def write(host: str) -> None:
        for number in range(20):
            journal.begin(host, "local", str(number), HOST, {}, "c")

    threads = [threading.Thread(target=write, args=(str(n),)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(journal.entries()) == 80


def test_contexts_come_back(tmp_path: Path) -> None:
    name = contexts.save(tmp_path / "contexts", CONTEXT)
    assert contexts.load(tmp_path / "contexts", name) == CONTEXT
    assert contexts.save(tmp_path / "contexts", CONTEXT) == name
    assert (tmp_path / "contexts" / f"{name}.json").stat().st_mode & 0o777 == 0o600
    with pytest.raises(JournalError, match="cannot read"):
        contexts.load(tmp_path / "contexts", "0" * 16)


def test_what_is_no_longer_wished_for_is_undone(tmp_path: Path) -> None:
    world = {"b": 7}
    both: tuple[Step, ...] = (Value(world, "a", 1), Value(world, "b", 2))
    with made_of(both):
        doing = work(tmp_path)
        apply.apply(prepared(both), doing, lambda: prepared(both))
        assert world == {"a": 1, "b": 2}
        _, changed = apply.apply(prepared(both[:1]), doing, lambda: prepared(both[:1]))
    assert (world, changed) == ({"a": 1, "b": 7}, ["b"])
    assert [entry.step for entry in doing.journal.entries()] == ["a"]


@dataclass(frozen=True)
class Room:
    """The container: a step that makes it, and steps in it that its end takes with it."""

    world: dict[str, int]
    id: str = MAKES_CONTAINER
    title: str = "a container"
    why: str = "test"
    on: str = HOST

    @property
    def asks(self) -> tuple[Ask, ...]:
        return ()

    def check(self, machine: Machine) -> State:
        there = "room" in self.world
        return State(() if there else (Change("room", None, "made"),), {"existed": there})

    def apply(self, machine: Machine, log: Log) -> None:
        self.world["room"] = 1

    def undo(self, machine: Machine, before: Mapping[str, Any], log: Log) -> None:
        if not before["existed"]:
            self.world.clear()

    def script(self) -> str:
        return ":"


def test_what_lies_in_a_container_goes_with_it(tmp_path: Path) -> None:
    world: dict[str, int] = {}
    steps: tuple[Step, ...] = (Room(world), Value(world, "in", 1, on=CONTAINER))

    def again() -> prepare.Prepared:
        assert "room" in world  # only then is there something to look into
        return prepared(steps)

    with made_of(steps):
        doing = work(tmp_path)
        first = dataclasses.replace(prepared(steps[:1]), entered=False)
        without = dataclasses.replace(first, steps=(*steps[:1], Value(world, "x", 1, on=CONTAINER)))
        _, changed = apply.apply(without, doing, again)
        assert changed == [MAKES_CONTAINER, "in"]
        world.clear()  # somebody removed it: nothing of it is undone before it is there again
        apply.apply(without, doing, again)
        assert world == {"room": 1, "in": 1}
        gone = list(undo.undo(Target(ENTRY, MACHINE), doing.journal.entries(), doing))
    assert gone == [MAKES_CONTAINER, "in"]
    assert (world, doing.journal.entries()) == ({}, ())


# The first use of the types is what matters, hence a process of its own.
AT_ONCE = """
import sys, threading
from paddock.deploy.plan import contexts
sys.setswitchinterval(1e-6)
data = sys.stdin.buffer.read()
start = threading.Barrier(16)
found = []
def one():
    start.wait()
    found.append(contexts.loads(data))
threads = [threading.Thread(target=one) for _ in range(16)]
for each in threads:
    each.start()
for each in threads:
    each.join()
assert len(found) == 16 and all(each == found[0] for each in found)
"""


def test_many_threads_read_contexts() -> None:
    env = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    done = subprocess.run(
        [sys.executable, "-c", AT_ONCE],
        input=contexts.dumps(CONTEXT),
        capture_output=True,
        timeout=120,
        env=env,
        check=False,
    )
    assert done.returncode == 0, done.stderr
