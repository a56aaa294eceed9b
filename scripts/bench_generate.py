"""Decode speed of Paddock and of transformers' generate, in turns on the same weights and threads.

python scripts/bench_generate.py [MODEL] [--threads N] [--rounds N] [--tokens N] [--prompt N]

MODEL is a Hugging Face folder (default: the built-in model). Batch 1, greedy, tokens per second
after the first token. Other load on the machine hits all of them alike: read the ratios, which are
medians of the rounds' own ratios.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM
from transformers.generation.streamers import BaseStreamer

from paddock.inference.checkpoint.open import open_checkpoint
from paddock.inference.engine.engine import Engine
from paddock.inference.engine.request import Request
from paddock.inference.runtimes.load import load_runtime
from paddock.inference.runtimes.native import library

BUILT_IN = Path(__file__).parents[1] / "src" / "paddock" / "assets" / "demo"
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


class Clock(BaseStreamer):
    """Notes when each token comes; the first call brings the prompt."""

    def __init__(self) -> None:
        self.times: list[float] = []

    def put(self, value: torch.Tensor) -> None:
        self.times.append(time.perf_counter())

    def end(self) -> None:
        pass


def ours(
    folder: Path, prompt: list[int], n: int, runtime: str, **options: object
) -> Callable[[], float]:
    loaded = load_runtime(open_checkpoint(folder), runtime, device="cpu", **options)
    engine = Engine(loaded)

    def run() -> float:
        request = Request(prompt, max_new_tokens=n)
        times = [time.perf_counter() for _ in engine.stream([request])]
        return (len(times) - 1) / (times[-1] - times[0])

    return run


def theirs(folder: Path, prompt: list[int], n: int, dtype: str) -> Callable[[], float]:
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=DTYPES[dtype]).eval()
    model.generation_config.max_length = None  # else every call warns that max_new_tokens wins
    ids = torch.tensor([prompt])

    def run() -> float:
        clock = Clock()
        model.generate(
            ids,
            attention_mask=torch.ones_like(ids),
            max_new_tokens=n,
            min_new_tokens=n,
            do_sample=False,
            eos_token_id=None,
            pad_token_id=0,
            streamer=clock,
        )
        times = clock.times[1:]
        return (len(times) - 1) / (times[-1] - times[0])

    return run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("model", nargs="?", type=Path, default=BUILT_IN)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--tokens", type=int, default=128)
    parser.add_argument("--prompt", type=int, default=16, help="prompt tokens")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    config = open_checkpoint(args.model).config()
    generator = torch.Generator().manual_seed(0)
    low = min(3, config.vocab_size - 1)
    shape = (args.prompt - 1,)
    prompt = [config.bos_id, *torch.randint(low, config.vocab_size, shape, generator=generator)]
    prompt = [int(token) for token in prompt]
    given = (args.model, prompt, args.tokens)
    runs: dict[str, Callable[[], float]] = {}
    if (reason := library.unavailable()) is None:
        for quant in (None, "int8", "int4"):
            runs[f"paddock {quant or config.dtype}"] = ours(
                *given, runtime="native", quant=quant, threads=args.threads
            )
    else:
        print(f"the native runtime is off: {reason}")
    runs["paddock torch"] = ours(*given, runtime="torch", dtype="fp32")
    for dtype in dict.fromkeys(("fp32", config.dtype)):
        runs[f"transformers {dtype}"] = theirs(*given, dtype)
    for run in runs.values():
        run()
    speeds: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(args.rounds):
        for name, run in runs.items():
            speeds[name].append(run())
    print(
        f"{args.model}: {config.n_params() / 1e6:.1f} M parameters, {args.threads} threads,"
        f" {args.tokens} tokens after a prompt of {args.prompt}, {args.rounds} rounds, tokens/s"
    )
    for name, values in speeds.items():
        print(
            f"{name:18} median {statistics.median(values):8.1f}"
            f"   from {min(values):8.1f} to {max(values):8.1f}"
        )
    for mine in (name for name in speeds if name.startswith("paddock")):
        for other in (name for name in speeds if name.startswith("transformers")):
            ratios = [a / b for a, b in zip(speeds[mine], speeds[other], strict=True)]
            print(
                f"{mine} / {other}: median {statistics.median(ratios):.2f}"
                f"   from {min(ratios):.2f} to {max(ratios):.2f}"
            )


if __name__ == "__main__":
    main()
