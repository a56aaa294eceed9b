"""Packs whole documents into rows, so that no text loses its beginning and the names in it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

from demo_corpus import Document, documents

from .tokenizer import encode

PADDING = 0
POOL = 48


class Rows:
    """An endless stream of rows of tokens that also hashes the text it has used."""

    def __init__(self, seed: int | str, processor: Any) -> None:
        self.stream: Iterator[Document] = documents(seed)
        self.processor = processor
        self.pool: list[list[int]] = []
        self.digest = hashlib.sha256()
        self.documents = 0
        self.text_bytes = 0
        self.tokens = 0

    def state(self) -> dict[str, Any]:
        """What ``restore`` needs to go on from here."""
        return {"documents": self.documents, "pool": self.pool, "tokens": self.tokens}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on where another stream of the same seed was."""
        while self.documents < state["documents"]:
            self._next()
        self.pool, self.tokens = state["pool"], state["tokens"]

    def _next(self) -> Document:
        document = next(self.stream)
        raw = document.text.encode()
        self.digest.update(raw)
        self.text_bytes += len(raw)
        self.documents += 1
        return document

    def _row(self, length: int) -> list[int]:
        """The oldest document of the pool, then the longest ones that fit, then padding."""
        row: list[int] = []
        while True:
            while len(self.pool) < POOL:
                self.pool.append(encode(self.processor, self._next()))
            room = length - len(row)
            fitting = [i for i, tokens in enumerate(self.pool) if len(tokens) <= room]
            if not row:
                row += self.pool.pop(0)[:length]
            elif fitting:
                row += self.pool.pop(max(fitting, key=lambda i: len(self.pool[i])))
            else:
                self.tokens += len(row)
                return row + [PADDING] * room

    def take(self, count: int, length: int) -> list[list[int]]:
        """The next ``count`` rows of ``length`` tokens; each begins with a document."""
        return [self._row(length) for _ in range(count)]
