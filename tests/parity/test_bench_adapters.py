"""The adapters with the engines themselves: the same ids as ours on the same weights."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from paddock.bench.offline import Local
from paddock.bench.peers.session import PEERS, Remote
from paddock.bench.workload import Workload
from paddock.inference.checkpoint.convert import convert
from paddock.inference.checkpoint.store import builtin

N = 6
WORK = Workload(2048, prompt_tokens=12, new_tokens=N, batch=2, seed=3)


@pytest.fixture(scope="module")
def ours() -> tuple[tuple[int | None, ...], ...]:
    local = Local.open(builtin(), threads=1, length=WORK.length, batch=2, dtype="fp32")
    try:
        return local.run(WORK.prompts(), N).tokens
    finally:
        local.close()


def tokens(name: str, model: Path, index: int) -> tuple[tuple[int | None, ...], ...]:
    peer = PEERS[name]
    variants = ({"dtype": "fp32"},) if name == "transformers" else peer.variants
    remote = Remote(name, sys.executable, peer.adapter, 300)
    try:
        if not remote.probe()["present"]:
            pytest.skip(f"{name} is not installed")
        remote.open(
            model=str(model), threads=1, length=WORK.length, batch=2, variant=variants[index]
        )
        turn = remote.run(WORK.prompts(), N)
        again = remote.run(WORK.prompts(), N)
    finally:
        remote.child.close()
    turn.check(WORK, turn.total_s, name)
    assert again.tokens == turn.tokens, "a turn leaves nothing behind"
    return turn.tokens


def test_transformers(ours: tuple[tuple[int | None, ...], ...]) -> None:
    assert tokens("transformers", builtin(), 0) == ours


@pytest.mark.peers
@pytest.mark.parametrize("index", [0, 1], ids=["plain", "flash"])
@pytest.mark.parametrize("name", ["llama-cpp-python", "xllamacpp"])
def test_llama_cpp(
    name: str, index: int, ours: tuple[tuple[int | None, ...], ...], tmp_path: Path
) -> None:
    model = convert(builtin(), tmp_path / "demo.gguf", to="gguf", dtype="fp32")
    found = tokens(name, model, index)
    if found[0][0] is not None:
        # It rounds the cache to fp16, after which a near tie may fall the other way.
        assert all(a[:2] == b[:2] for a, b in zip(found, ours, strict=True))
