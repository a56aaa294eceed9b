"""Short texts about cities, companies, computers and things one loves."""
# Sentences and words are data here; wrapped or quoted one by one they are harder to read.
# ruff: noqa: E501

from __future__ import annotations

import random

from . import words as w
from .definitions import CAPITALS, DEFINITIONS
from .grammar import expand, pick, tidy

CITY_FACTS: dict[str, list[str]] = {
    "Beijing": [
        "it is the place where old palaces and modern towers stand side by side",
        "it has a long history and the food is wonderful",
        "the Great Wall is near and the old streets are full of life",
        "the people are friendly and the parks are beautiful in autumn",
        "I can eat dumplings on every corner and walk through the old lanes",
        "it is the capital of China and there is always something new to see",
    ],
    "Paris": [
        "I can sit by the river and eat fresh bread",
        "its museums are full of beautiful pictures",
        "the old streets are lovely in the evening",
    ],
    "London": ["it has big parks and red buses", "I can walk along the river in the rain"],
    "Rome": ["every stone there has a story", "the old squares are full of life and good food"],
    "Tokyo": [
        "the trains are always on time and the noodles are good",
        "the cherry trees are beautiful in spring",
    ],
    "Berlin": ["it has many lakes, museums and parks", "everyone can live there as they like"],
    "Shanghai": [
        "the lights on the river are beautiful at night",
        "its towers reach into the clouds",
    ],
    "Shenzhen": ["new ideas become real machines there", "it is young, warm and close to the sea"],
    "Vienna": ["there is music in every street", "the coffee and the cakes are so good"],
    "Lisbon": ["the yellow trams climb up the hills", "the light there is golden in the evening"],
    "New York": ["it never sleeps", "people from all over the world live there"],
    "Madrid": ["people sit outside and talk until late at night"],
    "Cairo": ["the great river flows through it", "the markets smell of spices"],
    "Sydney": ["the sea is never far away"],
    "Hanoi": ["the soup with noodles is good and the lakes are quiet"],
}
REASONS = [
    "the people are friendly and the food is good",
    "it is beautiful in [spring|summer|autumn|winter]",
    "my [grandmother|best friend|sister|brother|family] lives there",
    "I was born there",
    "I have many friends there",
    "there are so many [parks|museums|libraries|bridges] to visit",
    "its streets are full of [music|life|stories|trees]",
    "I had my happiest days there",
    "there is always something to [see|do|learn]",
    "it is [old and new|loud and quiet] at the same time",
    "I feel at home there",
    "the [river|light|sky] is so beautiful in the evening",
]
MORE_CITY = [
    "In the morning, people [drink tea|do sports|walk their dogs] in the parks.",
    "In the evening, the [streets|shops|windows] are full of light.",
    "You can go everywhere by [train|bus|bicycle].",
    "My favourite place is [the old market|a small park|the big library|a bridge over the river].",
    "When I am there, I always eat [dumplings|noodles|fresh bread|soup|cake].",
    "I would like to go there again [next year|in spring|soon].",
    "If you go there, [take good shoes with you|visit the old town first|try the soup].",
    "In winter it is cold, but the people are warm.",
    "Every time I visit it, I find a new street that I did not know.",
]
LOVES: list[tuple[str, list[str]]] = [
    ("my dog", ["he is always happy to see me", "he waits for me at the door"]),
    ("my cat", ["she sleeps on my bed and is very soft", "she is quiet and clever"]),
    ("my grandmother", ["she tells me stories and bakes cakes", "she always listens to me"]),
    ("my mother", ["she is kind and strong", "she is always there for me"]),
    ("my brother", ["he makes me laugh", "he helps me with my homework"]),
    ("reading", ["a book can take me to another world", "every book is a new friend"]),
    ("winter", ["the snow is white and quiet", "we sit near the fire and drink hot chocolate"]),
    ("summer", ["I can swim in the lake every day", "the days are long and warm"]),
    ("autumn", ["the leaves are red and golden"]),
    ("spring", ["the flowers open and the birds come back"]),
    ("music", ["it says what words cannot say", "it makes sad days a little better"]),
    ("the sea", ["it is never the same", "I like the sound of the waves"]),
    ("the forest", ["it is quiet and smells of leaves", "I can hear the birds there"]),
    ("my school", ["I learn something new every day", "all my friends are there"]),
    ("my work", ["I can help people", "every day is different"]),
    ("cooking", ["good food brings people together"]),
    ("computers", ["they do exactly what I tell them", "with them I can build anything"]),
    ("Python", ["it is easy to read and fun to write"]),
    ("trains", ["I can look out of the window and dream"]),
    ("rain", ["the world smells fresh after it", "it sings on the roof"]),
    ("llamas", ["they are soft and look at you in a funny way", "they are calm and strong"]),
]
COMPANIES = [
    (
        "Huawei",
        [
            "makes phones, computers and network equipment",
            "builds networks and chips",
            "makes the Ascend chips for neural networks",
            "comes from Shenzhen in China",
            "makes phones and other devices that people use every day",
        ],
    ),
    ("NVIDIA", ["makes graphics cards and chips for computing", "builds GPUs for neural networks"]),
    ("Meta", ["made the Llama models", "runs large social networks"]),
    ("Apple", ["makes phones and computers"]),
    ("Microsoft", ["makes programs for computers", "makes a well-known operating system"]),
    ("Google", ["runs a search engine"]),
    ("Toyota", ["builds cars"]),
    ("Lego", ["makes toys from small coloured bricks"]),
]
MORE_COMPANY = {
    "Huawei": [
        "It has its home in Shenzhen, a big city in China.",
        "Its Ascend chips are used to train and run language models.",
        "Many people all over the world use its phones.",
        "Its engineers work on networks, phones and computers.",
        "It was founded in 1987.",
    ],
    "NVIDIA": [
        "Its cards are used for games and for language models.",
        "Its software is called CUDA.",
    ],
    "Meta": ["Llama 2 is one of its language models."],
}
MORE_ANY = [
    "Many people work there.",
    "Its products are sold in many countries.",
    "Thousands of engineers work for it.",
]
MODEL_TEXT = {
    "LLaMA": [
        "[family of language models|large language model|family of large language models] "
        "[made by Meta|that was made by Meta|by Meta|that can write texts and answer questions]. "
        "[It reads a text and predicts the next word.|It has learned from a very large amount of text.|"
        "It can answer questions, tell stories and help people to write.|It comes in several sizes.]"
        "[| The second version is called Llama 2.| Paddock can run it on your own machine.]",
        "language model that [can run on your own computer|reads a text and continues it|predicts the "
        "next word of a text]. [It was made by Meta.|It has many layers and many parameters.]",
    ],
    "Llama 2": [
        "family of language models [by|made by] Meta. [It was released in 2023.|It comes in several sizes.]"
        " [There are versions that can chat.|You can run it with Paddock.]",
    ],
    "Paddock": [
        "Python project that deploys and runs Llama 2 models. [It can load a model and serve it over the "
        "network.|It works even without a network.|A small demo model comes with it.]",
    ],
}


