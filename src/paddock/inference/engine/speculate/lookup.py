"""Prompt lookup: guesses that the text goes on as it did after the same words before."""

from __future__ import annotations

from collections.abc import Sequence

from paddock.inference.engine.speculate.base import Wanted

SHORTEST = 2
"""Tokens that must agree before a place in the text is taken for a repetition."""
_LONGEST = 64
_PLACES = 8


class TextIndex:
    """Finds earlier places in one growing text that end like the text does now.

    The places after each pair of tokens are kept, the last few of them, so adding a token costs
    the same however long the text is.
    """

    def __init__(self) -> None:
        self._places: dict[tuple[int, ...], list[int]] = {}
        self._indexed = 0

    def extend(self, tokens: Sequence[int]) -> None:
        """Takes in what was added; the end itself is left out until something comes after it."""
        places = self._places
        for end in range(max(self._indexed + 1, SHORTEST), len(tokens)):
            known = places.setdefault(tuple(tokens[end - SHORTEST : end]), [])
            known.append(end)
            if len(known) > _PLACES:
                del known[0]
        self._indexed = max(self._indexed, len(tokens) - 1)

    def find(self, tokens: Sequence[int]) -> int | None:
        """Where the text went on after the longest repetition of its end; the latest of equals."""
        best, length = None, SHORTEST - 1
        for end in reversed(self._places.get(tuple(tokens[-SHORTEST:]), ())):
            common = SHORTEST
            while common < min(end, _LONGEST) and tokens[end - common - 1] == tokens[-common - 1]:
                common += 1
            if common > length:
                best, length = end, common
        return best


class LookupDrafter:
    """Guesses from the request's own text (Saxena, "Prompt Lookup Decoding", 2023). Costs no model.

    Good where an answer repeats its prompt: summaries, corrections, code, quotations.
    """

    def __init__(self) -> None:
        self._texts: dict[int, TextIndex] = {}

    def propose(self, wanted: Sequence[Wanted]) -> list[list[int]]:
        """See Drafter."""
        return [self._one(each) for each in wanted]

    def forget(self, number: int) -> None:
        """See Drafter."""
        self._texts.pop(number, None)

    def close(self) -> None:
        """See Drafter."""
        self._texts.clear()

    def _one(self, wanted: Wanted) -> list[int]:
        index = self._texts.get(wanted.number)
        if index is None:
            index = self._texts[wanted.number] = TextIndex()
        tokens = wanted.tokens
        index.extend(tokens)
        place = index.find(tokens)
        if place is None:
            return []
        guesses = list(tokens[place : place + wanted.n])
        # The repetition may reach the end of the text: it then repeats itself.
        period = len(tokens) - place
        while len(guesses) < wanted.n:
            guesses.append(guesses[len(guesses) - period])
        return guesses
