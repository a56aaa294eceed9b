"""Token ids to text that can be shown: whole characters, and nothing of a stop string."""

from __future__ import annotations

from collections.abc import Sequence

from paddock.inference.tokenizer.base import Tokenizer
from paddock.inference.tokenizer.stream import TextDecoder


class TextStream:
    """The text of one answer as it grows; ``stopped`` is the stop string that was met, or None.

    A ``fresh`` text stands on its own, so that the space with which a SentencePiece vocabulary
    begins every text is not part of it; otherwise it goes on where the prompt ended.
    """

    def __init__(self, tokenizer: Tokenizer, stop: Sequence[str], *, fresh: bool) -> None:
        self.stopped: str | None = None
        self._stop = tuple(stop)
        self._longest = max(map(len, self._stop), default=1) - 1
        self._held = ""
        self._decoder = TextDecoder(tokenizer, continuing=not fresh)

    def push(self, token: int) -> str:
        """Adds a token; returns the text that is certain now."""
        text = self._decoder.push(token)
        return self._release(text, last=False) if self._stop else text

    def flush(self) -> str:
        """The rest, at the end of the answer."""
        return self._release(self._decoder.flush(), last=True)

    def _release(self, text: str, *, last: bool) -> str:
        if self.stopped is not None:
            return ""
        self._held += text
        # The string that is complete first ends the answer, however the text was cut in tokens.
        found = [(self._held.find(one) + len(one), one) for one in self._stop if one in self._held]
        if found:
            end, one = min(found, key=lambda item: (item[0], -len(item[1])))
            self.stopped = one
            keep, self._held = self._held[: end - len(one)], ""
            return keep
        certain = len(self._held) if last else len(self._held) - self._overlap()
        out, self._held = self._held[:certain], self._held[certain:]
        return out

    def _overlap(self) -> int:
        """How many of the last characters could be the head of a stop string."""
        for size in range(min(self._longest, len(self._held)), 0, -1):
            tail = self._held[-size:]
            if any(text.startswith(tail) for text in self._stop):
                return size
        return 0
