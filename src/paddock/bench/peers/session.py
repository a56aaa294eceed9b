"""Finds the peers that are installed, opens each in its own process, and measures all in turn."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from paddock.bench.ceilings import Ceilings
from paddock.bench.cost import Storage
from paddock.bench.processes import Child
from paddock.bench.result import Measured, Ratio, Run
from paddock.bench.rounds import Contestant, compare, measure
from paddock.bench.turn import Turn
from paddock.bench.workload import Workload
from paddock.errors import PaddockError, UsageError, nearest
from paddock.inference.checkpoint.config import ModelConfig

FOLDER = Path(__file__).parent
OURS = "paddock"


@dataclass(frozen=True, slots=True)
class Peer:
    """An engine to compare with. ``reads``: ``gguf``, ``hf`` or ``own``, a folder in its format."""

    adapter: str
    reads: str
    install: str
    variants: tuple[dict[str, Any], ...] = ({},)


PEERS = {
    "llama-cpp-python": Peer(
        "llama_cpp.py",
        "gguf",
        "pip install llama-cpp-python",
        ({"flash_attn": False}, {"flash_attn": True}),
    ),
    "xllamacpp": Peer(
        "xllamacpp.py",
        "gguf",
        "pip install xllamacpp",
        ({"flash_attn": False}, {"flash_attn": True}),
    ),
    "transformers": Peer("transformers.py", "hf", "pip install 'transformers>=5' torch"),
    "onnxruntime-genai": Peer("onnxruntime_genai.py", "own", "pip install onnxruntime-genai"),
    "openvino-genai": Peer("openvino_genai.py", "gguf", "pip install openvino-genai"),
}
"""By the name of what is installed."""


@dataclass(frozen=True)
class Plan:
    """A comparison. ``models`` says where each kind of reader finds the weights.

    Keys of ``models`` are ``paddock``, ``gguf``, ``hf`` or a peer's name, which goes first.
    ``ours`` are the options of LLM.open. ``pythons`` are interpreters in which peers are looked
    for. Of a peer's variants ``best`` keeps the quickest of a trial turn, else all take part.
    ``timeout`` is for one turn, in seconds.
    """

    config: ModelConfig
    workload: Workload
    threads: int
    models: dict[str, str]
    ours: tuple[dict[str, Any], ...] = ({},)
    only: tuple[str, ...] = tuple(PEERS)
    pythons: tuple[str, ...] = (sys.executable,)
    storages: dict[str, Storage] = field(default_factory=dict)
    variants: dict[str, tuple[dict[str, Any], ...]] = field(default_factory=dict)
    best: bool = False
    timeout: float = 600.0
    peers: dict[str, Peer] = field(default_factory=lambda: PEERS)

    def __post_init__(self) -> None:
        check_names(self.only, self.peers)


def check_names(names: Iterable[str], peers: dict[str, Peer] = PEERS) -> None:
    """Raises UsageError for a name that is no peer's."""
    for name in names:
        if name not in peers:
            raise UsageError(
                f"no peer {name!r}{nearest(name, peers)}", hint=f"known are {', '.join(peers)}"
            )


class Remote:
    """An engine in a child process."""

    def __init__(self, name: str, python: str, adapter: str, timeout: float) -> None:
        self._timeout = timeout
        path = adapter if "/" in adapter else str(FOLDER / adapter)
        self.child = Child(name, [python, str(FOLDER / "worker.py"), path])

    def probe(self) -> dict[str, Any]:
        """Whether the engine is installed there, and its version."""
        return self.child.ask({"do": "probe"}, 60)

    def open(self, **what: Any) -> dict[str, Any]:
        """Opens a model in the place of the one before; see worker.py."""
        return self.child.ask({"do": "open", "with": what}, self._timeout)

    def run(self, prompts: Sequence[Sequence[int]], new_tokens: int) -> Turn:
        """See rounds.Engine."""
        question = {"do": "run", "prompts": prompts, "new_tokens": new_tokens}
        return Turn.of(self.child.ask(question, self._timeout), self.child.name)

    def pause(self) -> None:
        """See rounds.Engine."""
        self.child.pause()

    def resume(self) -> None:
        """See rounds.Engine."""
        self.child.resume()

    def discard(self) -> None:
        """See rounds.Engine."""
        self.child.kill()


