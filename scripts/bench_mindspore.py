#!/usr/bin/env python3
"""Measures why a MindFormers program makes 1.3 or 10 tokens a second: use_past and seq_length.

    scripts/bench_mindspore.py OUT --python PATH [--seq-length N]... [--new-tokens N] [--rounds N]
                               [--threads N] [--only-lengths]

Makes a random model with heads of Llama 2's size, opens it natively and in MindFormers in several
ways, and lets them take turns, so that a busy machine slows all of them alike. For each it prints
the median of processor seconds and of wall seconds per token after the first (processor time,
because that of one thread hardly depends on who else runs), and writes all samples to
OUT/result.json. Every way should choose the same tokens. PATH is a Python that has both packages;
--only-lengths leaves out pynative mode and float16.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from paddock.bench.workload import Workload
from paddock.inference.checkpoint import random_model
from paddock.inference.checkpoint.config import ModelConfig
from paddock.inference.checkpoint.open import open_checkpoint
from paddock.inference.engine.engine import Engine
from paddock.inference.engine.request import Request
from paddock.inference.runtimes.load import load_runtime

SHAPE = ModelConfig(2048, 1024, 2, 8, 8, 2816, 128, max_seq_len=4096)
PROMPT = 16


@dataclass
class Way:
    """One way of computing, the process that does, and its samples: (processor, wall) seconds."""

    name: str
    runtime: Any
    process: psutil.Process
    samples: list[tuple[float, float]] = field(default_factory=list)
    tokens: list[int] = field(default_factory=list)

    def turn(self, prompt: list[int], new_tokens: int, keep: bool) -> None:
        """One answer; the first token, which is the prompt's, is not a sample."""
        request = Request(prompt, max_new_tokens=new_tokens)
        last: tuple[float, float] | None = None
        self.tokens = []
        for event in Engine(self.runtime).stream([request]):
            assert event.token is not None
            self.tokens.append(event.token)
            used = self.process.cpu_times()
            now = used.user + used.system, time.perf_counter()
            if last is not None and keep:
                self.samples.append((now[0] - last[0], now[1] - last[1]))
            last = now

    def median(self, which: int) -> float:
        """Seconds per token."""
        return statistics.median(sample[which] for sample in self.samples)


def ways(model: Path, asked: argparse.Namespace, stack: ExitStack) -> list[Way]:
    """Ours, and MindFormers' with and without cache at each length, then slower modes."""
    wishes: dict[str, dict[str, Any]] = {"native": {"runtime": "native"}}
    lengths = asked.seq_length or [512, 4096]
    for length in lengths:
        for past in (True, False):
            wishes[f"MindFormers, seq_length {length}, use_past {past}"] = {
                "max_seq_len": length,
                "use_past": past,
            }
    short = {"max_seq_len": lengths[0], "use_past": True}
    name = f"MindFormers, seq_length {lengths[0]}, use_past True"
    if not asked.only_lengths:
        wishes[f"{name}, pynative"] = short | {"mode": "pynative"}
        wishes[f"{name}, float16"] = short | {"dtype": "fp16"}
    found = []
    for name, wish in wishes.items():
        options = {"runtime": "mindspore", "python": asked.python, "dtype": "fp32"} | wish
        if options["runtime"] == "native":
            options = {
                "runtime": "native",
                "dtype": "fp32",
                "max_seq_len": PROMPT + asked.new_tokens,
            }
        kind = options.pop("runtime")
        runtime: Any = load_runtime(
            open_checkpoint(model),
            kind,
            device="cpu",
            max_batch=1,
            threads=asked.threads,
            **options,
        )
        stack.callback(runtime.close)
        process = psutil.Process() if kind == "native" else psutil.Process(runtime._channel.pid)
        found.append(Way(name, runtime, process))
        print(f"opened {name}", file=sys.stderr)
    return found


def main(arguments: list[str]) -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(usage=(__doc__ or "").split("\n\n")[1])
    parser.add_argument("out", type=Path)
    parser.add_argument("--python", type=Path, required=True)
    parser.add_argument("--seq-length", type=int, action="append")
    parser.add_argument("--new-tokens", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--only-lengths", action="store_true")
    asked = parser.parse_args(arguments)
    model = asked.out / "model"
    if not model.exists():
        random_model.LIKE["probe"] = SHAPE
        random_model.make_random(model, like="probe", quant=None)
    (prompt,) = Workload(SHAPE.vocab_size, prompt_tokens=PROMPT).prompts()
    with ExitStack() as stack:
        taking_part = ways(model, asked, stack)
        for number in range(asked.rounds + 1):  # the first compiles
            for way in taking_part:
                way.turn(prompt, asked.new_tokens, keep=number > 0)
            print(f"{number} of {asked.rounds} rounds", file=sys.stderr)
    base = taking_part[1]
    for way in taking_part:
        cpu, wall = way.median(0), way.median(1)
        alike = "same tokens" if way.tokens == base.tokens else f"OTHER TOKENS {way.tokens}"
        print(f"{way.name}: {cpu:.4f} s of processor, {wall:.4f} s by the clock, per token;"
              f" {cpu / base.median(0):.3g} x; {alike}")  # fmt: skip
    result = {way.name: way.samples for way in taking_part}
    (asked.out / "result.json").write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
