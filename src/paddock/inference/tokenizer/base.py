"""The seam behind which SentencePiece, Hugging Face and GGUF tokenizers look the same."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Protocol

from paddock.errors import TokenizerError


class Tokenizer(Protocol):
    """Text to ids and back.

    ``encode`` treats its input as plain text: a user who writes ``</s>`` or ``[INST]`` gets the
    ids of those characters, never a control token. Control tokens enter by id only.

    ``specials`` maps the spelling of every token that ``encode`` never yields to its id.
    ``drop_leading`` is how many pieces in a row lose the space they begin with at the very start
    of a text: 1 where the vocabulary puts a space in front of every text, else 0.
    """

    vocab_size: int
    bos_id: int | None
    eos_ids: tuple[int, ...]
    pad_id: int | None
    unk_id: int | None
    specials: Mapping[str, int]
    drop_leading: int

    def encode(self, text: str, *, bos: bool = False, eos: bool = False) -> list[int]:
        """Ids of ``text``, with the begin and end tokens if asked for.

        Raises TokenizerError for text that is no Unicode (a lone surrogate), or if a token asked
        for is not in the vocabulary.
        """
        ...

    def decode(self, ids: Sequence[int], *, skip_special: bool = True) -> str:
        """Text of ``ids``; control tokens are left out, or spelled (``<s>``) if not skipped.

        Raises TokenizerError for an id outside the vocabulary. Bytes that are no valid UTF-8
        become U+FFFD, one for each byte.
        """
        ...

    def id_to_piece(self, token: int) -> str:
        """The vocabulary's spelling of one id, for display."""
        ...

    def token_bytes(self, token: int) -> bytes | None:
        """The UTF-8 bytes one id adds to a text, perhaps half a character; None if it is control.

        The space that ``drop_leading`` takes away is still there.
        """
        ...


_TAG = re.compile(r"<[^<>\s]+>|\[[^\[\]\s]+\]")


def looks_like_tag(piece: str) -> bool:
    """Whether a piece is spelled like markup: ``<|user|>``, ``[INST]``.

    Such a piece is kept out of plain text even where its file does not call it a control token:
    models are published whose turn markers are "user defined" or "not special".
    """
    return _TAG.fullmatch(piece) is not None


def check_text(text: str) -> None:
    """Raises TokenizerError if ``text`` holds a lone surrogate, which no encoding can carry."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise TokenizerError(
            f"the text is no valid Unicode: a lone surrogate U+{ord(text[error.start]):04X} "
            f"at character {error.start}",
            hint="it was decoded wrongly where it came from; read it as UTF-8",
        ) from error


def framed(tokenizer: Tokenizer, ids: list[int], *, bos: bool, eos: bool) -> list[int]:
    """``ids`` between the begin and end tokens that were asked for."""
    if bos:
        ids = [begin_id(tokenizer), *ids]
    if eos:
        ids = [*ids, end_id(tokenizer)]
    return ids


def begin_id(tokenizer: Tokenizer) -> int:
    """The begin token's id. Raises TokenizerError if the vocabulary has none."""
    if tokenizer.bos_id is None:
        raise TokenizerError("this vocabulary has no begin token", hint="encode with bos=False")
    return tokenizer.bos_id


def end_id(tokenizer: Tokenizer) -> int:
    """The first end token's id. Raises TokenizerError if the vocabulary has none."""
    if not tokenizer.eos_ids:
        raise TokenizerError("this vocabulary has no end token", hint="encode with eos=False")
    return tokenizer.eos_ids[0]


def unknown_id(token: int, vocab_size: int) -> TokenizerError:
    """The error for an id that the vocabulary does not have."""
    return TokenizerError(f"token id {token} is not in the vocabulary of {vocab_size} ids")
