"""The seam behind which SentencePiece, Hugging Face and GGUF tokenizers look the same."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol


class Tokenizer(Protocol):
    """Text to ids and back.

    ``encode`` treats its input as plain text: a user who writes ``</s>`` or ``[INST]`` gets the
    ids of those characters, never a control token. Control tokens enter by id only.
    """

    vocab_size: int
    bos_id: int | None
    eos_ids: tuple[int, ...]
    pad_id: int | None
    unk_id: int | None

    def encode(self, text: str, *, bos: bool = False, eos: bool = False) -> list[int]:
        """Ids of ``text``, with the begin and end tokens if asked for."""
        ...

    def decode(self, ids: Sequence[int], *, skip_special: bool = True) -> str:
        """Text of ``ids``; control tokens are left out, or spelled (``<s>``) if not skipped.

        Raises TokenizerError for an id outside the vocabulary. Bytes that are no valid UTF-8
        become U+FFFD.
        """
        ...

    def id_to_piece(self, token: int) -> str:
        """The vocabulary's spelling of one id, for display."""
        ...
