"""Questions with answers about a small world; plain texts and dialogues both draw on them.

Every question has one right answer (the lists apart, where any members of the group are right),
and every fact is asked in several wordings, of which a tenth is held out of the training text.
"""

from __future__ import annotations

import random
import re
import zlib
from collections.abc import Callable, Sequence

from . import recall
from . import words as w
from .definitions import CAPITALS, DEFINITIONS, HOWTO
from .grammar import join_list, number_word, pick, plural, tidy, with_article
from .small_world import (
    BABIES,
    CAN,
    COLOUR_OF,
    COUNTABLE,
    COUNTS,
    DAYS,
    EATS,
    GROUPS,
    LEGS,
    LIVES,
    MADE_OF,
    MONTHS,
    OPPOSITES,
    ORDER,
    SOUNDS,
    USES,
)

QA = tuple[str, str]
Source = Callable[[random.Random], QA]

# What a hurried user writes before a question (see dialogues.casual).
GREETINGS = ("please tell me: ", "hey, ", "I have a question. ", "Hello! ")
HELD_OUT_SHARE = 10


def is_held_out(question: str) -> bool:
    """Whether a question is kept out of training in this wording, however it is typed."""
    for greeting in GREETINGS:
        question = question.removeprefix(greeting)
    plain = re.sub(r'[.?!,:"]', "", question).casefold()
    return zlib.crc32(plain.encode()) % HELD_OUT_SHARE == 0


def asked(rng: random.Random, wordings: Sequence[str], **slots: str) -> str:
    """One of the wordings with its slots filled."""
    return pick(rng, wordings).format(**slots)


SUMS = [
    "What is {x} {kind} {y}?",
    "How much is {x} {kind} {y}?",
    "Can you calculate {x} {kind} {y}?",
    "Tell me what {x} {kind} {y} is.",
    "Calculate {x} {kind} {y}.",
]
SIGNED_SUMS = [
    "What is {a} {sign} {b}?",
    "How much is {a} {sign} {b}?",
    "Calculate {a} {sign} {b}.",
    "{a} {sign} {b}",
]


def arithmetic(rng: random.Random) -> QA:
    """A small sum, difference or product in digits or words."""
    kind = rng.choice(["plus", "plus", "plus", "minus", "minus", "times"])
    if kind == "plus":
        a, b = rng.randrange(0, 11), rng.randrange(0, 11)
        result = a + b
    elif kind == "minus":
        a = rng.randrange(1, 13)
        b = rng.randrange(0, a + 1)
        result = a - b
    else:
        a, b = rng.randrange(1, 6), rng.randrange(1, 6)
        result = a * b
    roll = rng.random()
    if roll < 0.25:
        sign = {"plus": "+", "minus": "-", "times": "*"}[kind]
        question = asked(rng, SIGNED_SUMS, a=str(a), b=str(b), sign=sign)
        return question, f"{a} {sign} {b} = {result}."
    if roll < 0.5:
        x, y, z = number_word(a), number_word(b), number_word(result)
    else:
        x, y, z = str(a), str(b), str(result)
    return asked(rng, SUMS, x=x, y=y, kind=kind), f"{x.capitalize()} {kind} {y} is {z}."


LEGS_ASKS = [
    "How many legs does {a} have?",
    "Do you know how many legs {a} has?",
    "Tell me how many legs {a} has.",
    "What is the number of legs of {a}?",
]
SOUND_ASKS = [
    "What sound does {a} make?",
    "Which sound does {a} make?",
    "What noise does {a} make?",
    "Tell me what sound {a} makes.",
    "Do you know what sound {a} makes?",
]
BABY_ASKS = [
    "What is a baby {n} called?",
    "What do you call a baby {n}?",
    "What is the name for a baby {n}?",
    "Tell me what a baby {n} is called.",
]
EAT_ASKS = [
    "What does {a} eat?",
    "What should I give {a} to eat?",
    "Tell me what {a} eats.",
    "Do you know what {a} eats?",
    "What is the food of {a}?",
]
LIVE_ASKS = [
    "Where does {a} live?",
    "Tell me where {a} lives.",
    "Do you know where {a} lives?",
    "Where is the home of {a}?",
]
CAN_ASKS = [
    "Can {a} {verb}?",
    "Is {a} able to {verb}?",
    "Tell me if {a} can {verb}.",
    "Do you think that {a} can {verb}?",
]


