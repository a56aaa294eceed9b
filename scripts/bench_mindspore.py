#!/usr/bin/env python3
"""Measures why a MindFormers program makes 1.3 or 10 tokens a second: use_past and seq_length.

    scripts/bench_mindspore.py OUT --python PATH [--seq-length N]... [--new-tokens N] [--repeats N]

Makes a random model whose products of matrices have Llama-2-7B's proportions (heads of 128, one
sixteenth of the work in each position), opens it once natively and in MindFormers with and without
use_past for each seq_length, and lets them take turns, so that a busy machine slows all of them.
Prints each one's tokens per second and the ratio to the quickest MindFormers; saves the result as
OUT/result.json. PATH is a Python that has MindSpore and MindFormers.
"""

from __future__ import annotations

import argparse
import sys
from contextlib import ExitStack
from pathlib import Path

from paddock.bench import ceilings, facts, result, rounds
from paddock.bench.offline import Local
from paddock.bench.result import Run
from paddock.bench.rounds import Contestant
from paddock.bench.workload import Workload
from paddock.inference.checkpoint import random_model
from paddock.inference.checkpoint.config import ModelConfig

SHAPE = ModelConfig(2048, 1024, 2, 8, 8, 2816, 128, max_seq_len=4096)
PROMPT = 16


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("out", type=Path)
    parser.add_argument("--python", type=Path, required=True)
    parser.add_argument("--seq-length", type=int, action="append")
    parser.add_argument("--new-tokens", type=int, default=4)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    asked = parser.parse_args(arguments)
    lengths = asked.seq_length or [512, 4096]
    model = asked.out / "model"
    if not model.exists():
        random_model.LIKE["probe"] = SHAPE
        random_model.make_random(model, like="probe", quant=None)
    workload = Workload(
        SHAPE.vocab_size, prompt_tokens=PROMPT, new_tokens=asked.new_tokens, repeats=asked.repeats
    )
    wishes: dict[str, dict[str, object]] = {"paddock, native": {"runtime": "native"}}
    for length in lengths:
        for past in (True, False):
            name = f"MindFormers, seq_length {length}, use_past {past}"
            wishes[name] = {
                "runtime": "mindspore",
                "python": asked.python,
                "max_seq_len": length,
                "use_past": past,
            }
    with ExitStack() as stack:
        contestants = []
        for name, wish in wishes.items():
            room = PROMPT + asked.new_tokens
            local = Local.open(
                model, threads=asked.threads, length=room, batch=1, dtype="fp32", **wish
            )
            stack.callback(local.close)
            run = Run(name, options={key: str(value) for key, value in wish.items()})
            contestants.append(Contestant(name, local, workload, local.storage, run))
            print(f"opened {name}", file=sys.stderr)
        test = stack.enter_context(ExitStack())
        ceiling = ceilings.open_ceilings(asked.threads)
        test.callback(ceiling.close)
        runs, measured = rounds.measure(
            contestants,
            contestants[0].engine.config,
            ceiling,
            asked.repeats,
            lambda done, total: print(f"{done} of {total} turns", file=sys.stderr),
        )
    best = f"MindFormers, seq_length {min(lengths)}, use_past True"
    names = [run.runtime for run in runs]
    ratios = rounds.compare(runs, [(name, best) for name in names if name != best])
    found = result.new(
        "decode",
        runs,
        host=facts.host(),
        model={"name": "random", "config": SHAPE.to_dict()},
        ceilings=measured,
        ratios=ratios,
    )
    result.save(found, asked.out / "result.json")
    for run in runs:
        figure = run.figures["decode"].values if run.state == "ok" else None
        alike = run.warm_up.get("tokens_like_first") if run.warm_up else None
        print(f"{run.runtime}: {figure or run.note} tokens/s; {alike} tokens as the first chose")
    for ratio in ratios:
        print(f"{ratio.figure}: {ratio.ours} / {ratio.theirs}: {ratio.values}")


if __name__ == "__main__":
    main(sys.argv[1:])
