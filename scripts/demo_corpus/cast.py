"""The people and animals of a story with the words that refer to them, kept in one place."""

from __future__ import annotations

import random

from . import words as w
from .grammar import Context, pick

HE = ("he", "him", "his", "himself")
SHE = ("she", "her", "her", "herself")
RELATIVES = [
    ("mother", SHE),
    ("father", HE),
    ("grandmother", SHE),
    ("grandfather", HE),
    ("sister", SHE),
    ("brother", HE),
    ("aunt", SHE),
    ("uncle", HE),
]
ANIMAL_WORLD = {a[0]: a for a in w.ANIMALS}


# A fifth of the names is made of these, so that a name has to be read in the text, not guessed.
ONSETS = ["b", "d", "f", "g", "h", "j", "k", "l", "m", "n", "p", "r", "s", "t", "v", "w", "z"]
SHE_ENDS = ("a", "i", "ia", "elle")
HE_ENDS = ("o", "us", "an", "or")


def invented_name(rng: random.Random, she: bool) -> str:
    """A name that nobody has, for example ``Mirela`` or ``Tavo``; its end tells he from she."""
    middle = pick(rng, ONSETS) + pick(rng, "aeiou") if rng.random() < 0.4 else ""
    start = pick(rng, ONSETS) + pick(rng, "aeiou")
    end = pick(rng, SHE_ENDS if she else HE_ENDS)
    return (start + middle + pick(rng, ONSETS) + end).capitalize()


def child_name(rng: random.Random, she: bool) -> str:
    """The name of a girl or a boy."""
    if rng.random() < 0.2:
        return invented_name(rng, she)
    return pick(rng, w.GIRLS if she else w.BOYS)


def pet_name(rng: random.Random, she: bool | None = None) -> str:
    """The name of an animal, a machine or a dragon."""
    if she is None:
        she = rng.random() < 0.5
    if rng.random() < 0.2:
        return invented_name(rng, she)
    return pick(rng, w.SHE_PETS if she else w.HE_PETS)


def _put(ctx: Context, prefix: str, pronouns: tuple[str, str, str, str]) -> None:
    for key, word in zip(("he", "him", "his", "self"), pronouns, strict=True):
        ctx[prefix + key] = word


