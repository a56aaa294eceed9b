#!/usr/bin/env python3
"""Measures what loading costs a rank: its seconds and its memory, next to a single rank's.

    scripts/bench_ranks.py OUT [--like SHAPE] [--layers N] [--tp N] [--pp M] [--rounds N]
                           [--threads N]

Makes a random model (4 layers of Llama 2 7B in bf16: 2.1 GB) below OUT, reads it once so that the
page cache is warm, and lets one rank and N x M ranks load it in turn, all ranks of a turn at once,
as `paddock serve --tp N` does. A single rank goes the same way as several: through the agent that
starts them, in a process of its own. Writes OUT/ranks.json, which `paddock bench show` reads, and
prints it. A figure is that of the rank of a turn which took the most. Processor seconds are those
of all threads of a rank: where other programs take the cores, they say more than the clock.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from paddock.bench import facts, report, result
from paddock.bench.load import read_through, resident_share
from paddock.bench.result import Figure, Ratio, Result, Run
from paddock.bench.summary import Summary, ratios
from paddock.inference.checkpoint.open import open_checkpoint
from paddock.inference.checkpoint.parts import Split
from paddock.inference.checkpoint.random_model import make_random
from paddock.inference.runtimes.ranks.group import GroupRuntime
from paddock.inference.runtimes.ranks.launch import ElasticLauncher, Group, orders
from paddock.inference.runtimes.ranks.nodes import Nodes
from paddock.inference.runtimes.ranks.wire import Ready

FIGURES: dict[str, tuple[str, Callable[[Ready], float]]] = {
    "load": ("s", lambda rank: rank.load_s),
    "load_cpu": ("s", lambda rank: rank.load_cpu_s),
    "weights": ("bytes", lambda rank: rank.weight_bytes),
    # Of the process, less what it had before: libraries, which are the same for every rank.
    "peak": ("bytes", lambda rank: rank.peak_bytes - rank.before_bytes),
}
"""Each figure's unit, and how a rank's report tells it."""


def turn(model: Path, split: Split, threads: int) -> list[Ready]:
    """What each rank said when it had loaded its part, in the model's own type."""
    checkpoint = open_checkpoint(model)
    launcher = ElasticLauncher(orders(Group(split, Nodes()), str(model), "cpu"))
    options = {"dtype": checkpoint.config().dtype, "threads": threads, "max_seq_len": 128,
               "max_batch": 1}  # fmt: skip
    runtime = GroupRuntime(split, launcher, options, checkpoint.config())
    try:
        return list(runtime.reports.values())
    finally:
        runtime.close()


def measure(model: Path, splits: Sequence[Split], rounds: int, threads: int) -> Result:
    """Turns of each of ``splits`` after a warm-up; ratios are to the first, round by round."""
    host = facts.host()
    files = sorted(model.glob("*.safetensors"))
    taken: dict[Split, list[list[Ready]]] = {split: [] for split in splits}
    cached: dict[Split, list[float]] = {split: [] for split in splits}
    for number in range(rounds + 1):
        for split in splits:
            for file in files:
                read_through(file)
            share = resident_share(files)
            reports = turn(model, split, threads)
            if number:  # the first warms up
                taken[split].append(reports)
                cached[split].append(share)
        print(f"{number} of {rounds} rounds", file=sys.stderr, flush=True)
    runs = [_run(split, taken[split], cached[split], threads) for split in splits]
    found = []
    for run in runs[1:]:
        for name in FIGURES:
            samples = [one.figures[name].values.samples for one in (run, runs[0])]
            found.append(Ratio(name, run.runtime, runs[0].runtime, ratios(*samples)))
    config = open_checkpoint(model).config()
    about = {"name": model.name, "quant": None, "n_params": config.n_params(),
             "config": config.to_dict()}  # fmt: skip
    return result.new("load", runs, host=host, model=about, ratios=found)


def _run(
    split: Split, turns: Sequence[Sequence[Ready]], cached: Sequence[float], threads: int
) -> Run:
    figures = {
        name: Figure(unit, Summary.of(max(map(of, reports)) for reports in turns))
        for name, (unit, of) in FIGURES.items()
    }
    figures["page_cache"] = Figure("share", Summary.of(cached))
    options = {"tp": split.tp, "pp": split.pp, "threads": threads, "runtime": "GroupRuntime"}
    name = f"tp {split.tp}, pp {split.pp}"
    return Run(name, version=facts.packages()["paddock"], options=options, figures=figures)


def main(arguments: list[str]) -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(usage=(__doc__ or "").split("\n\n")[1])
    parser.add_argument("out", type=Path)
    parser.add_argument("--like", default="llama2-7b")
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--tp", type=int, default=2)
    parser.add_argument("--pp", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    asked = parser.parse_args(arguments)
    model = asked.out / f"{asked.like}-{asked.layers}-bf16"
    if not model.exists():
        print(f"making {model.name}", file=sys.stderr, flush=True)
        make_random(model, like=asked.like, quant=None, layers=asked.layers)
    found = measure(model, (Split(), Split(asked.tp, asked.pp)), asked.rounds, asked.threads)
    result.save(found, asked.out / "ranks.json")
    print(report.markdown(found))


if __name__ == "__main__":
    main(sys.argv[1:])
