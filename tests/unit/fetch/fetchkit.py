"""What the tests of fetching share: a model's files, quick retries, settings for a fake hub."""

from __future__ import annotations

import random
from pathlib import Path

from fakehub import FakeHub

from paddock.inference.checkpoint.hubs.base import Policy
from paddock.settings import Settings

WEIGHTS = "model.safetensors"
QUICK = Policy(retries=3, backoff=0.005, timeout=0.4, longest_wait=2, min_rate=2000)


def content(seed: int = 0, size: int = 100_000) -> bytes:
    return random.Random(seed).randbytes(size)


def files() -> dict[str, bytes]:
    return {
        ".gitattributes": b"*.safetensors filter=lfs\n",
        "config.json": b'{"model_type": "llama"}',
        "tokenizer.model": content(1, 6000),
        "NOTICE": b"",
        WEIGHTS: content(),
        "pytorch_model.bin": content(2, 7000),
        "README.md": b"# A model\n",
        "original/consolidated.00.pth": content(3, 7000),
    }


def settings_for(hub: FakeHub, home: Path, kind: str = "mirror", token: str = "") -> Settings:
    return Settings(
        home=home, hub=kind, endpoint=hub.endpoint(kind), token=token or None, parallel=1
    )


def plain(place: Path) -> dict[str, bytes]:
    """The files of a folder, our own manifest left out."""
    return {
        p.relative_to(place).as_posix(): p.read_bytes()
        for p in place.rglob("*")
        if p.is_file() and p.name != ".paddock-model.json"
    }
