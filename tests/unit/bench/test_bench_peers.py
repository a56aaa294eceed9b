"""The workers' protocol, with engines that work, crash, hang and lie."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import Any

import pytest
from benchkit import ADAPTERS, SHAPE, FakeCeilings

from paddock.bench.cost import Storage
from paddock.bench.peers import session
from paddock.bench.peers.session import PEERS, Peer, Plan, Remote, compare_peers
from paddock.bench.result import Run
from paddock.bench.workload import Workload
from paddock.errors import BenchError, UsageError

GOOD, BAD, MISSING = (str(ADAPTERS / f"{name}.py") for name in ("good", "bad", "missing"))
WORK = Workload(100, prompt_tokens=4, new_tokens=3, repeats=2)


def remote(adapter: str, timeout: float = 60.0, **variant: Any) -> Remote:
    one = Remote("it", sys.executable, adapter, timeout)
    one.open(model="m", threads=1, length=9, batch=1, variant=variant)
    return one


def test_a_good_one_answers_and_its_prints_are_kept_out() -> None:
    one = remote(GOOD)
    try:
        assert one.probe() == {"present": True, "version": None}
        turn = one.run(WORK.prompts(), 3)
        assert turn.tokens == ((3, 4, 5),)
        one.pause()
        one.resume()
        assert one.run(WORK.prompts(), 3).tokens == turn.tokens
    finally:
        one.child.close()
        one.child.close()


FAILURES = {
    "killed": "it ended with signal SIGKILL",
    "exits": "it ended with exit code 3: out of patience",
    "raises": "it failed: RuntimeError: no kernel for this",
    "not JSON": "it ended with exit code 1: TypeError: Object of type object is not JSON",
}


@pytest.mark.parametrize("how", FAILURES)
def test_failures_are_told(how: str) -> None:
    one = remote(BAD, how=how)
    try:
        with pytest.raises(BenchError) as caught:
            one.run(WORK.prompts(), 3)
        assert caught.value.message.startswith(FAILURES[how])
    finally:
        one.child.close()


def test_one_that_hangs_is_not_waited_for() -> None:
    one = remote(BAD, timeout=60, how="hangs")
    one._timeout = 0.3
    with pytest.raises(BenchError, match="did not answer within 0 s"):
        one.run(WORK.prompts(), 3)
    one.child.kill()


def test_no_such_interpreter() -> None:
    with pytest.raises(BenchError, match="cannot be started"):
        Remote("it", "/nonexistent/python", GOOD, 1)


def plan(peers: dict[str, Peer], **changes: Any) -> Plan:
    base = Plan(
        SHAPE, WORK, 1, {"gguf": "m.gguf"}, ours=(), only=tuple(peers), peers=peers, timeout=30.0
    )
    return replace(base, **changes)


def test_every_peer_is_a_line_of_the_report() -> None:
    """One that lies, crashes, is absent or cannot read the weights spoils nothing."""
    hows = ("no model", "killed", "short", "outside", "backwards", "too slow", "too quick")
    peers = {
        "good": Peer(GOOD, "gguf", "", ({}, {"sleep": 0.002})),
        **{how: Peer(BAD, "gguf", "", ({"how": how},)) for how in hows},
        "missing": Peer(MISSING, "gguf", "pip install missing"),
        "picky": Peer(GOOD, "own", ""),
    }
    int4 = Storage("int4", "int8", "int4", "fp32", "fp16")
    runs, _, ratios = compare_peers(plan(peers, storages={"gguf": int4}), FakeCeilings())
    by_name: dict[str, Run] = {run.runtime: run for run in runs}
    good = [by_name["good"], by_name["good (sleep=0.002)"]]
    assert [run.state for run in good] == ["ok", "ok"]
    assert all(len(run.figures["decode"].values.samples) == 2 for run in good)
    assert good[0].figures["decode"].share is not None
    notes = {
        "no model": "failed: ValueError: cannot read m.gguf",
        "killed": "signal SIGKILL",
        "short": "made 2 tokens",
        "outside": "outside the vocabulary",
        "backwards": "do not grow",
        "too slow": "claims",
        "too quick": "of the",
    }
    for how, note in notes.items():
        run = by_name[f"{how} (how={how})"]
        assert (run.state, run.figures) == ("failed", {})
        assert run.note is not None and note in run.note
    assert by_name["missing"].state == "absent"
    assert by_name["missing"].note == "not installed here; pip install missing"
    assert by_name["picky"].state == "absent"
    assert "--peer-model picky=PATH" in str(by_name["picky"].note)
    assert ratios == []


def test_the_order_is_ours_first_even_if_it_fails() -> None:
    peers = {"good": Peer(GOOD, "gguf", "")}
    wanted = plan(peers, ours=({},), models={"gguf": "m", "paddock": "/nonexistent"})
    runs, _, ratios = compare_peers(wanted, FakeCeilings())
    assert [(run.runtime, run.state) for run in runs] == [("paddock", "failed"), ("good", "ok")]
    assert ratios == []


def test_the_best_variant_alone_takes_part() -> None:
    peers = {"good": Peer(GOOD, "gguf", "", ({"sleep": 0.05}, {"sleep": 0.0}))}
    runs, _, _ = compare_peers(plan(peers, best=True), FakeCeilings())
    assert [run.runtime for run in runs] == ["good (sleep=0.0)"]


def test_unknown_peers_are_refused() -> None:
    with pytest.raises(UsageError, match="no peer 'transformer'; did you mean 'transformers'"):
        Plan(SHAPE, WORK, 1, {}, only=("transformer",))


@pytest.mark.parametrize("name", [session.OURS, *PEERS])
def test_adapters_follow_the_protocol(name: str) -> None:
    """Each can be loaded without its engine, and says whether that is installed."""
    adapter = "paddock.py" if name == session.OURS else PEERS[name].adapter
    one = Remote(name, sys.executable, adapter, 60)
    try:
        answer = one.probe()
        assert isinstance(answer["present"], bool)
        if name == session.OURS:
            assert answer["present"]
    finally:
        one.child.close()