def compare_peers(
    plan: Plan, test: Ceilings, progress: Callable[[int, int], None] = lambda done, total: None
) -> tuple[list[Run], Measured, list[Ratio]]:
    """Runs of Paddock and of every peer, absent and failed ones too, and ours over theirs."""
    with ExitStack() as stack:
        own = Peer("paddock.py", OURS, "")
        entries: list[Contestant | Run] = [
            _open(plan, OURS, own, sys.executable, variant, stack) for variant in plan.ours
        ]
        for name in plan.only:
            entries += _enter(plan, name, stack)
        contestants = [entry for entry in entries if isinstance(entry, Contestant)]
        measured, ceilings = measure(
            contestants, plan.config, test, plan.workload.repeats, progress
        )
    done = iter(measured)
    runs = [next(done) if isinstance(entry, Contestant) else entry for entry in entries]
    ours = [run.runtime for run in runs[: len(plan.ours)]]
    theirs = [run.runtime for run in runs[len(plan.ours) :]]
    return runs, ceilings, compare(runs, [(a, b) for a in ours for b in theirs])


def _enter(plan: Plan, name: str, stack: ExitStack) -> Iterable[Contestant | Run]:
    """A peer's variants as contestants, or the one run that says why it does not take part."""
    peer = plan.peers[name]
    found = _find(plan, name, peer)
    if found is None:
        return [Run(name, "absent", note=f"not installed here; {peer.install}")]
    python, version = found
    if name not in plan.models and peer.reads not in plan.models:
        note = f"needs weights in a form of its own; give them with --peer-model {name}=PATH"
        return [Run(name, "absent", version, note=note)]
    variants = plan.variants.get(name, peer.variants)
    if plan.best and len(variants) > 1:
        variants = (_quickest(plan, name, peer, python, variants),)
    return [_open(plan, name, peer, python, variant, stack, version) for variant in variants]


def _find(plan: Plan, name: str, peer: Peer) -> tuple[str, str | None] | None:
    """The first interpreter that has the peer, and the peer's version."""
    for python in plan.pythons:
        remote = Remote(name, python, peer.adapter, plan.timeout)
        try:
            answer = remote.probe()
        finally:
            remote.child.close()
        if answer["present"]:
            return python, answer["version"]
    return None


def _quickest(
    plan: Plan, name: str, peer: Peer, python: str, variants: Sequence[dict[str, Any]]
) -> dict[str, Any]:
    """The variant with the shortest second turn."""
    spent: list[float] = []
    for variant in variants:
        with ExitStack() as stack:
            found = _open(plan, name, peer, python, variant, stack)
            if isinstance(found, Contestant):
                found.take()
                found.take()
                done = found.failure is None
                spent.append(found.turns[-1].total_s if done else math.inf)
            else:
                spent.append(math.inf)
    return variants[spent.index(min(spent))]


def _open(
    plan: Plan,
    name: str,
    peer: Peer,
    python: str,
    variant: dict[str, Any],
    stack: ExitStack,
    version: str | None = None,
) -> Contestant | Run:
    told = ", ".join(f"{key}={value}" for key, value in variant.items())
    run = Run(f"{name} ({told})" if told else name, version=version, options=variant)
    model = plan.models.get(name, plan.models.get(peer.reads, ""))
    try:
        remote = Remote(run.runtime, python, peer.adapter, plan.timeout)
        stack.callback(remote.child.close)
        answer = remote.open(
            model=model,
            threads=plan.threads,
            length=plan.workload.length,
            batch=plan.workload.batch,
            variant=variant,
        )
        if version is None:
            run = replace(run, version=remote.probe()["version"])
    except PaddockError as error:
        return replace(run, state="failed", note=error.message)
    storage = plan.storages.get(name, plan.storages.get(peer.reads))
    if "dtype" in variant and name != OURS:
        storage = Storage(*[variant["dtype"]] * 5)
    if answer.get("storage"):
        storage = Storage(**answer["storage"])
    remote.pause()
    run = replace(run, weights=answer["weights"])
    return Contestant(run.runtime, remote, plan.workload, storage, run)
