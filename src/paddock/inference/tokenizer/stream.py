"""Ids to text one at a time, for answers that are shown while they are written."""

from __future__ import annotations

import codecs
import sys
from collections.abc import Iterable

from paddock.inference.tokenizer.base import Tokenizer

SPACE = "\u2581"
"""How SentencePiece spells a space in a piece."""
_ONE_PER_BYTE = "paddock.one-per-byte"

ALL_LEADING = sys.maxsize
"""``drop_leading`` of a vocabulary that removes every leading space."""


def _replace_each_byte(error: UnicodeError) -> tuple[str, int]:
    # sentencepiece's rule; Python's own "replace" merges the bytes of a broken character.
    assert isinstance(error, UnicodeDecodeError)
    return "\ufffd" * (error.end - error.start), error.end


codecs.register_error(_ONE_PER_BYTE, _replace_each_byte)


class TextDecoder:
    """Turns a stream of ids into a stream of text; each id costs the same, however long the text.

    ``"".join(push(id) for id in ids) + flush() == tokenizer.decode(ids)`` for every sequence of
    ids, valid UTF-8 or not. ``push`` gives out whole characters only: bytes that may still become
    a character wait. Bytes that no later byte can complete become U+FFFD, one for each byte, as in
    the sentencepiece library. A control token ends a character: bytes on both sides of it are
    never joined. With ``continuing`` the ids go on where other text ended, so the space that the
    first piece begins with is a space between words and stays.
    """

    def __init__(
        self, tokenizer: Tokenizer, *, skip_special: bool = True, continuing: bool = False
    ) -> None:
        self._tokenizer = tokenizer
        self._skip_special = skip_special
        self._utf8 = codecs.getincrementaldecoder("utf-8")(_ONE_PER_BYTE)
        self._droppable = 0 if continuing else tokenizer.drop_leading

    def push(self, token: int) -> str:
        """The text that ``token`` completes, often empty for a byte of a longer character.

        Raises TokenizerError for an id outside the vocabulary, and takes the next one as if that
        id had not been there.
        """
        data = self._tokenizer.token_bytes(token)
        if data is None:
            return self._control(token)
        if self._droppable and data:
            # A byte token 0x20 is a space that somebody wrote; only a piece's own space is dropped.
            if self._tokenizer.id_to_piece(token).startswith(SPACE):
                data = data[1:]
                self._droppable -= 1
            if data:
                self._droppable = 0
        return self._utf8.decode(data)

    def flush(self) -> str:
        """What is left when no more ids come: U+FFFD for each byte of an unfinished character.

        The decoder then starts a new text.
        """
        rest = self._utf8.decode(b"", final=True)
        self._utf8.reset()
        self._droppable = self._tokenizer.drop_leading
        return rest

    def _control(self, token: int) -> str:
        text = self._utf8.decode(b"", final=True)
        self._utf8.reset()
        if not self._skip_special:
            text += self._tokenizer.id_to_piece(token)
        if text:
            self._droppable = 0
        return text


def decode_all(tokenizer: Tokenizer, ids: Iterable[int], *, skip_special: bool) -> str:
    """The text of ``ids``: what every ``Tokenizer.decode`` does."""
    decoder = TextDecoder(tokenizer, skip_special=skip_special)
    return "".join([decoder.push(token) for token in ids]) + decoder.flush()
