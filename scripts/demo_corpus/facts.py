"""Questions with answers about a small world; plain texts and dialogues both draw on them."""
# Sentences and words are data here; wrapped or quoted one by one they are harder to read.
# ruff: noqa: SIM905

from __future__ import annotations

import random

from . import words as w
from .definitions import CAPITALS, DEFINITIONS, HOWTO
from .grammar import join_list, number_word, pick, plural, tidy, with_article

QA = tuple[str, str]

COLOUR_OF = {
    "the sky": "blue",
    "grass": "green",
    "snow": "white",
    "milk": "white",
    "a tomato": "red",
    "a lemon": "yellow",
    "a banana": "yellow",
    "the sun": "yellow",
    "coal": "black",
    "chocolate": "brown",
    "a carrot": "orange",
    "blood": "red",
    "a leaf in summer": "green",
    "a frog": "green",
    "an elephant": "grey",
    "a cucumber": "green",
    "a cherry": "red",
    "a polar bear": "white",
    "the night": "black",
    "the sea": "blue",
    "an orange": "orange",
    "a violet": "purple",
    "a pig": "pink",
    "a crow": "black",
    "corn": "yellow",
    "sand": "yellow",
    "a strawberry": "red",
    "a sunflower": "yellow",
    "a cloud": "white",
    "rice": "white",
}
SOUNDS = {
    "dog": "barks",
    "cat": "meows",
    "cow": "moos",
    "sheep": "bleats",
    "duck": "quacks",
    "lion": "roars",
    "wolf": "howls",
    "bee": "buzzes",
    "horse": "neighs",
    "frog": "croaks",
    "mouse": "squeaks",
    "owl": "hoots",
    "snake": "hisses",
    "pig": "grunts",
    "bird": "sings",
}
LEGS = {
    "dog": 4,
    "cat": 4,
    "horse": 4,
    "bird": 2,
    "hen": 2,
    "spider": 8,
    "ant": 6,
    "bee": 6,
    "snake": 0,
    "fish": 0,
    "cow": 4,
    "duck": 2,
    "frog": 4,
    "elephant": 4,
    "llama": 4,
    "sheep": 4,
    "mouse": 4,
    "penguin": 2,
}
BABIES = {
    "dog": "puppy",
    "cat": "kitten",
    "cow": "calf",
    "sheep": "lamb",
    "horse": "foal",
    "hen": "chick",
    "duck": "duckling",
    "bear": "cub",
    "lion": "cub",
    "pig": "piglet",
    "goat": "kid",
    "frog": "tadpole",
    "llama": "cria",
}
EATS = {
    "rabbit": "grass and carrots",
    "cat": "fish and meat",
    "dog": "meat and bones",
    "cow": "grass",
    "bear": "fish, berries and honey",
    "mouse": "seeds and cheese",
    "monkey": "fruit and leaves",
    "panda": "bamboo",
    "lion": "meat",
    "horse": "grass and hay",
    "llama": "grass and hay",
    "bird": "seeds and insects",
    "penguin": "fish",
    "elephant": "grass, leaves and fruit",
    "squirrel": "nuts and seeds",
    "frog": "insects",
    "sheep": "grass",
    "owl": "mice",
}
LIVES = {
    "fish": "in water",
    "lion": "in dry grassland",
    "penguin": "where it is cold, near the sea",
    "camel": "in the desert",
    "frog": "in ponds and wet places",
    "bee": "in a hive",
    "bear": "in forests and mountains",
    "monkey": "in warm forests",
    "whale": "in the sea",
    "owl": "in trees and old buildings",
    "rabbit": "in holes under the ground",
    "llama": "in the mountains of South America",
    "panda": "in the bamboo forests of China",
    "cow": "on a farm",
    "polar bear": "in the cold north",
    "bird": "in a nest",
}
CAN = {
    "fly": (
        ["bird", "bee", "owl", "duck", "butterfly", "crow"],
        ["dog", "cow", "fish", "penguin", "horse", "elephant", "snail"],
    ),
    "swim": (["fish", "duck", "frog", "whale", "penguin", "dog"], ["hen", "bee", "butterfly"]),
    "bark": (["dog"], ["cat", "fish", "hen", "rabbit"]),
}
OPPOSITES = [
    ("hot", "cold"),
    ("big", "small"),
    ("fast", "slow"),
    ("happy", "sad"),
    ("day", "night"),
    ("up", "down"),
    ("left", "right"),
    ("old", "new"),
    ("full", "empty"),
    ("open", "closed"),
    ("long", "short"),
    ("light", "dark"),
    ("loud", "quiet"),
    ("wet", "dry"),
    ("rich", "poor"),
    ("hard", "soft"),
    ("high", "low"),
    ("early", "late"),
    ("good", "bad"),
    ("clean", "dirty"),
    ("strong", "weak"),
    ("near", "far"),
    ("first", "last"),
    ("always", "never"),
    ("in", "out"),
    ("black", "white"),
    ("inside", "outside"),
    ("begin", "end"),
    ("give", "take"),
    ("summer", "winter"),
    ("true", "false"),
    ("yes", "no"),
    ("easy", "difficult"),
]
DAYS = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split()
MONTHS = (
    "January February March April May June July August September October November December"
).split()
COUNTS = [
    ("days are there in a week", "There are seven days in a week."),
    ("months are there in a year", "There are twelve months in a year."),
    ("hours are there in a day", "There are twenty-four hours in a day."),
    ("minutes are there in an hour", "There are sixty minutes in an hour."),
    ("seconds are there in a minute", "There are sixty seconds in a minute."),
    ("seasons are there", "There are four seasons: spring, summer, autumn and winter."),
    ("wheels does a bicycle have", "A bicycle has two wheels."),
    ("wheels does a car have", "A car has four wheels."),
    ("fingers are there on one hand", "There are five fingers on one hand."),
    ("eyes do you need to see well", "Most people have two eyes."),
    ("days are there in a year", "A year has 365 days, and a leap year has 366."),
    ("sides does a triangle have", "A triangle has three sides."),
    ("sides does a square have", "A square has four sides."),
    (
        "letters are in the English alphabet",
        "There are twenty-six letters in the English alphabet.",
    ),
    ("bits are in a byte", "There are eight bits in a byte."),
]
GROUPS: dict[str, list[str]] = {
    "fruit": w.FRUITS,
    "vegetable": w.VEGETABLES,
    "flower": w.FLOWERS,
    "drink": w.DRINKS,
    "vehicle": w.VEHICLES,
    "tool": w.TOOLS,
    "colour": w.COLOURS,
    "instrument": w.INSTRUMENTS,
    "animal": ["dog", "cat", "cow", "horse", "fox", "bear", "lion", "sheep", "rabbit", "duck"],
    "piece of furniture": w.FURNITURE,
    "piece of clothing": w.CLOTHES,
}
COUNTABLE = [
    "fruit",
    "vegetable",
    "flower",
    "vehicle",
    "tool",
    "instrument",
    "animal",
    "piece of furniture",
    "piece of clothing",
]
MADE_OF = {
    "bread": "flour, water and a little salt",
    "a table": "wood",
    "a window": "glass",
    "paper": "wood",
    "cheese": "milk",
    "a ring": "gold or silver",
    "a bottle": "glass",
    "a shoe": "leather",
    "a scarf": "wool",
    "a snowman": "snow",
    "a wall": "stone or brick",
    "a book": "paper",
    "a key": "metal",
    "butter": "milk",
    "jam": "fruit and sugar",
    "a computer chip": "silicon",
    "lemonade": "lemons, water and sugar",
}
ORDER = ["ant", "mouse", "cat", "dog", "sheep", "cow", "elephant", "whale"]
USES = [
    ("a key", "open a door"),
    ("a pencil", "write and draw"),
    ("an umbrella", "stay dry in the rain"),
    ("a clock", "see what time it is"),
    ("a knife", "cut bread"),
    ("soap", "wash your hands"),
    ("a lamp", "have light"),
    ("a broom", "clean the floor"),
    ("a map", "find the way"),
    ("a spoon", "eat soup"),
    ("a needle", "sew clothes"),
    ("a bed", "sleep"),
    ("a fridge", "keep food cold"),
    ("a telephone", "talk to people who are far away"),
    ("a ladder", "reach high places"),
    ("glasses", "see better"),
    ("a computer", "run programs"),
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
    if rng.random() < 0.35:
        x, y, z = number_word(a), number_word(b), number_word(result)
    else:
        x, y, z = str(a), str(b), str(result)
    sign = {"plus": "+", "minus": "-", "times": "*"}[kind]
    question = pick(
        rng,
        [
            f"What is {x} {kind} {y}?",
            f"How much is {x} {kind} {y}?",
            f"What is {x} {kind} {y}?",
            f"Can you calculate {x} {kind} {y}?",
            f"What is {a} {sign} {b}?",
        ],
    )
    if sign in question and not x.isdigit():
        z = str(result)
    say = (
        f"{a} {sign} {b} = {result}."
        if sign in question and rng.random() < 0.5
        else (
            f"{x.capitalize()} {kind} {y} is {z}."
            if sign not in question
            else f"{a} {kind} {b} is {result}."
        )
    )
    return question, say


def animal(rng: random.Random) -> QA:
    """Legs, sounds, food, homes and abilities of animals."""
    which = rng.randrange(6)
    if which == 0:
        name, legs = rng.choice(list(LEGS.items()))
        count = number_word(legs) if legs else "no"
        return f"How many legs does {with_article(name)} have?", tidy(f"a {name} has {count} legs.")
    if which == 1:
        name, sound = rng.choice(list(SOUNDS.items()))
        return (
            pick(
                rng,
                [
                    f"What sound does {with_article(name)} make?",
                    f"What does {with_article(name)} do when it makes a sound?",
                ],
            ),
            tidy(f"a {name} {sound}."),
        )
    if which == 2:
        name, young = rng.choice(list(BABIES.items()))
        return (f"What is a baby {name} called?", tidy(f"a baby {name} is called a {young}."))
    if which == 3:
        name, food = rng.choice(list(EATS.items()))
        return f"What does {with_article(name)} eat?", tidy(f"a {name} eats {food}.")
    if which == 4:
        name, place = rng.choice(list(LIVES.items()))
        return f"Where does {with_article(name)} live?", tidy(f"a {name} lives {place}.")
    verb = rng.choice(list(CAN))
    yes = rng.random() < 0.5
    name = pick(rng, CAN[verb][0 if yes else 1])
    answer = f"Yes, a {name} can {verb}." if yes else f"No, a {name} cannot {verb}."
    return f"Can {with_article(name)} {verb}?", tidy(answer)


def calendar(rng: random.Random) -> QA:
    """What comes before and after days and months, and what is counted."""
    which = rng.randrange(4)
    if which == 3:
        question, answer = rng.choice(COUNTS)
        return f"How many {question}?", answer
    names, word = (DAYS, "day") if which < 2 else (MONTHS, "month")
    i = rng.randrange(len(names))
    if rng.random() < 0.6:
        return (
            f"{pick(rng, ['What', 'Which'])} {word} comes after {names[i]}?",
            f"{names[(i + 1) % len(names)]} comes after {names[i]}.",
        )
    return (f"Which {word} comes before {names[i]}?", f"{names[i - 1]} comes before {names[i]}.")


def small_world(rng: random.Random) -> QA:
    """Colours, opposites, materials, uses, sizes."""
    which = rng.randrange(6)
    if which == 0:
        thing, colour = rng.choice(list(COLOUR_OF.items()))
        word = pick(rng, ["colour", "colour", "color"])
        return (f"What {word} is {thing}?", tidy(f"{thing} is {colour}."))
    if which == 1:
        a, b = rng.choice(OPPOSITES)
        if rng.random() < 0.5:
            a, b = b, a
        mark = pick(rng, ["", '"'])
        return (
            f"What is the opposite of {mark}{a}{mark}?",
            f"The opposite of {mark}{a}{mark} is {mark}{b}{mark}.",
        )
    if which == 2:
        thing, stuff = rng.choice(list(MADE_OF.items()))
        return f"What is {thing} made of?", tidy(f"{thing} is made of {stuff}.")
    if which == 3:
        thing, use = rng.choice(USES)
        verb = "are" if thing == "glasses" else "is"
        return (
            pick(rng, [f"What {verb} {thing} for?", f"What do you need {thing} for?"]),
            f"You need {thing} to {use}.",
        )
    if which == 4:
        i, j = rng.sample(range(len(ORDER)), 2)
        big, small = ORDER[max(i, j)], ORDER[min(i, j)]
        first, second = with_article(ORDER[i]), with_article(ORDER[j])
        if rng.random() < 0.6:
            return (
                f"Which is bigger, {first} or {second}?",
                tidy(f"a {big} is bigger than a {small}."),
            )
        return (
            f"Which is smaller, {first} or {second}?",
            tidy(f"a {small} is smaller than a {big}."),
        )
    job = rng.choice(w.JOBS)
    if rng.random() < 0.6:
        return f"What does {with_article(job[0])} do?", tidy(f"a {job[0]} {job[2]}.")
    return (
        f"Where does {with_article(job[0])} work?",
        tidy(
            f"a {job[0]} works {'on' if job[1] in ('the farm', 'the hill', 'the sea') else 'in'}"
            f" {job[1]}."
        ),
    )


def groups(rng: random.Random) -> QA:
    """Lists of things and yes/no questions about their group."""
    if rng.random() < 0.5:
        group = rng.choice(list(GROUPS))
        count = rng.choice([2, 3, 3, 4, 5])
        many = {
            "piece of furniture": "pieces of furniture",
            "piece of clothing": "pieces of clothing",
        }.get(group, plural(group))
        items = join_list(rng.sample(GROUPS[group], count))
        question = pick(
            rng, ["Name {n} {g}.", "Tell me {n} {g}.", "Can you name {n} {g}?", "List {n} {g}."]
        )
        question = question.format(n=number_word(count), g=many)
        return question, pick(
            rng,
            [
                items[0].upper() + items[1:] + ".",
                f"{number_word(count).capitalize()} {many} are {items}.",
                f"Here are {number_word(count)} {many}: {items}.",
            ],
        )
    group = pick(rng, COUNTABLE)
    if rng.random() < 0.5:
        item = pick(rng, GROUPS[group])
        return (
            f"Is {with_article(item)} {with_article(group)}?",
            tidy(f"Yes, a {item} is a {group}."),
        )
    other = pick(rng, [g for g in COUNTABLE if g != group])
    item = pick(rng, GROUPS[other])
    return (
        f"Is {with_article(item)} {with_article(group)}?",
        tidy(f"No, a {item} is not a {group}. It is a {other}."),
    )


def capital(rng: random.Random) -> QA:
    """Countries and capitals."""
    country, city, region = rng.choice(CAPITALS)
    which = rng.randrange(4)
    if which < 2:
        return (
            pick(
                rng,
                [
                    f"What is the capital of {country}?",
                    f"Which city is the capital of {country}?",
                    f"Do you know the capital of {country}?",
                ],
            ),
            f"The capital of {country} is {city}.",
        )
    if which == 2:
        return f"Where is {city}?", f"{city} is in {country}. It is the capital of {country}."
    return f"Where is {country}?", f"{country[0].upper() + country[1:]} is in {region}."


def definition(rng: random.Random) -> QA:
    """What something is, in one or two sentences."""
    name, texts = rng.choice(list(DEFINITIONS.items()))
    verb = "are" if name in ("parameters", "weights", "stars") else "is"
    question = pick(
        rng,
        [
            f"What {verb} {name}?",
            f"What {verb} {name}?",
            f"Can you explain what {name} {verb}?",
            f"Do you know what {name} {verb}?",
            f"Tell me what {name} {verb}.",
        ],
    )
    answer = texts[0]
    if len(texts) > 1 and rng.random() < 0.5:
        answer += " " + pick(rng, texts[1:])
    return question, answer


def howto(rng: random.Random) -> QA:
    """How something is done, in a few steps."""
    name, steps = rng.choice(list(HOWTO.items()))
    question = pick(
        rng,
        [
            f"How do I {name}?",
            f"How can I {name}?",
            f"How do you {name}?",
            f"Tell me how to {name}.",
        ],
    )
    if rng.random() < 0.5:
        text = " ".join(
            f"{a} {s}."
            for a, s in zip(["First,", "Then", "After that,", "At the end,"], steps, strict=False)
        )
    else:
        text = "\n".join(f"{i}. {s[0].upper() + s[1:]}." for i, s in enumerate(steps, 1))
    return question, text


SOURCES = [
    arithmetic,
    arithmetic,
    animal,
    animal,
    calendar,
    small_world,
    small_world,
    groups,
    capital,
    definition,
    definition,
    definition,
    howto,
]


def question(rng: random.Random) -> QA:
    """Any question of this small world with its answer."""
    return rng.choice(SOURCES)(rng)


def question_text(rng: random.Random) -> str:
    """One to four questions and answers as a plain text."""
    style = rng.randrange(3)
    parts = []
    for _ in range(rng.choice([1, 1, 2, 3, 4])):
        q, a = question(rng)
        if style == 0:
            parts.append(f"Question: {q}\nAnswer: {a}")
        elif style == 1:
            parts.append(f"Q: {q}\nA: {a}")
        else:
            parts.append(f"{q} {a}")
    return ("\n\n" if style < 2 else "\n").join(parts)