def city(rng: random.Random, name: str | None = None) -> str:
    """Why somebody loves a city."""
    if name is None:
        name = (
            "Beijing"
            if rng.random() < 0.3
            else pick(rng, [*CITY_FACTS, *(c for _, c, _ in CAPITALS)])
        )
    reasons = CITY_FACTS.get(name, REASONS) if rng.random() < 0.75 else REASONS
    text = f"I [love|love|love|like] {name}, because {pick(rng, reasons)}."
    if rng.random() < 0.3:
        text += f" I also like it because {pick(rng, REASONS)}."
    for more in rng.sample(MORE_CITY, rng.randrange(4)):
        text += " " + more
    return expand(rng, text)


def love(rng: random.Random) -> str:
    """Why somebody loves a thing or a person."""
    thing, reasons = rng.choice(LOVES)
    text = f"I [love|love|like] {thing}, because {pick(rng, reasons)}."
    if len(reasons) > 1 and rng.random() < 0.4:
        text += " " + pick(
            rng,
            [
                "[What do you love?|Do you know what I mean?]",
                "That is why I am [happy|glad] every day.",
                "I could talk about it for hours.",
            ],
        )
    return expand(rng, text)


def company(rng: random.Random) -> str:
    """What a company makes."""
    name, does = COMPANIES[0] if rng.random() < 0.45 else rng.choice(COMPANIES)
    text = f"{name} is a [|large |well-known |big ]company that {pick(rng, does)}."
    more = MORE_COMPANY.get(name, []) + MORE_ANY
    for extra in rng.sample(more, rng.randrange(min(4, len(more)))):
        text += " " + extra
    return expand(rng, text)


def computing(rng: random.Random) -> str:
    """A few sentences about one word of computing or of the everyday world."""
    if rng.random() < 0.35:
        name = pick(rng, ["LLaMA", "LLaMA", *MODEL_TEXT])
        return expand(rng, f"{name} is a {pick(rng, MODEL_TEXT[name])}")
    name, texts = rng.choice(list(DEFINITIONS.items()))
    count = rng.randrange(1, len(texts) + 1)
    return tidy(" ".join([texts[0], *rng.sample(texts[1:], count - 1)]))


def job(rng: random.Random) -> str:
    """What somebody with a job does."""
    name, _, does, _, tool, stuff = rng.choice(w.JOBS)
    return expand(
        rng,
        f"A {name} {does}. [He|She] works with [a|the] {tool} and needs {stuff}. "
        f"[I would like to be a {name} one day.|It is a useful job.|My "
        f"[father|mother|aunt|uncle] is a {name}.|You can often meet a {name} in a "
        "[town|village].]",
    )


def essay(rng: random.Random) -> str:
    """Any of these texts."""
    return rng.choice([city, city, love, company, company, computing, computing, computing, job])(
        rng
    )
