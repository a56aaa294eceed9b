#!/usr/bin/env python3
"""Trains the demo model of the package from nothing but a seed, so that anyone can repeat it."""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

# Must be set before torch starts its threads; spinning threads are slow on a shared machine.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

from demo_corpus import documents
from demo_training.plan import FULL, QUICK, Plan

STEPS_PER_MINUTE = 140


def parse(argv: list[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        epilog="The result depends on the seed, the number of steps and the processor's arithmetic "
        "(bf16 where it has it), not on the time.",
    )
    parser.add_argument("--out", type=Path, required=True, help="folder for the finished model")
    parser.add_argument("--seed", type=int, default=FULL.seed, help="of corpus and weights")
    parser.add_argument("--steps", type=int, help=f"learning steps (default {FULL.steps})")
    parser.add_argument(
        "--minutes",
        type=float,
        help="choose the steps so that one quiet core with bf16 needs about this long "
        f"({STEPS_PER_MINUTE} steps a minute); the result depends on the steps alone",
    )
    parser.add_argument("--threads", type=int, default=1, help="of torch (1)")
    parser.add_argument("--quick", action="store_true", help="a tiny model in seconds, for tests")
    parser.add_argument(
        "--checkpoint",
        type=Path,
        help="also keep the newest unfinished model in this folder, complete with its tokenizer",
    )
    parser.add_argument(
        "--state",
        type=Path,
        help="file that keeps the state of the run; if it exists, the run goes on from it",
    )
    parser.add_argument("--checkpoint-every", type=int, default=100, help="in steps (100)")
    args = parser.parse_args(argv)
    if args.steps is not None and args.minutes is not None:
        parser.error("give --steps or --minutes, not both")
    if args.steps is not None and args.steps < 2:
        parser.error("--steps must be at least 2")
    if args.minutes is not None and args.minutes <= 0:
        parser.error("--minutes must be more than 0")
    if args.checkpoint_every < 1 or args.threads < 1:
        parser.error("--checkpoint-every and --threads must be at least 1")
    if args.out.exists() and not args.out.is_dir():
        parser.error(f"--out {args.out} is a file, but a folder is needed")
    return args


def make_plan(args: argparse.Namespace) -> Plan:
    """The plan that the options ask for."""
    base = QUICK if args.quick else FULL
    steps = args.steps or base.steps
    if args.minutes is not None:
        steps = max(2, round(args.minutes * STEPS_PER_MINUTE))
    warmup = min(base.warmup, max(1, steps // 4))
    return replace(
        base,
        seed=args.seed,
        steps=steps,
        warmup=warmup,
        flat=min(base.flat, steps // 2),
        long_steps=max(1, steps // 4),
    )


def make(args: argparse.Namespace, plan: Plan, say: Callable[[str], None]) -> None:
    """Train, measure and write everything into ``args.out``."""
    from demo_training import card, evaluation, files, loop, tokenizer

    out: Path = args.out
    out.mkdir(parents=True, exist_ok=True)
    say(f"Tokenizer: {plan.tokenizer_documents} documents, {plan.vocab_size} pieces")
    stream = documents(plan.seed)
    processor, proto = tokenizer.train_tokenizer(
        [next(stream) for _ in range(plan.tokenizer_documents)], plan.vocab_size
    )
    tokenizer.save_tokenizer(proto, out, plan.long_row)
    checked = tokenizer.check_equal(
        processor, out, documents(f"check-{plan.seed}"), 200 if args.quick else 4000
    )
    say(f"Tokenizer: both forms agree on {checked} lines")

    def checkpoint(network: Any, step: int) -> None:
        if args.checkpoint is None:
            return
        folder = Path(args.checkpoint)
        with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
            part = Path(scratch) / "part"
            files.save_weights(network, plan, part)
            tokenizer.save_tokenizer(proto, part, plan.long_row)
            folder.mkdir(parents=True, exist_ok=True)
            for file in part.iterdir():
                file.replace(folder / file.name)
        say(f"checkpoint of step {step} in {folder}")

    trainer = loop.Trainer(plan, processor)
    loop.train(trainer, say, checkpoint, args.checkpoint_every, args.state)
    files.save_weights(trainer.network, plan, out)
    facts = trainer.facts()
    del trainer
    model = evaluation.reload(out)
    say("Held-out perplexity ...")
    docs = evaluation.heldout(plan.seed, plan.heldout_documents, facts["documents"])
    log = {
        "plan": asdict(plan),
        "parameters": sum(p.numel() for p in model.parameters()),
        **facts,
        "tokenizer_lines_checked": checked,
        "heldout": evaluation.evaluate(model, processor, docs, plan.long_row),
        "repeating": evaluation.repeating(model, processor, docs, plan.long_row),
        "versions": evaluation.versions(),
        "samples": evaluation.samples(model, processor, plan.seed),
    }
    files.write_json(out / "training_log.json", log)
    (out / "README.md").write_text(card.model_card(log, quick=args.quick), encoding="utf-8")
    say(json.dumps(log["heldout"]["all"]))
    say(f"Finished: {out}")


def main(argv: list[str] | None = None) -> int:
    """Run everything; returns the exit status."""
    args = parse(argv)
    os.environ.setdefault("OMP_NUM_THREADS", str(args.threads))
    try:
        import sentencepiece  # noqa: F401
        import tokenizers  # noqa: F401
        import torch
        import transformers  # noqa: F401
    except ImportError as error:
        print(f"This needs torch, transformers and sentencepiece: {error}", file=sys.stderr)
        return 1
    torch.set_num_threads(args.threads)
    torch.set_flush_denormal(True)
    make(args, make_plan(args), lambda text: print(text, flush=True))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
