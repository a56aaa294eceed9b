"""Questions about what was just said, because a model has to learn to look back into the text."""

from __future__ import annotations

import random

from . import words as w
from .cast import child_name, pet_name
from .grammar import expand, join_list, pick, tidy, with_article

Turn = tuple[str, str]

REPEAT_ASKS = [
    "Repeat: {t}",
    "Please repeat: {t}",
    "Say this again: {t}",
    "Repeat after me: {t}",
    "repeat these words: {t}",
    "Write this once more: {t}",
]


def _names(rng: random.Random, count: int) -> list[str]:
    names: list[str] = []
    while len(names) < count:
        make = child_name if rng.random() < 0.5 else pet_name
        name = make(rng, rng.random() < 0.5)
        if name not in names:
            names.append(name)
    return names


def repeat(rng: random.Random) -> Turn:
    """Words without any order, which cannot be guessed and so must be copied."""
    animals = [a[0] for a in w.ANIMALS]
    pool = [*w.THINGS, *w.TOYS, *w.SNACKS, *w.COLOURS, *animals, *_names(rng, 30)]
    text = pick(rng, [" ", " ", ", "]).join(rng.sample(pool, rng.randrange(3, 11)))
    return pick(rng, REPEAT_ASKS).format(t=text), text


def owners(rng: random.Random) -> tuple[str, list[Turn]]:
    """Who has what; the facts as a text, and all questions about them."""
    names = _names(rng, rng.randrange(2, 5))
    things = rng.sample(sorted({*w.THINGS, *w.TOYS}), len(names))
    colours = rng.sample(w.COLOURS, len(names))
    facts, turns = [], []
    for name, thing, colour in zip(names, things, colours, strict=True):
        facts.append(f"{name} has {with_article(f'{colour} {thing}')}.")
        turns += [
            (f"Who has the {thing}?", f"{name} has the {thing}."),
            (f"What does {name} have?", f"{name} has {with_article(f'{colour} {thing}')}."),
            (f"What colour is the {thing} of {name}?", f"The {thing} of {name} is {colour}."),
        ]
    rng.shuffle(turns)
    return " ".join(facts), turns


def places(rng: random.Random) -> tuple[str, list[Turn]]:
    """Who is where."""
    names = _names(rng, rng.randrange(2, 5))
    where = [f"{prep} {place}" for place, prep in rng.sample(w.PLACES, len(names))]
    facts = [f"{name} is {place}." for name, place in zip(names, where, strict=True)]
    turns = []
    for name, place in zip(names, where, strict=True):
        turns += [
            (f"Where is {name}?", f"{name} is {place}."),
            (f"Who is {place}?", f"{name} is {place}."),
        ]
    rng.shuffle(turns)
    return " ".join(facts), turns


def family(rng: random.Random) -> tuple[str, list[Turn]]:
    """Who is what: an animal and its name, friends, what they like."""
    names = _names(rng, rng.randrange(2, 4))
    kinds = rng.sample([a[0] for a in w.ANIMALS], len(names))
    foods = rng.sample(w.FOODS, len(names))
    facts, turns = [], []
    for name, kind, food in zip(names, kinds, foods, strict=True):
        facts.append(f"{name} is {with_article(kind)} and likes {food}.")
        turns += [
            (f"What is the name of the {kind}?", f"The name of the {kind} is {name}."),
            (f"Who likes {food}?", f"{name} likes {food}."),
            (f"What does {name} like?", f"{name} likes {food}."),
            (f"What is {name}?", tidy(f"{name} is a {kind}.")),
        ]
    rng.shuffle(turns)
    turns.insert(
        rng.randrange(len(turns)), ("Which names did you read?", f"I read {join_list(names)}.")
    )
    return " ".join(facts), turns


def turns(rng: random.Random) -> list[Turn]:
    """A chat of one to four turns about something that its first turn says."""
    if rng.random() < 0.5:
        return [repeat(rng) for _ in range(rng.choice([1, 1, 2, 3]))]
    text, asked = rng.choice([owners, places, family])(rng)
    first, *others = asked[: rng.choice([1, 2, 3, 4])]
    start = pick(rng, ["{t} {q}", "{t} {q}", "{t}\n{q}", "Read this: {t} {q}"])
    return [(start.format(t=text, q=first[0]), first[1]), *others]


def plain(rng: random.Random) -> str:
    """The same as a plain text."""
    text, asked = rng.choice([owners, places, family])(rng)
    chosen = asked[: rng.choice([2, 3, 4])]
    if rng.random() < 0.5:
        return "\n".join([text, *(f"Question: {q}\nAnswer: {a}" for q, a in chosen)])
    return expand(rng, " ".join([text, *(f"{q} {a}" for q, a in chosen)]))
