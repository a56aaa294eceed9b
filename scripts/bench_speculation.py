#!/usr/bin/env python3
"""Measures what guessing gains or loses: the same answers with and without it, in turn.

    scripts/bench_speculation.py [MODEL] [--draft MODEL]... [--prompt TEXT]... [--new-tokens N]
                                 [--rounds N] [--threads N]

MODEL is the built-in one if not given. Each round answers every prompt greedily without guesses,
then with ``lookup``, then with each draft model. Prints, for each prompt, the speed (tokens/s after
the first token, median of the rounds), its ratio to the speed without guesses (taken round by
round), and how many of the guesses were right. Fails if an answer differs from the plain one.
"""

from __future__ import annotations

import argparse
import os
import sys

from paddock.bench.summary import Summary
from paddock.inference.checkpoint.store import builtin
from paddock.inference.llm import LLM, GenerationParams

PROMPTS = (
    "To be or not to be. To be or",
    "The sun rises in the east. The sun sets in the west. The sun",
    "I love Beijing, because",
    "Once upon a time",
)
"""Two that repeat themselves, two that do not."""


def row(prompt: str, name: str, speeds: list[float], plain: list[float], counts: list[int]) -> str:
    """One line of the table; ``counts`` are guesses made and guesses that were right."""
    ratio = Summary.of([a / b for a, b in zip(speeds, plain, strict=True)])
    right = f"{counts[1] / counts[0]:.0%} of {counts[0]}" if counts[0] else "no guesses"
    return (
        f"| {prompt[:40]} | {name} | {Summary.of(speeds).median:.1f} | "
        f"{ratio.median:.2f} ({ratio.min:.2f} to {ratio.max:.2f}) | {right} |"
    )


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", nargs="?", default=str(builtin()))
    parser.add_argument("--draft", action="append", default=[])
    parser.add_argument("--prompt", action="append")
    parser.add_argument("--new-tokens", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    args = parser.parse_args()
    ways: dict[str, str | None] = {"plain": None, "lookup": "lookup"}
    ways |= {f"draft {draft}": draft for draft in args.draft}
    llms = {
        name: LLM.open(
            args.model, threads=args.threads, max_seq_len=512, max_batch=1, speculate=guess
        )
        for name, guess in ways.items()
    }
    params = GenerationParams(max_new_tokens=args.new_tokens, ignore_eos=True)
    print("| prompt | guesses | tokens/s | to plain | right |\n|---|---|---|---|---|")
    for prompt in args.prompt or PROMPTS:
        speeds: dict[str, list[float]] = {name: [] for name in llms}
        counts = {name: [0, 0] for name in llms}
        for _ in range(args.rounds + 1):
            answers = {name: llm.generate([prompt], params)[0] for name, llm in llms.items()}
            for name, answer in answers.items():
                if answer.tokens != answers["plain"].tokens:
                    print(f"{name} changed the answer to {prompt!r}", file=sys.stderr)
                    return 1
                assert answer.decode_tokens_per_s is not None and answer.usage is not None
                speeds[name].append(answer.decode_tokens_per_s)
                counts[name] = [answer.usage.drafted, answer.usage.accepted]
        warm = {name: values[1:] for name, values in speeds.items()}
        for name, values in warm.items():
            print(row(prompt, name, values, warm["plain"], counts[name]), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