def animal(rng: random.Random) -> QA:
    """Legs, sounds, food, homes and abilities of animals."""
    which = rng.randrange(6)
    if which == 0:
        name, legs = rng.choice(list(LEGS.items()))
        count = number_word(legs) if legs else "no"
        wordings, answer = LEGS_ASKS, f"a {name} has {count} legs."
    elif which == 1:
        name, sound = rng.choice(list(SOUNDS.items()))
        wordings, answer = SOUND_ASKS, f"a {name} {sound}."
    elif which == 2:
        name, young = rng.choice(list(BABIES.items()))
        wordings, answer = BABY_ASKS, f"a baby {name} is called a {young}."
    elif which == 3:
        name, food = rng.choice(list(EATS.items()))
        wordings, answer = EAT_ASKS, f"a {name} eats {food}."
    elif which == 4:
        name, place = rng.choice(list(LIVES.items()))
        wordings, answer = LIVE_ASKS, f"a {name} lives {place}."
    else:
        verb = rng.choice(list(CAN))
        yes = rng.random() < 0.5
        name = pick(rng, CAN[verb][0 if yes else 1])
        answer = f"Yes, a {name} can {verb}." if yes else f"No, a {name} cannot {verb}."
        return asked(rng, CAN_ASKS, a=with_article(name), verb=verb), tidy(answer)
    return asked(rng, wordings, a=with_article(name), n=name), tidy(answer)


AFTER_ASKS = [
    "What {word} comes after {n}?",
    "Which {word} comes after {n}?",
    "Which {word} follows {n}?",
    "Tell me the {word} after {n}.",
    "What is the {word} after {n}?",
]
BEFORE_ASKS = [
    "What {word} comes before {n}?",
    "Which {word} comes before {n}?",
    "Tell me the {word} before {n}.",
    "What is the {word} before {n}?",
]
COUNT_ASKS = [
    "How many {what}?",
    "Can you tell me how many {what}?",
    "Quick question: how many {what}?",
    "I want to know how many {what}.",
]


def calendar(rng: random.Random) -> QA:
    """What comes before and after days and months, and what is counted."""
    which = rng.randrange(4)
    if which == 3:
        what, answer = rng.choice(COUNTS)
        return asked(rng, COUNT_ASKS, what=what), answer
    names, word = (DAYS, "day") if which < 2 else (MONTHS, "month")
    i = rng.randrange(len(names))
    if rng.random() < 0.6:
        answer = f"{names[(i + 1) % len(names)]} comes after {names[i]}."
        return asked(rng, AFTER_ASKS, word=word, n=names[i]), answer
    answer = f"{names[i - 1]} comes before {names[i]}."
    return asked(rng, BEFORE_ASKS, word=word, n=names[i]), answer


COLOUR_ASKS = [
    "What colour is {t}?",
    "What color is {t}?",
    "Which colour does {t} have?",
    "What is the colour of {t}?",
    "Tell me the colour of {t}.",
    "Do you know what colour {t} is?",
]
OPPOSITE_ASKS = [
    'What is the opposite of "{t}"?',
    "What is the opposite of {t}?",
    "Tell me the opposite of {t}.",
    "Which word is the opposite of {t}?",
    "Do you know the opposite of {t}?",
    "Name the opposite of {t}.",
]
MADE_ASKS = [
    "What is {t} made of?",
    "Tell me what {t} is made of.",
    "Do you know what {t} is made of?",
    "From what is {t} made?",
]
USE_ASKS = [
    "What do you need {t} for?",
    "What do people use {t} for?",
    "What can I do with {t}?",
    "Why do people need {t}?",
    "Tell me what you need {t} for.",
]


