"""Puts casts, openings, plots and endings together to whole stories."""

from __future__ import annotations

import random

from . import life, plots
from . import words as w
from .cast import ADDITIONS, OPENINGS, make_cast
from .grammar import Context, expand, pick

ENDINGS = [
    "",
    "",
    "",
    "The end.",
    "And so the {part} ended well.",
    "That night, {N} slept well and dreamed of {place_b}.",
    "{N} went home with a smile.",
    "[And {N}? {he} was {good}.|{N} was {good}.]",
    "{N} [never forgot|often thought of] that day.",
    "When {N} told {H} about it, {hhe} [smiled|laughed|was proud of {him}].",
]


def assemble(rng: random.Random, ctx: Context, steps: list[str]) -> str:
    """Turn steps into a text: ``?`` marks optional steps and ``!`` names a moral."""
    parts: list[str] = []
    for step in steps:
        if step.startswith("?"):
            if rng.random() < 0.5:
                continue
            step = step[1:]
        if step.startswith("!"):
            if rng.random() < 0.6:
                parts.append(pick(rng, w.MORALS[step[1:]]))
            continue
        if step:
            parts.append(step)
    text = " ".join(parts).replace(" \n\n", "\n\n")
    if rng.random() < 0.45:
        text = text.replace("\n\n", " ")
    return expand(rng, text, ctx)


def story(
    rng: random.Random,
    kind: str | None = None,
    name: str | None = None,
    she: bool | None = None,
) -> str:
    """One story of six to twenty sentences; the options choose the main figure."""
    ctx = make_cast(rng, kind, name, she)
    plot = rng.choice(plots.ALL)(rng, ctx)
    steps = [pick(rng, OPENINGS)]
    for _ in range(rng.randrange(3)):
        extra = pick(rng, ADDITIONS)
        if extra not in steps:
            if "{F}" in extra and plot[0].startswith("[{N} had no friends"):
                continue
            steps.append(extra)
    return assemble(rng, ctx, steps + plot + [pick(rng, ENDINGS)])


def narrative(rng: random.Random) -> str:
    """A story or one of the shorter kinds of narrative text."""
    if rng.random() < 0.62:
        return story(rng)
    ctx = make_cast(rng)
    return assemble(rng, ctx, rng.choice(life.ALL)(rng, ctx))
