"""Everything that decides what the training makes, besides the code and the processor."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Plan:
    """The numbers of one run; sizes in tokens, rates per step."""

    seed: int
    steps: int
    flat: int
    batch_tokens: int
    row: int
    long_row: int
    long_steps: int
    long_every: int
    part_tokens: int
    warmup: int
    matrix_rate: float
    embedding_rate: float
    head_rate: float
    norm_rate: float
    vocab_size: int
    hidden_size: int
    layers: int
    intermediate_size: int
    heads: int
    kv_heads: int
    tokenizer_documents: int
    heldout_documents: int

    @property
    def head_dim(self) -> int:
        """Width of one attention head."""
        return self.hidden_size // self.heads


FULL = Plan(
    seed=1,
    steps=2400,
    flat=500,
    batch_tokens=2048,
    row=256,
    long_row=1024,
    long_steps=600,
    long_every=4,
    part_tokens=2048,
    warmup=30,
    matrix_rate=0.02,
    embedding_rate=0.02,
    head_rate=0.004,
    norm_rate=0.004,
    vocab_size=2048,
    hidden_size=256,
    layers=4,
    intermediate_size=512,
    heads=4,
    kv_heads=2,
    tokenizer_documents=9000,
    heldout_documents=600,
)
QUICK = Plan(
    seed=1,
    steps=6,
    flat=4,
    batch_tokens=512,
    row=128,
    long_row=256,
    long_steps=2,
    long_every=2,
    part_tokens=512,
    warmup=2,
    matrix_rate=0.02,
    embedding_rate=0.02,
    head_rate=0.004,
    norm_rate=0.004,
    vocab_size=1024,
    hidden_size=64,
    layers=2,
    intermediate_size=128,
    heads=2,
    kv_heads=1,
    tokenizer_documents=300,
    heldout_documents=20,
)


def rate(plan: Plan, step: int) -> float:
    """The share of the learning rates at a step: warm-up, a flat part, a cosine over the rest.

    The flat part does not depend on the number of steps, so a run interrupted in it may be given a
    new number of steps and still equals a run that had this number from the start.
    """
    if step < plan.warmup:
        return (step + 1) / plan.warmup
    part = max(0.0, (step - plan.flat) / (plan.steps - plan.flat))
    return 0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * part))


def row_length(plan: Plan, step: int) -> int:
    """Short rows, because they are quick; at the end also long ones, for the later positions."""
    at_end = step >= plan.steps - plan.long_steps
    return plan.long_row if at_end and step % plan.long_every == 0 else plan.row