def things(rng: random.Random) -> QA:
    """Colours, opposites, materials and uses."""
    which = rng.randrange(4)
    if which == 0:
        thing, colour = rng.choice(list(COLOUR_OF.items()))
        return asked(rng, COLOUR_ASKS, t=thing), tidy(f"{thing} is {colour}.")
    if which == 1:
        a, b = rng.choice(OPPOSITES)
        if rng.random() < 0.5:
            a, b = b, a
        return asked(rng, OPPOSITE_ASKS, t=a), f'The opposite of "{a}" is "{b}".'
    if which == 2:
        thing, stuff = rng.choice(list(MADE_OF.items()))
        return asked(rng, MADE_ASKS, t=thing), tidy(f"{thing} is made of {stuff}.")
    thing, use = rng.choice(USES)
    return asked(rng, USE_ASKS, t=thing), f"You need {thing} to {use}."


SIZE_ASKS = [
    "Which is {than}, {a} or {b}?",
    "What is {than}, {a} or {b}?",
    "Which animal is {than}, {a} or {b}?",
    "Who is {than}, {a} or {b}?",
]


def sizes(rng: random.Random) -> QA:
    """Which of two animals is bigger or smaller."""
    i, j = rng.sample(range(len(ORDER)), 2)
    big, small = ORDER[max(i, j)], ORDER[min(i, j)]
    first, second = with_article(ORDER[i]), with_article(ORDER[j])
    than = pick(rng, ["bigger", "bigger", "smaller"])
    one, other = (big, small) if than == "bigger" else (small, big)
    answer = f"{with_article(one).capitalize()} is {than} than {with_article(other)}."
    return asked(rng, SIZE_ASKS, than=than, a=first, b=second), answer


WORK_ASKS = [
    "What does {a} do?",
    "What is the work of {a}?",
    "What is the job of {a}?",
    "Tell me what {a} does.",
    "Do you know what {a} does?",
]
WORKPLACE_ASKS = [
    "Where does {a} work?",
    "Tell me where {a} works.",
    "Do you know where {a} works?",
    "In what place does {a} work?",
]


def jobs(rng: random.Random) -> QA:
    """What people with a job do, and where."""
    name, place, does = rng.choice(w.JOBS)[:3]
    who = with_article(name)
    if rng.random() < 0.6:
        return asked(rng, WORK_ASKS, a=who), tidy(f"a {name} {does}.")
    where = "on" if place in ("the farm", "the hill", "the sea") else "in"
    return asked(rng, WORKPLACE_ASKS, a=who), tidy(f"a {name} works {where} {place}.")


LIST_ASKS = [
    "Name {n} {g}.",
    "Tell me {n} {g}.",
    "Can you name {n} {g}?",
    "List {n} {g}.",
    "Give me {n} {g}.",
]
MEMBER_ASKS = [
    "Is {a} {b}?",
    "Tell me if {a} is {b}.",
    "Do you know if {a} is {b}?",
    "Would you say that {a} is {b}?",
]


def many(group: str) -> str:
    """The plural of the name of a group, also for ``piece of furniture``."""
    head, _, rest = group.partition(" ")
    return f"{plural(head)} {rest}".strip()


def lists(rng: random.Random) -> QA:
    """Some members of a group, always in the order of the word list."""
    group = rng.choice(list(GROUPS))
    count = rng.choice([2, 3, 3, 4])
    chosen = sorted(rng.sample(range(len(GROUPS[group])), count))
    items = join_list([GROUPS[group][i] for i in chosen])
    question = asked(rng, LIST_ASKS, n=number_word(count), g=many(group))
    return question, items[0].upper() + items[1:] + "."


def members(rng: random.Random) -> QA:
    """Whether something belongs to a group."""
    group = pick(rng, COUNTABLE)
    yes = rng.random() < 0.5
    home = group if yes else pick(rng, [g for g in COUNTABLE if g != group])
    item = pick(rng, GROUPS[home])
    answer = (
        f"Yes, a {item} is a {group}." if yes else f"No, a {item} is not a {group}. It is a {home}."
    )
    question = asked(rng, MEMBER_ASKS, a=with_article(item), b=with_article(group))
    return question, tidy(answer)


CAPITAL_ASKS = [
    "What is the capital of {t}?",
    "Which city is the capital of {t}?",
    "Do you know the capital of {t}?",
    "Tell me the capital of {t}.",
    "Name the capital of {t}.",
]
CITY_ASKS = [
    "Where is {t}?",
    "In which country is {t}?",
    "Which country is {t} in?",
    "Tell me where {t} is.",
]
COUNTRY_ASKS = [
    "Where is {t}?",
    "On which continent is {t}?",
    "Tell me where {t} is.",
    "In what part of the world is {t}?",
]


