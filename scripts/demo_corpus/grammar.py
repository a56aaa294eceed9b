"""A tiny template language, because hand-written sentences with choices vary more than fixed ones.

``[a|b|c]`` picks one alternative (they nest, and an empty one leaves the words out), ``{key}``
inserts a value of the context, and afterwards articles and capital letters are put right.
"""

from __future__ import annotations

import random
import re
from collections.abc import Mapping, Sequence

Context = dict[str, str]

_CHOICE = re.compile(r"\[([^\[\]]*)\]")
_SLOT = re.compile(r"\{([A-Za-z_]+)\}")
_ARTICLE = re.compile(
    r"\b([Aa]) (?=(?:[aeiAEI]|[oO](?!ne\b|nce\b)|[uU](?!se|ni[^mn])|hour\b|honest\b))"
)
_START = re.compile(r'(^|[.!?] |\." |\n|(?:^|[\s(])")([a-z])')
# "~" before a closing quote becomes "?" after a question and "," after a statement.
_QUESTION = re.compile(
    r"(?:^|[\s\"])(What(?! a )|Have|Do|Does|Is|Are|Shall|Will|How|Why|Who|Where|Can|Did|Would)"
    r"\b[^.!?\"]*$"
)
_ON = re.compile(r"\b([Ii])n (?=(?:a farm|an island|a street|a dry land)\b)")
_SPACES = re.compile(r" {2,}")
_SPACE_BEFORE = re.compile(r" +([,.!?])")


def expand(rng: random.Random, template: str, context: Mapping[str, str] | None = None) -> str:
    """Expand choices and slots of ``template`` and tidy the sentence."""
    text = template
    for _ in range(12):
        before = text
        text = _CHOICE.sub(lambda m: rng.choice(m.group(1).split("|")), text)
        if context is not None:
            text = _SLOT.sub(lambda m: context[m.group(1)], text)
        if text == before:
            break
    else:
        raise ValueError(f"template does not end: {template!r}")
    return tidy(text)


def tidy(text: str) -> str:
    """Put right spaces, a/an and the capital letters at sentence starts."""
    while "~" in text:
        head, tail = text.split("~", 1)
        text = head + ("?" if _QUESTION.search(head) else ",") + tail
    text = _SPACES.sub(" ", text)
    text = _SPACE_BEFORE.sub(r"\1", text)
    text = _ARTICLE.sub(r"\1n ", text)
    text = _ON.sub(lambda m: "On " if m.group(1) == "I" else "on ", text)
    text = "\n".join(line.strip() for line in text.split("\n"))
    return _START.sub(lambda m: m.group(1) + m.group(2).upper(), text)


def pick(rng: random.Random, items: Sequence[str]) -> str:
    """One item of a list (typed, so that the callers stay short)."""
    return items[rng.randrange(len(items))]


def join_list(words: Sequence[str], last: str = "and") -> str:
    """``a, b and c``."""
    if len(words) == 1:
        return words[0]
    return ", ".join(words[:-1]) + f" {last} " + words[-1]


def with_article(word: str) -> str:
    """``an apple``, ``a pear``."""
    return tidy("x a " + word)[2:]


def plural(word: str) -> str:
    """The plural of a word of the lists."""
    special = {
        "mouse": "mice",
        "sheep": "sheep",
        "wolf": "wolves",
        "fish": "fish",
        "knife": "knives",
        "leaf": "leaves",
        "child": "children",
        "fisherman": "fishermen",
        "postman": "postmen",
        "shelf": "shelves",
        "potato": "potatoes",
        "tomato": "tomatoes",
        "scarf": "scarves",
    }
    if word in special:
        return special[word]
    if word.endswith("y") and word[-2] not in "aeiou":
        return word[:-1] + "ies"
    if word.endswith(("s", "x", "ch", "sh")):
        return word + "es"
    return word + "s"


_SMALL = [
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
    "seventeen",
    "eighteen",
    "nineteen",
]
_TENS = [
    "zero",
    "ten",
    "twenty",
    "thirty",
    "forty",
    "fifty",
    "sixty",
    "seventy",
    "eighty",
    "ninety",
]


def number_word(number: int) -> str:
    """``seven`` for 7 (0 to 100)."""
    if number < 20:
        return _SMALL[number]
    if number == 100:
        return "one hundred"
    word = _TENS[number // 10]
    return word if number % 10 == 0 else f"{word}-{_SMALL[number % 10]}"
