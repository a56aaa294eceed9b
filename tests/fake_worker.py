"""A worker without MindSpore that speaks worker.py's protocol; its cache adds like MindFormers'.

``python fake_worker.py MODE``. The next token after a text is a number made of all of it, so that
a wrong text, position or slot gives another. MODE is ``good`` or a way to fail: at the start
(``deaf``, ``old``, ``mute``), when it is opened (``refuse``, ``import``, ``missing``) or in a step
(``die``, ``hang``, ``garbage``, ``short``, ``huge``, ``raise``, ``rows``); die@1 is rank 1 alone.
"""

from __future__ import annotations

import array
import json
import os
import struct
import sys
import time
from pathlib import Path
from typing import Any

HEADER = struct.Struct(">II")


def fake_python(folder: Path, mode: str) -> Path:
    """A program that is given the worker's file and runs this one instead."""
    program = folder / f"python-{mode}"
    program.write_text(f"#!/bin/sh\nexec {sys.executable} {__file__} {mode}\n")
    program.chmod(0o755)
    return program


def next_token(text: list[int], vocab: int) -> int:
    """What follows ``text``: depends on every token and its place."""
    return sum((i + 1) * (token + 7) for i, token in enumerate(text)) % (vocab - 3) + 3


class Fake:
    """Rows of a cache as MindFormers keeps them."""

    def __init__(self, mode: str) -> None:
        self.mode = mode
        self.cache: list[list[int]] = []
        self.config: dict[str, Any] = {}

    def open(self, asked: dict[str, Any]) -> dict[str, Any]:
        """See worker.py."""
        self.config = asked["model_config"]
        if self.mode == "refuse":
            return {"error": "Refused", "message": "this cannot be"}
        if self.mode == "import":
            return {"error": "ModuleNotFoundError", "message": "No module named 'mindformers'"}
        assert Path(asked["checkpoint"]).stat().st_size
        print("noise on the standard output")
        missing = ["lm_head.weight"] if self.mode == "missing" else []
        versions = {"mindspore": "2.7.0", "mindformers": "1.0.0", "python": "3.11.7"}
        return {
            "ok": True,
            "versions": versions,
            "standins": [],
            "not_loaded": missing,
            "mode": "graph",
        }

    def prefill(self, asked: dict[str, Any]) -> dict[str, Any]:
        """The whole rectangle."""
        assert len(asked["rows"]) == self.config["batch_size"]
        length = self.config["seq_length"]
        self.cache = [row + [0] * (length - len(row)) for row in asked["rows"]]
        assert all(len(row) == length for row in self.cache)
        return self._logits([asked["rows"][slot] for slot in asked["wanted"]])

    def decode(self, asked: dict[str, Any]) -> dict[str, Any]:
        """One token a row, added to what is there."""
        assert self.config["use_past"]
        for row, token, length in zip(self.cache, asked["tokens"], asked["lengths"], strict=True):
            row[length - 1] += token
        texts = [self.cache[slot][: asked["lengths"][slot]] for slot in asked["wanted"]]
        return self._logits(texts)

    def everywhere(self, asked: dict[str, Any]) -> dict[str, Any]:
        """Every position."""
        row = asked["row"]
        return self._logits([row[: i + 1] for i in range(len(row))])

    def profile(self, asked: dict[str, Any]) -> dict[str, Any]:
        """Leaves a file."""
        folder = Path(asked["folder"])
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "profile.json").write_text("{}")
        return {"ok": True}

    def profile_end(self, asked: dict[str, Any]) -> dict[str, Any]:
        """Nothing more."""
        if self.mode == "raise":
            return {"error": "RuntimeError", "message": "no profiler"}
        return {"ok": True}

    def _logits(self, texts: list[list[int]]) -> dict[str, Any]:
        if self.mode == "raise":
            return {"error": "ValueError", "message": "shapes differ"}
        vocab = self.config["vocab_size"]
        numbers = array.array("f")
        for text in texts:
            row = [0.0] * vocab
            row[next_token(text, vocab)] = 5.0
            numbers.extend(row)
        rows = len(texts) + (self.mode == "rows")
        return {
            "ok": True,
            "shape": [rows, vocab],
            "data": numbers.tobytes() + bytes(4 * vocab * (rows - len(texts))),
        }


def send(out: Any, message: dict[str, Any]) -> None:
    """One answer."""
    data = message.pop("data", b"")
    body = json.dumps(message).encode()
    out.write(HEADER.pack(len(body), len(data)) + body + data)
    out.flush()


def misbehave(mode: str, out: Any) -> None:
    """What a worker in trouble does instead of answering a step."""
    if mode == "die":
        sys.stderr.write("Segmentation fault in some kernel\n")
        sys.stderr.flush()
        os._exit(134)
    if mode == "hang":
        time.sleep(600)
    if mode == "garbage":
        out.write(b"Traceback (most recent call last):\n" * 20)
    if mode == "short":
        out.write(HEADER.pack(2, 8) + b"{}" + b"12345678")
    if mode == "huge":
        out.write(HEADER.pack(1 << 31, 0))
    out.flush()


def main(mode: str) -> None:
    """As worker.py's."""
    requests, out = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    way, _, rank = mode.partition("@")  # die@1: rank 1 alone
    mode = way if rank in ("", os.environ.get("RANK_ID")) else "good"
    if mode == "mute":
        time.sleep(600)
    if mode == "deaf":
        sys.exit("cannot start: no such library")
    send(out, {"ok": True, "protocol": 0 if mode == "old" else 1, "pid": os.getpid()})
    fake = Fake(mode)
    while head := requests.read(HEADER.size):
        size, _ = HEADER.unpack(head)
        asked = json.loads(requests.read(size))
        if asked["do"] in ("prefill", "decode") and mode in (
            "die",
            "hang",
            "garbage",
            "short",
            "huge",
        ):
            misbehave(mode, out)
            continue
        send(out, getattr(fake, asked["do"])(asked))


if __name__ == "__main__":
    main(sys.argv[1])