def make_cast(
    rng: random.Random,
    kind: str | None = None,
    name: str | None = None,
    she: bool | None = None,
) -> Context:
    """Choose a main figure {N}, a friend {F} and a helper {H} with all their pronouns.

    ``kind`` asks for an animal (or ``girl``/``boy``), ``name`` for a name, which needs ``she``.
    """
    ctx: Context = {}
    human = kind in ("girl", "boy") or (kind is None and rng.random() < 0.55)
    main_is_she = rng.random() < 0.5 if she is None else she
    if kind in ("girl", "boy"):
        main_is_she = kind == "girl"
    friend_is_she = (not main_is_she) if rng.random() < 0.75 else main_is_she
    _put(ctx, "", SHE if main_is_she else HE)
    _put(ctx, "f", SHE if friend_is_she else HE)
    if human:
        ctx["N"] = name or child_name(rng, main_is_she)
        ctx["kind"] = "girl" if main_is_she else "boy"
        ctx["home"] = pick(rng, w.TOWNS)
        ctx["food"] = pick(rng, w.FOODS)
    else:
        ctx["kind"] = kind or pick(rng, list(ANIMAL_WORLD))
        ctx["N"] = name or pet_name(rng, main_is_she)
        if ctx["kind"] in ANIMAL_WORLD:
            ctx["home"], ctx["food"] = ANIMAL_WORLD[ctx["kind"]][1:3]
        else:
            ctx["home"], ctx["food"] = pick(rng, w.TOWNS), pick(rng, w.FOODS)
    if human and rng.random() < 0.75:
        ctx["F"] = child_name(rng, friend_is_she)
        ctx["fkind"] = "girl" if friend_is_she else "boy"
    else:
        ctx["F"] = pet_name(rng, friend_is_she)
        ctx["fkind"] = pick(rng, [k for k in ANIMAL_WORLD if k != ctx["kind"]])
    while ctx["F"] == ctx["N"]:
        ctx["F"] = invented_name(rng, friend_is_she)
    ctx["adj"] = pick(rng, w.SMALL)
    ctx["fadj"] = pick(rng, w.SMALL)
    ctx["K"] = "the " + ctx["kind"]
    ctx["FK"] = "the " + ctx["fkind"]
    if ctx["fkind"] == ctx["kind"]:
        ctx["FK"] = ctx["F"]
    ctx["Fthe"] = ctx["F"] if ctx["fkind"] in ("girl", "boy") else f"{ctx['F']} {ctx['FK']}"
    ctx["mood"] = pick(rng, ["shy", "quiet", "lazy", "curious", "wild", "careful", "slow"])
    # How a sentence may start with the main figure: mostly name or pronoun.
    ctx["S"] = f"[{ctx['N']}|{ctx['he']}|{ctx['N']}|{ctx['he']}|{ctx['N']}]"
    if ctx["fkind"] != ctx["kind"]:
        ctx["S"] = ctx["S"][:-1] + f"|the [|little ]{ctx['kind']}]"
    relation, pronouns = rng.choice(RELATIVES)
    if not human:
        relation, pronouns = rng.choice(RELATIVES[:6])
    ctx["H"] = f"{ctx['his']} {relation}"
    ctx["Hplain"] = relation
    _put(ctx, "h", pronouns)
    ctx["place"], ctx["pprep"] = rng.choice(w.PLACES)
    ctx["at"] = f"{ctx['pprep']} {ctx['place']}"
    ctx["place_b"] = rng.choice([p for p, _ in w.PLACES if p != ctx["place"]])
    ctx["weather"] = pick(rng, w.WEATHER)
    ctx["part"] = pick(rng, w.DAYPARTS)
    ctx["day"] = pick(rng, w.WEEKDAYS)
    ctx["colour"], ctx["colour_b"] = rng.sample(w.COLOURS, 2)
    ctx["toy"], ctx["toy_b"] = rng.sample(w.TOYS, 2)
    ctx["thing"], ctx["thing_b"] = rng.sample(w.THINGS, 2)
    ctx["snack"], ctx["snack_b"] = rng.sample(w.SNACKS, 2)
    ctx["dish"], ctx["dish_b"] = rng.sample(w.FOODS, 2)
    ctx["game"] = pick(rng, w.GAMES)
    ctx["flower"] = pick(rng, w.FLOWERS)
    ctx["tree"] = pick(rng, w.TREES)
    for key, words in (("good", w.GOOD), ("sad", w.SAD), ("afraid", w.AFRAID)):
        ctx[key] = pick(rng, words)
    return ctx


OPENINGS = [
    "[Once upon a time|Long ago|Once], there was a {adj} {kind} named {N}. {he} lived in {home}.",
    "[Once upon a time|Long, long ago], a {adj} {kind} named {N} lived in {home}.",
    "Once upon a time, a [little|small|young] {kind} named {N} lived in {home}.",
    "Once upon a time, a {adj} {kind} named {N} [wanted to see|was walking to] {place}.",
    "There was once a {adj} {kind} [named|called] {N} who lived in {home}.",
    "{N} was a {adj} {kind} who lived in {home}.",
    "{N} was a {adj} {kind}. {he} [lived|had always lived] in {home}.",
    "In {home} [there lived|lived] a {adj} {kind} named {N}.",
    "[There was|Once there was] a {kind} named {N}. {N} was very {adj}.",
    "A {adj} {kind} named {N} lived in {home}[| with {his} family| with {H}].",
    "This is [a|the] story [of|about] a {adj} {kind} named {N}.",
    "{N} the {kind} lived in {home}. Everyone [there|who knew {him}] said that {he} was {adj}.",
    "Do you know {N}? {N} is a {adj} {kind}. This is what happened to {him} last {day}.",
]
ADDITIONS = [
    "{he} liked {food} and [sunny days|long walks|funny stories|quiet evenings|old songs].",
    "{he} [loved|liked] to eat {food}.",
    "{he} had a {colour} {thing} that {he} liked very much.",
    "Every [morning|evening], {he} [looked out of the window|sang a song|took a short walk|"
    "had {food} for breakfast].",
    "{he} was [often|sometimes|always] a little {mood}, but [everybody|everyone] liked {him}.",
    "{H} often told {him} stories about [the sea|the stars|old times|the big city|far lands].",
    "{his} best friend was a {fkind} named {F}.",
    "",
    "",
    "",
]
DAYS = [
    "One {weather} {part}, ",
    "One day, ",
    "One {day}, ",
    "One {day} [morning|afternoon|evening], ",
    "On a {weather} {part}, ",
    "Last {day}, ",
    "One {weather} {part} in [spring|summer|autumn|winter], ",
    "Early one morning, ",
    "Yesterday, ",
    "That day, ",
]
