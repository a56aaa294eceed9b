"""A misbehaving hub and settings that point at it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from fakehub import FakeHub
from fetchkit import files, settings_for

from paddock.settings import Settings


@pytest.fixture(autouse=True)
def no_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """No proxy, token or offline flag of the machine that runs the tests."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "HF_TOKEN", "HF_HUB_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest.fixture
def hub() -> Iterator[FakeHub]:
    model = files()
    names = ("org/tiny", "meta-llama/Llama-2-7b-hf", "modelscope/Llama-2-7b-ms", "llama2-7b")
    with FakeHub(dict.fromkeys(names, model)) as running:
        yield running


@pytest.fixture(params=["huggingface", "modelscope", "mirror"])
def settings(request: pytest.FixtureRequest, hub: FakeHub, tmp_path: Path) -> Settings:
    return settings_for(hub, tmp_path, request.param)