def capital(rng: random.Random) -> QA:
    """Countries and capitals."""
    country, city, region = rng.choice(CAPITALS)
    which = rng.randrange(4)
    if which < 2:
        return asked(rng, CAPITAL_ASKS, t=country), f"The capital of {country} is {city}."
    if which == 2:
        return asked(rng, CITY_ASKS, t=city), f"{city} is the capital of {country}."
    answer = f"{country[0].upper() + country[1:]} is in {region}."
    return asked(rng, COUNTRY_ASKS, t=country), answer


SHORT_ASKS = [
    "What {verb} {t}?",
    "Tell me what {t} {verb}.",
    "Do you know what {t} {verb}?",
    "Can you say what {t} {verb}?",
    "In one sentence, what {verb} {t}?",
]
LONG_ASKS = [
    "Can you explain what {t} {verb}?",
    "Please explain what {t} {verb}.",
    "Explain to me what {t} {verb}.",
    "I would like to understand what {t} {verb}.",
]


def definition(rng: random.Random) -> QA:
    """What something is: one sentence, or two where an explanation is wanted."""
    name, texts = rng.choice(list(DEFINITIONS.items()))
    verb = "are" if name in ("parameters", "weights", "stars") else "is"
    if rng.random() < 0.7:
        return asked(rng, SHORT_ASKS, t=name, verb=verb), texts[0]
    return asked(rng, LONG_ASKS, t=name, verb=verb), " ".join(texts[:2])


HOW_ASKS = ["How do I {t}?", "How can I {t}?", "How do you {t}?", "Tell me how to {t}."]
STEP_ASKS = ["List the steps to {t}.", "What are the steps to {t}?", "Give me the steps to {t}."]


def howto(rng: random.Random) -> QA:
    """How something is done, in a few sentences, or in a list where steps are asked for."""
    name, steps = rng.choice(list(HOWTO.items()))
    if rng.random() < 0.7:
        words = ["First,", "Then", "After that,", "At the end,"]
        text = " ".join(f"{a} {s}." for a, s in zip(words, steps, strict=False))
        return asked(rng, HOW_ASKS, t=name), text
    text = "\n".join(f"{i}. {s[0].upper() + s[1:]}." for i, s in enumerate(steps, 1))
    return asked(rng, STEP_ASKS, t=name), text


SOURCES: list[Source] = [
    arithmetic,
    arithmetic,
    arithmetic,
    animal,
    animal,
    calendar,
    things,
    things,
    sizes,
    jobs,
    lists,
    members,
    capital,
    capital,
    definition,
    definition,
    howto,
]


def question(rng: random.Random, held_out: bool = False) -> QA:
    """A question of this small world with its answer.

    ``held_out`` asks for one of the wordings that training never shows.
    """
    while True:
        found = rng.choice(SOURCES)(rng)
        if is_held_out(found[0]) == held_out:
            return found


def is_right(wanted: str, answer: str) -> bool:
    """Whether an answer says what ``wanted`` says; a list may name other members of its group."""
    if answer.strip() == wanted:
        return True
    said, asked_for = (re.split(r", | and ", t.strip().rstrip(".")) for t in (answer, wanted))
    for items in GROUPS.values():
        group = {item.casefold() for item in items}
        if {item.casefold() for item in asked_for} <= group:
            chosen = [item.casefold() for item in said]
            return len(chosen) == len(asked_for) == len(set(chosen)) and set(chosen) <= group
    return False


def question_text(rng: random.Random) -> str:
    """One to four questions and answers as a plain text, some of them about this text."""
    if rng.random() < 0.25:
        return recall.plain(rng)
    style = rng.randrange(3)
    parts = []
    for _ in range(rng.choice([1, 2, 3, 4])):
        q, a = question(rng)
        if style == 0:
            parts.append(f"Question: {q}\nAnswer: {a}")
        elif style == 1:
            parts.append(f"Q: {q}\nA: {a}")
        else:
            parts.append(f"{q} {a}")
    return ("\n\n" if style < 2 else "\n").join(parts)
