"""The learning loop, which can be interrupted and taken up again."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch

from .muon import Muon
from .network import Network
from .plan import Plan, rate, row_length
from .rows import Rows
from .start import fresh

Say = Callable[[str], None]
REPORT_EVERY = 25


def arithmetic() -> torch.dtype:
    """bf16 where the processor multiplies it, otherwise fp32; the weights are fp32 in any case."""
    # torch has no public name for this question.
    has_bf16 = getattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)()
    return torch.bfloat16 if has_bf16 else torch.float32


class Trainer:
    """Network, optimizers, text and loss curve of one run."""

    def __init__(self, plan: Plan, processor: Any) -> None:
        self.plan = plan
        self.dtype = arithmetic()
        self.network: Network = fresh(plan, self.dtype)
        self.rows = Rows(plan.seed, processor)
        self.step, self.seconds = 0, 0.0
        self.curve: list[dict[str, float]] = []
        layers = self.network.model.layers
        norms = [p for p in self.network.parameters() if p.dim() == 1]
        groups = [
            {"params": [self.network.model.embed_tokens.weight], "lr": plan.embedding_rate},
            {"params": [self.network.lm_head.weight], "lr": plan.head_rate},
            {"params": norms, "lr": plan.norm_rate},
        ]
        adam = torch.optim.AdamW(groups, betas=(0.9, 0.98), eps=1e-10, weight_decay=0, fused=True)
        matrices = [p for p in layers.parameters() if p.dim() == 2]
        muon = Muon(matrices, plan.matrix_rate, 0.95, self.dtype)
        self.optimizers: list[torch.optim.Optimizer] = [adam, muon]
        self.rates = [[g["lr"] for g in o.param_groups] for o in self.optimizers]

    def learn(self) -> float:
        """One step; returns the mean loss of its tokens."""
        plan = self.plan
        length = row_length(plan, self.step)
        blocks = torch.tensor(self.rows.take(plan.batch_tokens // length, length))
        count = int((blocks[:, 1:] != 0).sum())
        total = 0.0
        for part in blocks.split(max(1, plan.part_tokens // length)):
            loss = self.network.loss(part) / count
            loss.backward()
            total += loss.item()
        share = rate(plan, self.step)
        for optimizer, rates in zip(self.optimizers, self.rates, strict=True):
            for group, full in zip(optimizer.param_groups, rates, strict=True):
                group["lr"] = full * share
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        self.step += 1
        return total

    def save(self, file: Path) -> None:
        """Write the whole state of the run; an interrupted write leaves the old file."""
        part = file.with_suffix(".part")
        torch.save(
            {
                "plan": asdict(self.plan),
                "network": self.network.state_dict(),
                "optimizers": [o.state_dict() for o in self.optimizers],
                "rows": self.rows.state(),
                "step": self.step,
                "seconds": self.seconds,
                "curve": self.curve,
            },
            part,
        )
        part.replace(file)

    def restore(self, file: Path) -> None:
        """Go on from a file that ``save`` wrote.

        The number of steps may have changed since then, if the rates had not begun to fall.
        """
        state = torch.load(file, weights_only=True)
        before = Plan(**state["plan"])
        now = self.plan
        same = replace(before, steps=now.steps, flat=now.flat, long_steps=now.long_steps)
        if same != now:
            raise ValueError(f"{file} belongs to another plan: {before}")
        flat = min(before.flat, now.flat)
        if before != now and state["step"] > flat:
            raise ValueError(f"{file} is past step {flat}: the steps cannot change any more")
        self.network.load_state_dict(state["network"])
        for optimizer, saved in zip(self.optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(saved)
        self.rows.restore(state["rows"])
        self.step, self.seconds, self.curve = state["step"], state["seconds"], state["curve"]

    def facts(self) -> dict[str, Any]:
        """What the training log says about the run."""
        return {
            "seconds": round(self.seconds),
            "arithmetic": str(self.dtype).removeprefix("torch."),
            "tokens": self.rows.tokens,
            "documents": self.rows.documents,
            "text_bytes": self.rows.text_bytes,
            "corpus_sha256": self.rows.digest.hexdigest(),
            "loss_curve": self.curve,
        }


def train(
    trainer: Trainer,
    say: Say,
    checkpoint: Callable[[Network, int], None],
    every: int,
    state_file: Path | None,
) -> None:
    """Learn to the end; ``checkpoint`` is called with the network every ``every`` steps."""
    plan = trainer.plan
    if state_file is not None and state_file.exists():
        trainer.restore(state_file)
        say(f"going on after step {trainer.step}")
    begin = time.monotonic() - trainer.seconds
    recent: list[float] = []
    while trainer.step < plan.steps:
        recent.append(trainer.learn())
        step, last = trainer.step, trainer.step == plan.steps
        trainer.seconds = time.monotonic() - begin
        if step % REPORT_EVERY == 0 or last:
            mean = sum(recent) / len(recent)
            recent.clear()
            trainer.curve.append({"step": step, "loss": round(mean, 4)})
            speed = step * plan.batch_tokens / trainer.seconds
            say(
                f"step {step}/{plan.steps} loss {mean:.4f} {speed:.0f} tokens/s "
                f"{trainer.seconds:.0f} s"
            )
        if step % every == 0 and not last:
            checkpoint(trainer.network, step)
            if state_file is not None:
                trainer.save(state_file)
