"""Measures contestants in turn, A B C A B C, with the machine's ceilings before each round."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from typing import Any, Protocol

from paddock.bench import ceilings as ceilings_module
from paddock.bench import cost
from paddock.bench.ceilings import Ceilings
from paddock.bench.cost import Cost, Storage
from paddock.bench.processes import competing
from paddock.bench.result import Figure, Measured, Ratio, Run
from paddock.bench.roofline import ARITHMETIC, Ceiling
from paddock.bench.summary import Summary, ratios
from paddock.bench.turn import Turn, common_prefix
from paddock.bench.workload import Workload
from paddock.errors import BenchError, PaddockError
from paddock.inference.checkpoint.config import ModelConfig


class Engine(Protocol):
    """Whatever answers prompts greedily and keeps the time."""

    def run(self, prompts: Sequence[Sequence[int]], new_tokens: int) -> Turn:
        """``new_tokens`` after each prompt, from an empty cache. Raises PaddockError."""
        ...

    def pause(self) -> None:
        """Takes nothing from the others until ``resume``."""
        ...

    def resume(self) -> None:
        """Makes ready for a turn."""
        ...

    def discard(self) -> None:
        """Ends it after a failure: a turn that hangs would go on computing beside the others."""
        ...


@dataclass
class Contestant:
    """One runtime with one workload, and its turns so far. ``turns[0]`` is the warm-up."""

    name: str
    engine: Engine
    workload: Workload
    storage: Storage | None
    run: Run
    turns: list[Turn] = field(default_factory=list)
    failure: str | None = None

    def take(self) -> None:
        """Takes one turn, checked against our own clock; a failure is noted and is the last."""
        try:
            self.engine.resume()
            prompts = self.workload.prompts()
            with competing(self.workload.busy):
                begin = time.perf_counter()
                turn = self.engine.run(prompts, self.workload.new_tokens)
                wall = time.perf_counter() - begin
            turn.check(self.workload, wall, self.name)
            self.engine.pause()
        except PaddockError as error:
            self.failure = error.message
            self.engine.discard()
            return
        self.turns.append(turn)


def measure(
    contestants: Sequence[Contestant],
    config: ModelConfig,
    test: Ceilings,
    repeats: int,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> tuple[list[Run], Measured]:
    """A warm-up and ``repeats`` rounds. Ceilings of a round: the better of before and after it."""
    kinds = sorted({ARITHMETIC[c.storage.weights] for c in contestants if c.storage})
    marks = []
    for number in range(repeats + 1):
        if number:
            marks.append(_mark(test, kinds))
        for done, contestant in enumerate(contestants):
            if contestant.failure is None:
                contestant.take()
            progress(number * len(contestants) + done + 1, (repeats + 1) * len(contestants))
    marks.append(_mark(test, kinds))
    rounds = [_better(a, b) for a, b in pairwise(marks)]
    runs = [_run(contestant, config, rounds, contestants[0]) for contestant in contestants]
    return runs, _measured(test, rounds, kinds)


def compare(runs: Sequence[Run], pairs: Sequence[tuple[str, str]]) -> list[Ratio]:
    """Ratios of the named pairs for every figure that both have."""
    named = {run.runtime: run for run in runs if run.state == "ok"}
    found = []
    for ours, theirs in pairs:
        if ours not in named or theirs not in named:
            continue
        a, b = named[ours].figures, named[theirs].figures
        for name in a:
            if name in b and a[name].unit == "tokens/s":
                values = ratios(a[name].values.samples, b[name].values.samples)
                found.append(Ratio(name, ours, theirs, values))
    return found


Mark = dict[str | None, float | None]
"""Ceilings by kind of arithmetic; None is the key of memory."""


def _mark(test: Ceilings, kinds: Sequence[str]) -> Mark:
    return {kind: ceilings_module.best(test, kind) for kind in (None, *kinds)}


def _better(before: Mark, after: Mark) -> Mark:
    def one(kind: str | None) -> float | None:
        values = [value for value in (before[kind], after[kind]) if value is not None]
        return max(values, default=None)

    return {kind: one(kind) for kind in before}


def _measured(test: Ceilings, rounds: Sequence[Mark], kinds: Sequence[str]) -> Measured:
    products = {}
    for kind in kinds:
        values = [value for mark in rounds if (value := mark[kind]) is not None]
        if values:
            products[kind] = Summary.of(values)
    return Measured(
        test.method,
        test.threads,
        Summary.of(value for mark in rounds if (value := mark[None]) is not None),
        products,
        {kind: test.instruction(kind) for kind in kinds},
    )


def _run(
    contestant: Contestant, config: ModelConfig, rounds: Sequence[Mark], first: Contestant
) -> Run:
    run, workload = contestant.run, contestant.workload
    values: dict[str, Any] = {name: getattr(run, name) for name in Run.__slots__}
    values["workload"] = workload.to_dict()
    values["storage"] = asdict(contestant.storage) if contestant.storage else None
    if contestant.failure is not None or not contestant.turns:
        return Run(**(values | {"state": "failed", "note": contestant.failure}))
    warm, *turns = contestant.turns
    values["warm_up"] = {"ttft_s": warm.first_s, "total_s": warm.total_s}
    if contestant is not first and first.turns and first.workload == workload:
        alike = common_prefix(first.turns[0], warm)
        if alike is not None:
            values["warm_up"]["tokens_like_first"] = alike
    values["figures"] = _figures(turns, workload, contestant.storage, config, rounds)
    return Run(**values)


def _figures(
    turns: Sequence[Turn],
    workload: Workload,
    storage: Storage | None,
    config: ModelConfig,
    rounds: Sequence[Mark],
) -> dict[str, Figure]:
    """Prefill and decode apart, each against its own bound."""
    n, batch = workload.prompt_tokens, workload.batch
    seconds = [turn.first_s for turn in turns]
    speeds = [batch * n / spent for spent in seconds]
    costs = [cost.prefill(config, storage, n, batch)] if storage else []
    figures = {
        "ttft": Figure("s", Summary.of(seconds)),
        "prefill": _figure(speeds, seconds, costs, storage, rounds),
    }
    if workload.new_tokens > 1:
        if min(turn.decode_s for turn in turns) <= 0:
            raise BenchError(
                f"{batch} sequences of {workload.new_tokens} tokens were never decoded at once",
                hint="ask for more tokens",
            )
        speeds = [turn.decoded / turn.decode_s for turn in turns]
        steps = workload.new_tokens - 1
        seconds = [steps * batch / speed for speed in speeds]
        if storage:
            costs = list(cost.decode_steps(config, storage, n, batch, steps))
        # A busy neighbour slows the passes too: then the ceilings of the round count.
        read = [None if workload.busy else turn.read for turn in turns]
        figures["decode"] = _figure(speeds, seconds, costs, storage, rounds, read)
    return figures


def _figure(
    speeds: Sequence[float],
    seconds: Sequence[float],
    costs: Sequence[Cost],
    storage: Storage | None,
    rounds: Sequence[Mark],
    read: Sequence[float | None] = (),
) -> Figure:
    """``read``: the bytes a second of read passes in each turn, which go before its round's."""
    if not costs or storage is None:
        return Figure("tokens/s", Summary.of(speeds), seconds=Summary.of(seconds))
    kind = ARITHMETIC[storage.weights]
    shares = []
    memories = []
    for spent, mark, own in zip(seconds, rounds, read or [None] * len(rounds), strict=True):
        memory = own or mark[None]
        assert memory is not None
        memories.append(memory)
        shares.append(Ceiling(memory, mark[kind]).total(costs) / spent)
    total = sum(costs[1:], costs[0])
    return Figure(
        "tokens/s",
        Summary.of(speeds),
        Summary.of(shares),
        total.bytes,
        total.operations,
        Summary.of(seconds),
        Summary.of(memories) if any(read) else None,
    )
