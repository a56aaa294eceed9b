"""Seeded generator of the text on which the demo model is trained."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass

from . import dialogues, essays, facts, stories

KINDS = ("story", "question", "essay", "dialogue")


@dataclass(frozen=True)
class Document:
    """One document: a text, or the turns of a chat, each of which goes between <s> and </s>."""

    kind: str
    segments: tuple[str, ...]

    @property
    def text(self) -> str:
        """The document as one string with its border marks."""
        return "".join(f"<s>{segment}</s>" for segment in self.segments)


def document(rng: random.Random) -> Document:
    """Draw one document; the shares are by number, so stories are most of the text."""
    roll = rng.random()
    if roll < 0.34:
        return Document("story", (stories.narrative(rng),))
    if roll < 0.46:
        return Document("question", (facts.question_text(rng),))
    if roll < 0.55:
        return Document("essay", (essays.essay(rng),))
    return Document("dialogue", tuple(dialogues.segments(dialogues.chat(rng))))


def documents(seed: int | str) -> Iterator[Document]:
    """An endless stream of documents; the same seed gives the same stream."""
    rng = random.Random(f"paddock-demo-{seed}")
    while True:
        yield document(rng)
