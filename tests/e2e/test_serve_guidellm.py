"""A load generator that nobody here wrote: guidellm, as its users run it, finds nothing wrong."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from paddock.inference.checkpoint.store import builtin
from serverkit import Server, serving

pytestmark = pytest.mark.e2e

REQUESTS = 40


@pytest.fixture(scope="module")
def guidellm() -> str:
    # 340 MB, and versions of its own that others must not be bound to: no part of the e2e extra.
    beside = shutil.which("guidellm", path=str(Path(sys.executable).parent))
    found = beside or shutil.which("guidellm")
    if found is None:
        pytest.skip("guidellm is not on the PATH (pip install guidellm, in any environment)")
    return found


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with serving() as running:
        yield running


@pytest.mark.parametrize(
    ("path", "profile"),
    [
        ("/v1/completions", "kind=concurrent,streams=8"),
        ("/v1/chat/completions", "kind=poisson,rate=20"),
    ],
)
def test_every_request_is_answered_in_full(
    guidellm: str, server: Server, tmp_path: Path, path: str, profile: str
) -> None:
    out = tmp_path / "report.json"
    backend = f"kind=openai_http,target={server.url},model=demo,request_format={path}"
    done = subprocess.run(
        [
            *(guidellm, "run", "--disable-progress", "--backend", backend, "--profile", profile),
            *("--constraint", f"kind=max_requests,count={REQUESTS}"),
            # Prompts of exactly so many tokens, counted by the model's own tokenizer.
            *("--tokenizer", f"kind=hf_auto,model={builtin()}"),
            *("--data", "kind=synthetic_text,prompt_tokens=64,output_tokens=16"),
            *("--output", f"kind=json,path={out}"),
        ],
        env={**os.environ, "HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    (benchmark,) = json.loads(out.read_text())["benchmarks"]
    requests = benchmark["requests"]
    assert not requests["errored"] and not requests["incomplete"], requests["errored"][:1]
    assert len(requests["successful"]) == REQUESTS
    for one in requests["successful"]:
        assert one["output_metrics"]["text_tokens"] == 16
        assert one["input_metrics"]["text_tokens"] >= 64
